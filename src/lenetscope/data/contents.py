"""What a folder of data holds, in words, for messages about data that was not found."""

from pathlib import Path

SUPPORTED = (
    "--data reads a folder with a folder of images for each class, four IDX files, and .csv, .csv.gz, "
    ".parquet and .npz files."
)


def contents(folder: Path, names: tuple[str, ...] = ()) -> str:
    """Say in a sentence or two what is in a place where data were looked for, and what can be read.

    Args:
        folder: the place, which may be missing or be a file.
        names: of the files that were looked for.
    """
    try:
        if not folder.exists():
            return f"{folder} does not exist."
        if not folder.is_dir():
            return f"{folder} is a file, not a folder. {SUPPORTED}"
        found = sorted(f"{e.name}/" if e.is_dir() else e.name for e in folder.iterdir())
        depths = ("*/", "*/raw/")
        below = sorted({f.parent for d in depths for f in folder.glob(f"{d}train-*-idx?-*")})
    except (OSError, ValueError) as error:
        return f"cannot read the folder {folder}: {getattr(error, 'strerror', error)}."
    if not found:
        return f"{folder} is empty."
    missing = [name for name in names if name not in found and f"{name}.gz" not in found]
    if names and not missing:
        return f"the IDX files in {folder} are not MNIST's: use --data {folder}."
    if below:
        return f"{folder} holds IDX files in {below[0]}: use --data {below[0]}."
    if len(missing) < len(names):
        return f"{folder} holds some of the files, but not {' and '.join(missing)}."
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    but = f", but not {names[0]}" if names else ""
    return f"{folder} holds {', '.join(found[:3])}{more}{but}. {SUPPORTED}"
