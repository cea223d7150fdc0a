"""What a folder of data holds, in words, for messages about data that was not found."""

from pathlib import Path

PARTS = ("train", "t10k")
"""How the names of the training and of the test files begin."""

SUPPORTED = (
    "Only four IDX files with MNIST's names can be read, with --dataset idx; folders of pictures, CSV "
    "and other formats cannot."
)


def idx_files(folder: Path, part: str) -> tuple[Path, Path]:
    """Return the paths of a part's images and labels, named as MNIST's are."""
    return folder / f"{part}-images-idx3-ubyte", folder / f"{part}-labels-idx1-ubyte"


def contents(folder: Path) -> str:
    """Say in a sentence why a folder is not one of four IDX files, and what to do about it."""
    files = [file for part in PARTS for file in idx_files(folder, part)]
    try:
        if not folder.exists():
            return f"{folder} does not exist."
        if not folder.is_dir():
            return f"{folder} is a file, not a folder. {SUPPORTED}"
        names = sorted(f"{e.name}/" if e.is_dir() else e.name for e in folder.iterdir())
        below = next((f.parent for f in sorted(folder.glob(f"*/{files[0].name}"))), None)
        below = below or next((f.parent for f in sorted(folder.glob(f"*/raw/{files[0].name}"))), None)
    except OSError as error:
        return f"cannot read the folder {folder}: {error.strerror}."
    missing = [file.name for file in files if not file.exists()]
    if not names:
        return f"{folder} is empty."
    if not missing:
        return f"the IDX files in {folder} are not MNIST's: use --dataset idx --data-dir {folder}."
    if any(f"{name}.gz" in names for name in missing):
        return f"the IDX files in {folder} are compressed: unpack them with gunzip {folder}/*.gz."
    if below:
        return f"{folder} holds IDX files in {below}: use --dataset idx --data-dir {below}."
    if len(missing) < len(files):
        return f"{folder} holds some of the four IDX files, but not {' and '.join(missing)}."
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{folder} holds {', '.join(names[:3])}{more}, but not {files[0].name}. {SUPPORTED}"
