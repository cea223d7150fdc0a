"""What a data set consists of: training and test images with their labels, as read from its files."""

import hashlib
from dataclasses import dataclass
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
    """A data set as read: training and test images, names of the classes, MD5 of each file."""

    train: LabelledImages
    test: LabelledImages
    classes: tuple[str, ...]
    checksums: dict[str, str]


def md5(path: Path) -> str:
    """Return the MD5 of a file, in hexadecimal; a checksum against accidents, not against attackers.

    Raises:
        DataError: if the file is missing or cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}.") from error
