"""Images and labels of one's own, in the four IDX files that MNIST made known.

In: a folder with ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte`` and the two ``t10k-`` files.
Out: a `RawDataset`. The header is checked against the length of the file before a pixel is read, so
that a damaged file is named as such. A file of images above `MAP_ABOVE` bytes is mapped instead of
read: a batch's pages come from the disk when it is drawn and can be dropped again, so that data may
be larger than the memory. Format: http://yann.lecun.com/exdb/mnist/.
"""

import math
import struct
from pathlib import Path

import torch
from torch import Tensor

from lenetscope.datasets.raw import LabelledImages, RawDataset, md5
from lenetscope.errors import DataError

IMAGES, LABELS = 0x00000803, 0x00000801
"""Magic numbers: unsigned bytes (08) in three dimensions and in one."""

MAP_ABOVE = 1 << 30
"""Bytes above which a file is mapped: 1.4 million images of 28x28."""

_KIND = {IMAGES: "images", LABELS: "labels"}


def read_images(path: Path) -> Tensor:
    """Read an IDX file of images.

    Returns:
        (N, 1, H, W) uint8.

    Raises:
        DataError: if the file is missing, of another kind, empty, or not as long as it says.
    """
    count, height, width = _check(path, IMAGES)
    return _bytes_after(path, 16).reshape(count, 1, height, width)  # (N, 1, H, W)


def read_labels(path: Path) -> Tensor:
    """Read an IDX file of labels.

    Returns:
        (N,) int64.

    Raises:
        DataError: if the file is missing, of another kind, empty, or not as long as it says.
    """
    _check(path, LABELS)
    return _bytes_after(path, 8).long()


def read_idx_folder(folder: Path | None) -> RawDataset:
    """Read the four files of a folder; there are as many classes as the training labels need.

    Raises:
        DataError: if a file is missing or corrupt, images and labels differ in number, images
            differ in size, or a test label was never seen in training.
    """
    if folder is None:
        raise DataError("the dataset 'idx' needs the folder of its four files: give --data-dir.")
    names = [
        f"{part}-{kind}"
        for part in ("train", "t10k")
        for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
    ]
    train, test = (read_pair(folder, part) for part in ("train", "t10k"))
    if train.images.shape[1:] != test.images.shape[1:]:
        sizes = [f"{t.shape[2]}x{t.shape[3]}" for t in (train.images, test.images)]
        raise DataError(f"training images are {sizes[0]} and test images {sizes[1]} in {folder}.")
    count = int(train.labels.max()) + 1
    if int(test.labels.max()) >= count:
        raise DataError(
            f"test labels in {folder} reach {int(test.labels.max())}, but training labels only "
            f"{count - 1}."
        )
    if count < 2:
        raise DataError(f"all training labels in {folder} are 0; at least two classes are needed.")
    classes = tuple(str(label) for label in range(count))
    return RawDataset(train, test, classes, {name: md5(folder / name) for name in names})


def read_pair(folder: Path, part: str) -> LabelledImages:
    """Read the images and labels of one part, ``"train"`` or ``"t10k"``.

    Raises:
        DataError: if a file is missing or corrupt, or they differ in number.
    """
    images = read_images(folder / f"{part}-images-idx3-ubyte")
    labels = read_labels(folder / f"{part}-labels-idx1-ubyte")
    if len(images) != len(labels):
        raise DataError(f"{folder} has {len(images)} {part} images but {len(labels)} labels.")
    return LabelledImages(images, labels)


def _bytes_after(path: Path, header: int) -> Tensor:
    """Return what follows the header, uint8: in memory, or mapped if it is large."""
    size = path.stat().st_size
    if size > MAP_ABOVE:
        # a private mapping: what is changed in memory never reaches the file
        return torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8)[header:]
    return torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8, offset=header)


def _check(path: Path, magic: int) -> tuple[int, ...]:
    """Compare magic number, dimensions and length of the file; return the dimensions."""
    dimensions = magic & 0xFF
    header_size = 4 * (1 + dimensions)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            header = file.read(header_size)
    except FileNotFoundError:
        raise DataError(f"the file {path} is missing.") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}.") from error
    if len(header) < header_size:
        raise DataError(f"{path} is truncated: {size} bytes are no IDX header.")
    found, *sizes = struct.unpack(f">{1 + dimensions}I", header)
    if found != magic:
        hint = f" (it holds {_KIND[found]})" if found in _KIND else ""
        raise DataError(
            f"{path} is no IDX file of {_KIND[magic]}{hint}: it starts with 0x{found:08x}, "
            f"not 0x{magic:08x}."
        )
    expected = header_size + math.prod(sizes)
    if 0 in sizes:
        raise DataError(f"{path} is empty: its header says {'x'.join(map(str, sizes))}.")
    if size != expected:
        state = "truncated" if size < expected else "too long"
        raise DataError(f"{path} is {state}: its header promises {expected} bytes, it has {size}.")
    return tuple(sizes)
