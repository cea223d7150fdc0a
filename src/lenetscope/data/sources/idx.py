"""Images and labels in four IDX files, named as MNIST's are, and the format itself.

The header is checked against the length of the file before pixels are read, so that a damaged file is
reported as such. A file of bytes larger than `MAP_ABOVE` is memory-mapped: the pages of a batch are
read from the disk when it is drawn, so that the data may be larger than the memory.
Format: http://yann.lecun.com/exdb/mnist/.
"""

import math
import os
import re
import struct
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lenetscope.data.contents import contents
from lenetscope.data.dataset import MAP_ABOVE, LabelledImages, RawDataset, md5, open_file, reading
from lenetscope.data.pixels import Array, bytes_of
from lenetscope.errors import DataError

NAMES = tuple(
    f"{part}-{kind}"
    for part in ("train", "t10k")
    for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
)
"""Names of MNIST's files."""

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""The third byte of a file, and the numbers in it; the fourth byte counts the dimensions."""

_FILE = re.compile(r"((train|t10k)-(images[-.]idx3|labels[-.]idx1))-\w+(\.gz)?")
_KINDS = {3: "images", 1: "labels"}


def idx_files(folder: Path) -> list[Path]:
    """Return which of the four files a folder holds, as they are or packed (.gz), in `NAMES`' order.

    Names may end otherwise than in ubyte, and have a point for the last hyphen but one.
    """
    found = dict[str, Path]()
    for path in sorted(folder.iterdir(), reverse=True):  # the unpacked one last: it is taken
        if name := _FILE.fullmatch(path.name):
            found[name[1].replace(".", "-")] = path
    keys = [name.removesuffix("-ubyte") for name in NAMES]
    return [found[key] for key in keys if key in found]


def holds_idx(folder: Path) -> bool:
    """Tell whether a folder holds one of the four files, or cannot be read."""
    try:
        return bool(idx_files(folder))
    except OSError:
        return True


def read_idx_folder(folder: Path) -> RawDataset:
    """Read the four files of a folder; the largest training label determines the number of classes.

    Raises:
        DataError: if a file is missing or corrupt, images and labels differ in number, images
            differ in size, there is one class, or a test label does not occur in training.
    """
    try:
        files = idx_files(folder)
    except OSError:
        files = []
    if len(files) < len(NAMES) or not all(map(os.path.exists, files)):  # without permission, False
        raise DataError(contents(folder, NAMES))
    train, test = read_pair(*files[:2]), read_pair(*files[2:])
    if train.images.shape[1:] != test.images.shape[1:]:
        sizes = [f"{t.images.shape[2]}x{t.images.shape[3]}" for t in (train, test)]
        raise DataError(f"training images are {sizes[0]} and test images {sizes[1]} in {folder}.")
    largest, in_test = int(train.labels.max()), int(test.labels.max())
    if in_test > largest:
        raise DataError(
            f"test labels in {folder} go up to {in_test}, but training labels only to {largest}."
        )
    place = folder.resolve()
    name = place.parent.name if place.name == "raw" else place.name  # torchvision: FashionMNIST/raw
    classes = tuple(map(str, range(largest + 1)))
    checksums = {file.name.removesuffix(".gz"): md5(file) for file in files}
    return RawDataset(train, test, classes, checksums, name or "idx", place)


def read_pair(image_file: Path, label_file: Path) -> LabelledImages:
    """Read the images and labels of one part.

    Raises:
        DataError: if a file is missing or corrupt, or they differ in number.
    """
    images, labels = read_images(image_file), read_labels(label_file)
    if len(images) != len(labels):
        raise DataError(f"{image_file} has {len(images)} images but {label_file.name} {len(labels)}.")
    return LabelledImages(images, labels)


def read_images(path: Path) -> Tensor:
    """Read an IDX file of images, of any type of numbers; see `pixels.bytes_of`.

    Returns:
        (N, 1, H, W) uint8.

    Raises:
        DataError: if the file is missing, of another kind, empty, or its length contradicts its header.
    """
    return torch.from_numpy(bytes_of(read_numbers(path, 3), str(path)))[:, None]  # (N, 1, H, W)


def read_labels(path: Path) -> Tensor:
    """Read an IDX file of labels, whole numbers from 0, (N,) int64; raises what `read_images` does."""
    labels = read_numbers(path, 1).astype(np.float64)
    if not bool(((labels >= 0) & (labels == np.floor(labels))).all()):
        raise DataError(f"the labels in {path} must be whole numbers from 0.")
    return torch.from_numpy(labels.astype(np.int64))


def read_numbers(path: Path, dimensions: int) -> Array:
    """Return the numbers of an IDX file, in the type and shape that its header states."""
    start = 4 * (1 + dimensions)  # the header's length
    with reading(path), open_file(path) as file:
        if path.suffix == ".gz":
            header, content = file.read(start), file.read()
            size = len(header) + len(content)
            kind, shape = _stated(path, dimensions, size, header)
        else:
            size = os.fstat(file.fileno()).st_size
            kind, shape = _stated(path, dimensions, size, file.read(start))
            if size > MAP_ABOVE and kind == ">u1":
                # a private mapping: changes in memory are never written to the file
                return np.memmap(path, np.uint8, mode="c", offset=start, shape=shape)
            content = file.read()
    return np.frombuffer(bytearray(content), dtype=kind).reshape(shape)


def _stated(path: Path, dimensions: int, size: int, header: bytes) -> tuple[str, tuple[int, ...]]:
    """Return type and shape that the header of an IDX file states, if they agree with its size."""
    start = 4 * (1 + dimensions)
    if len(header) < start:
        raise DataError(f"{path} is truncated: {size} bytes are too few for an IDX header.")
    found, *shape = struct.unpack(f">{len(header) // 4}I", header)
    kind = TYPES.get(found >> 8)
    if kind is None or found & 0xFF != dimensions:
        hint = ""
        if found - 0x800 in _KINDS:
            hint = f" (it holds {_KINDS[found - 0x800]})"
        elif kind:
            hint = f" (it holds {found & 0xFF}-dimensional {np.dtype(kind).name} numbers)"
        elif found >> 16 == 0x1F8B:
            hint = f" (it is compressed; give it its name: mv {path} {path}.gz)"
        raise DataError(
            f"{path} is not an IDX file of {_KINDS.get(dimensions, 'numbers')}{hint}: it starts with "
            f"0x{found:08x}, not 0x{0x800 + dimensions:08x}."
        )
    if 0 in shape:
        raise DataError(f"{path} is empty: its header says {'x'.join(map(str, shape))}.")
    if size != (expected := start + math.prod(shape) * np.dtype(kind).itemsize):
        state = "truncated" if size < expected else "too long"
        raise DataError(f"{path} is {state}: its header says {expected} bytes, it has {size}.")
    return kind, tuple(shape)
