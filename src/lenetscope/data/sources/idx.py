"""Images and labels of your own, in four IDX files with the names of MNIST's.

The header is checked against the length of the file before pixels are read, so that a damaged file is
reported as such. A file larger than `MAP_ABOVE` is memory-mapped: the pages of a batch are read from
the disk when it is drawn, so that the data may be larger than the memory.
Format: http://yann.lecun.com/exdb/mnist/.
"""

import math
import struct
from pathlib import Path

import torch
from torch import Tensor

from lenetscope.data.dataset import LabelledImages, RawDataset, md5
from lenetscope.data.sources import DATASETS
from lenetscope.errors import DataError

IMAGES, LABELS = 0x00000803, 0x00000801
"""Magic numbers: unsigned bytes (08) in three dimensions and in one."""

MAP_ABOVE = 1 << 30
"""Bytes above which a file is mapped: 1.4 million images of 28x28."""

_KINDS = {IMAGES: "images", LABELS: "labels"}


@DATASETS.register("idx")
def read_idx_folder(folder: Path | None) -> RawDataset:
    """Read the four files of a folder; the largest training label determines the number of classes.

    Raises:
        DataError: if a file is missing or corrupt, images and labels differ in number, images
            differ in size, there is one class, or a test label does not occur in training.
    """
    if folder is None:
        raise DataError("the dataset 'idx' needs the folder of its four files: give --data-dir.")
    train, test = (read_pair(folder, part) for part in ("train", "t10k"))
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
    checksums = {path.name: md5(path) for part in ("train", "t10k") for path in _files(folder, part)}
    return RawDataset(train, test, tuple(map(str, range(largest + 1))), checksums)


def read_pair(folder: Path, part: str) -> LabelledImages:
    """Read the images and labels of one part, ``"train"`` or ``"t10k"``.

    Raises:
        DataError: if a file is missing or corrupt, or they differ in number.
    """
    image_file, label_file = _files(folder, part)
    images, labels = read_images(image_file), read_labels(label_file)
    if len(images) != len(labels):
        raise DataError(f"{folder} has {len(images)} {part} images but {len(labels)} labels.")
    return LabelledImages(images, labels)


def _files(folder: Path, part: str) -> tuple[Path, Path]:
    return folder / f"{part}-images-idx3-ubyte", folder / f"{part}-labels-idx1-ubyte"


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
        size = path.stat().st_size
        with path.open("rb") as file:
            header = file.read(start)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}.") from error
    if len(header) < start:
        raise DataError(f"{path} is truncated: {size} bytes are too few for an IDX header.")
    found, *shape = struct.unpack(f">{1 + dimensions}I", header)
    if found != magic:
        hint = f" (it holds {_KINDS[found]})" if found in _KINDS else ""
        raise DataError(
            f"{path} is not an IDX file of {_KINDS[magic]}{hint}: it starts with 0x{found:08x}, "
            f"not 0x{magic:08x}."
        )
    if 0 in shape:
        raise DataError(f"{path} is empty: its header says {'x'.join(map(str, shape))}.")
    if size != (expected := start + math.prod(shape)):
        state = "truncated" if size < expected else "too long"
        raise DataError(f"{path} is {state}: its header says {expected} bytes, it has {size}.")
    if size > MAP_ABOVE:
        # a private mapping: changes in memory are never written to the file
        content = torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8)
    else:
        content = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)
    return content[start:].reshape(shape)
