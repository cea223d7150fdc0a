"""A folder of images: a subfolder for each class, or such subfolders in train, valid and test.

Images are decoded in memory. Where they would take more than `MAP_ABOVE` bytes they are decoded once,
into a file in the user's cache, which is mapped: a batch is read from the disk when it is drawn.
"""

import hashlib
import io
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lenetscope.data.dataset import MAP_ABOVE, LabelledImages, RawDataset, own_folder
from lenetscope.data.pixels import Form, natural, of_file, stack
from lenetscope.errors import DataError
from lenetscope.files import write_json, writing

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
PARTS = {"train": "train", "valid": "valid", "val": "valid", "test": "test"}
"""Names of subfolders that are parts of the data, and the part."""


def holds_images(folder: Path) -> bool:
    """Tell whether a folder has subfolders with images, or parts that may have."""
    try:
        inside = _folders(folder)
        return (folder / "train") in inside or any(map(_images, inside))
    except OSError:
        return False


def read_folder(folder: Path, form: Form) -> RawDataset:
    """Read the images of a folder, in the natural order of its classes and their files.

    Args:
        folder: see above; hidden files and those of other kinds are passed over.
        form: of all images.

    Raises:
        DataError: if a class has no images that can be read, a part has classes that train has not,
            or images differ in size.
        StorageError: if the cache cannot be written.
    """
    folder = folder.resolve()
    parts = {"train": folder}
    if (folder / "train").is_dir():
        parts = {name: folder / name for name in PARTS if (folder / name).is_dir()}
    rows: list[tuple[str, str, Path]] = []  # part, class, file
    for name, place in parts.items():
        rows += [(PARTS[name], each.name, file) for each in _folders(place) for file in _required(each)]
    rows.sort(key=lambda row: list(PARTS).index(row[0]))
    classes = sorted({name for part, name, _ in rows if part == "train"}, key=natural)
    if not classes:
        raise DataError(f"{parts['train']} has no folder for each class.")
    for _, name, file in rows:
        if name not in classes:
            raise DataError(f"{file.parent}: there is no class '{name}' in {parts['train']}.")
    images, left_out, checksum = _decoded(folder, [file for *_, file in rows], form)
    kept = [row for row, failed in zip(rows, left_out, strict=True) if not failed]
    found: dict[str, LabelledImages] = {}
    for part in dict.fromkeys(row[0] for row in rows):
        places = [place for place, row in enumerate(kept) if row[0] == part]
        labels = [classes.index(kept[place][1]) for place in places]
        if not places or (part == "train" and len(set(labels)) < len(classes)):
            empty = next((name for k, name in enumerate(classes) if k not in labels), part)
            raise DataError(f"no image of '{empty}' in {folder} can be read.")
        # the images of a part follow each other: a view, also of a mapped file
        view = images[places[0] : places[-1] + 1]
        found[part] = LabelledImages(view, torch.tensor(labels))
    return RawDataset(
        found["train"],
        found.get("test"),
        tuple(classes),
        {"images": checksum},
        folder.name,
        folder,
        valid=found.get("valid"),
        left_out=tuple(str(row[2]) for row, failed in zip(rows, left_out, strict=True) if failed),
    )


def _folders(folder: Path) -> list[Path]:
    inside = (e for e in folder.iterdir() if not e.name.startswith(".") and e.is_dir())
    return sorted(inside, key=lambda e: natural(e.name))


def _images(folder: Path) -> list[Path]:
    inside = (e for e in folder.iterdir() if e.suffix.lower() in SUFFIXES and e.name[0] != ".")
    return sorted(inside, key=lambda e: natural(e.name))


def _required(folder: Path) -> list[Path]:
    """Return the images of a class.

    Raises:
        DataError: if there are none.
    """
    if found := _images(folder):
        return found
    raise DataError(f"{folder} holds no images ({', '.join(SUFFIXES)}): add some, or remove it.")


def _decoded(folder: Path, files: Sequence[Path], form: Form) -> tuple[Tensor, list[bool], str]:
    """Return images (N, C, H, W) uint8, which files are not among them, and the MD5 of all files."""
    stats = [file.stat() for file in files]
    facts = [[str(f), s.st_size, s.st_mtime_ns] for f, s in zip(files, stats, strict=True)]
    key = hashlib.sha256(json.dumps([facts, form]).encode()).hexdigest()[:32]
    mapped = own_folder() / "decoded" / f"{key}.uint8"
    record = mapped.with_suffix(".json")
    if record.exists() and mapped.exists():
        known: dict[str, Any] = json.loads(record.read_text("utf-8"))
        if mapped.stat().st_size == math.prod(known["shape"]):
            return _map(mapped, known["shape"]), known["left_out"], known["md5"]
    left_out: list[bool] = []
    digest = hashlib.md5(usedforsecurity=False)

    def pictures() -> Iterator[tuple[str, Tensor]]:
        nonlocal digest
        left_out.clear()
        digest = hashlib.md5(usedforsecurity=False)
        for file in files:
            try:
                content = file.read_bytes()
            except OSError:
                content = b""
            name = str(file.relative_to(folder)).encode()
            digest.update(b"%d %d " % (len(name), len(content)) + name + content)
            image = of_file(content)
            left_out.append(image is None)
            if image is not None:
                yield str(file), image

    first = next(pictures(), None)
    if first is None:
        raise DataError(f"none of the {len(files)} images in {folder} can be read.")
    size = form(first[1][None]).numel()
    if size * len(files) <= MAP_ABOVE:
        sink = io.BytesIO()
        shape = stack(pictures, form, sink)
        images = torch.frombuffer(sink.getbuffer(), dtype=torch.uint8).reshape(shape)
        return images, left_out, digest.hexdigest()
    with writing(mapped) as file:
        shape = stack(pictures, form, file)
    write_json(record, {"shape": shape, "left_out": left_out, "md5": digest.hexdigest()})
    return _map(mapped, shape), left_out, digest.hexdigest()


def _map(path: Path, shape: list[int]) -> Tensor:
    # private: changes in memory are never written to the file
    return torch.from_numpy(np.memmap(path, np.uint8, mode="c", shape=tuple(shape)))
