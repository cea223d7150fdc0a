"""What a data set consists of: training and test images with their labels, as read from its files."""

import errno
import hashlib
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from lenetscope.errors import DataError


class Rows:
    """Some images of a tensor, without a copy: for data that is memory-mapped.

    >>> import torch
    >>> Rows(torch.arange(5), torch.tensor([3, 1]))[1]
    tensor(1)

    Args:
        images: (N, C, H, W).
        index: (M,) int64, which of them.
    """

    def __init__(self, images: Tensor, index: Tensor) -> None:
        self.images, self.index = images, index
        self.shape = (len(index), *images.shape[1:])

    def __getitem__(self, which: Any) -> Tensor:
        return self.images[self.index[which]]

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        """Return the images at these positions, as `torch.Tensor.index_select` does."""
        return self.images.index_select(dim, self.index[index])


class LabelledImages(NamedTuple):
    """Images (N, C, H, W) uint8 and their labels (N,) int64."""

    images: Tensor | Rows
    labels: Tensor


@dataclass(frozen=True)
class RawDataset:
    """A data set as read.

    Attributes:
        train, test: images and labels.
        classes: their names.
        checksums: MD5 of each file, by its name.
        name: of the data, for titles.
        where: the folder of the files; None if they were not read from one.
    """

    train: LabelledImages
    test: LabelledImages
    classes: tuple[str, ...]
    checksums: dict[str, str]
    name: str
    where: Path | None


def open_file(path: Path) -> BufferedReader:
    """Open a file to read its bytes; a pipe, which may never end, is refused.

    Raises:
        OSError: if it is missing, cannot be read or is a device.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "it is a device, not a file")
    return path.open("rb")


def md5(path: Path) -> str:
    """Return the MD5 of a file, in hexadecimal; a checksum against accidents, not against attackers.

    Raises:
        DataError: if the file is missing or cannot be read.
    """
    try:
        with open_file(path) as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}.") from error
