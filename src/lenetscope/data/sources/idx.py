"""Images and labels of your own, in four IDX files with the names of MNIST's.

The header is checked against the length of the file before pixels are read, so that a damaged file is
reported as such. A file larger than `MAP_ABOVE` is memory-mapped: the pages of a batch are read from
the disk when it is drawn, so that the data may be larger than the memory.
Format: http://yann.lecun.com/exdb/mnist/.
"""

import math
import os
import struct
from pathlib import Path

import torch
from torch import Tensor

from lenetscope.data.contents import PARTS, contents, idx_files
from lenetscope.data.dataset import LabelledImages, RawDataset, md5, open_file
from lenetscope.data.sources import DATASETS
from lenetscope.errors import DataError, UsageError

IMAGES, LABELS = 0x00000803, 0x00000801
"""Magic numbers: unsigned bytes (08) in three dimensions and in one."""

MAP_ABOVE = 1 << 30
"""Bytes above which a file is mapped: 1.4 million images of 28x28."""

_KINDS = {IMAGES: "images", LABELS: "labels"}
_TYPES = {8: "uint8", 9: "int8", 11: "int16", 12: "int32", 13: "float32", 14: "float64"}


@DATASETS.register("idx")
def read_idx_folder(folder: Path | None, download: bool = False) -> RawDataset:
    """Read the four files of a folder; the largest training label determines the number of classes.

    Raises:
        UsageError: if files are to be added: they are the user's own.
        DataError: if a file is missing or corrupt, images and labels differ in number, images
            differ in size, there is one class, or a test label does not occur in training.
    """
    if download:
        raise UsageError("--download is for --dataset mnist; the files of --dataset idx are your own.")
    if folder is None:
        raise DataError("the dataset 'idx' needs the folder of its four files: give --data-dir.")
    files = [file for part in PARTS for file in idx_files(folder, part)]
    if not all(os.path.exists(file) for file in files):  # noqa: PTH110  # without permission, False
        raise DataError(f"{contents(folder)} Let --data-dir name the folder of the four IDX files.")
    train, test = (read_pair(folder, part) for part in PARTS)
    if train.images.shape[1:] != test.images.shape[1:]:
        sizes = [f"{t.shape[2]}x{t.shape[3]}" for t in (train.images, test.images)]
        raise DataError(f"training images are {sizes[0]} and test images {sizes[1]} in {folder}.")
    largest, in_test = int(train.labels.max()), int(test.labels.max())
    if in_test > largest:
        raise DataError(
            f"test labels in {folder} go up to {in_test}, but training labels only to {largest}."
        )
    if not largest:
        raise DataError(f"all training labels in {folder} are 0; at least two classes are needed.")
    place = folder.resolve()
    name = place.parent.name if place.name == "raw" else place.name  # torchvision: FashionMNIST/raw
    classes = tuple(map(str, range(largest + 1)))
    return RawDataset(train, test, classes, {p.name: md5(p) for p in files}, name or "idx", place)


def read_pair(folder: Path, part: str) -> LabelledImages:
    """Read the images and labels of one part, ``"train"`` or ``"t10k"``.

    Raises:
        DataError: if a file is missing or corrupt, or they differ in number.
    """
    image_file, label_file = idx_files(folder, part)
    images, labels = read_images(image_file), read_labels(label_file)
    if len(images) != len(labels):
        raise DataError(f"{folder} has {len(images)} {part} images but {len(labels)} labels.")
    return LabelledImages(images, labels)


def read_images(path: Path) -> Tensor:
    """Read an IDX file of images.

    Returns:
        (N, 1, H, W) uint8.

    Raises:
        DataError: if the file is missing, of another kind, empty, or its length contradicts its header.
    """
    return _read(path, IMAGES)[:, None]  # (N, 1, H, W)


def read_labels(path: Path) -> Tensor:
    """Read an IDX file of labels, (N,) int64; it raises what `read_images` does."""
    return _read(path, LABELS).long()


def _read(path: Path, magic: int) -> Tensor:
    """Return the bytes of an IDX file, in the shape that its header states: a copy, or mapped."""
    dimensions = magic & 0xFF
    start = 4 * (1 + dimensions)  # the header's length
    try:
        with open_file(path) as file:
            size = os.fstat(file.fileno()).st_size
            shape = _shape_of(path, magic, size, file.read(start))
            if size > MAP_ABOVE:
                # a private mapping: changes in memory are never written to the file
                content = torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8)[start:]
            else:
                content = torch.frombuffer(bytearray(file.read()), dtype=torch.uint8)
            return content.reshape(shape)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}.") from error


def _shape_of(path: Path, magic: int, size: int, header: bytes) -> list[int]:
    """Return the shape that the header of an IDX file states, if it agrees with the file's size."""
    start = 4 * (1 + (magic & 0xFF))
    if len(header) < start:
        raise DataError(f"{path} is truncated: {size} bytes are too few for an IDX header.")
    found, *shape = struct.unpack(f">{len(header) // 4}I", header)
    if found != magic:
        hint = f" (it holds {_KINDS[found]})" if found in _KINDS else ""
        if not hint and found >> 8 in _TYPES:
            hint = f" (it holds {found & 0xFF}-dimensional {_TYPES[found >> 8]} numbers)"
        elif found >> 16 == 0x1F8B:
            hint = f" (it is compressed; unpack it: mv {path} {path}.gz; gunzip {path}.gz)"
        raise DataError(
            f"{path} is not an IDX file of {_KINDS[magic]}{hint}: it starts with 0x{found:08x}, "
            f"not 0x{magic:08x}."
        )
    if 0 in shape:
        raise DataError(f"{path} is empty: its header says {'x'.join(map(str, shape))}.")
    if size != (expected := start + math.prod(shape)):
        state = "truncated" if size < expected else "too long"
        raise DataError(f"{path} is {state}: its header says {expected} bytes, it has {size}.")
    return shape
