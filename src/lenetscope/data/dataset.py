"""What a data set consists of: training and test images with their labels, as read from its files."""

import errno
import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import platformdirs
from torch import Tensor

from lenetscope.errors import DataError

MAP_ABOVE = 1 << 30
"""Bytes above which images are mapped and not read: 1.4 million of 28x28 in grey."""


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

    def take(self, index: Tensor) -> "LabelledImages":
        """Return some of the images: a copy, or a view where a copy may not fit into memory."""
        images, labels = self.images, self.labels[index]
        if isinstance(images, Rows):
            return LabelledImages(Rows(images.images, images.index[index]), labels)
        if images.numel() > MAP_ABOVE:
            return LabelledImages(Rows(images, index), labels)
        return LabelledImages(images[index], labels)


@dataclass(frozen=True)
class RawDataset:
    """A data set as read.

    Attributes:
        train: images and labels.
        test: the same; None where the data have no such part.
        classes: their names.
        checksums: MD5 of each file, or of the whole, by its name.
        name: of the data, for titles.
        where: the folder of the files; None if they were not read from one.
        valid: the part to validate on; None where the data have none.
        by_class: whether images are held out of each class in proportion, or of all together.
        left_out: files that cannot be read as images.
    """

    train: LabelledImages
    test: LabelledImages | None
    classes: tuple[str, ...]
    checksums: dict[str, str]
    name: str
    where: Path | None
    valid: LabelledImages | None = None
    by_class: bool = True
    left_out: tuple[str, ...] = ()


def default_data_dir() -> Path:
    """Return ``LENETSCOPE_DATA_DIR`` if it is set, else a folder in the user's cache."""
    chosen = os.environ.get("LENETSCOPE_DATA_DIR")
    return Path(chosen) if chosen else platformdirs.user_cache_path("lenetscope") / "data"


def own_folder() -> Path:
    """Return `default_data_dir`, with the home folder for ``~``.

    Raises:
        DataError: if there is no home folder.
    """
    try:
        return default_data_dir().expanduser()
    except RuntimeError as error:  # no home
        raise DataError(f"{error} Name a folder with LENETSCOPE_DATA_DIR.") from error


def present(path: Path) -> Path | None:
    """Return the path if there is a file, else that of the packed one (.gz), if there is one."""
    packed = path.with_name(f"{path.name}.gz")
    return next((p for p in (path, packed) if os.path.exists(p)), None)  # noqa: PTH110  # without permission, False


def open_file(path: Path) -> BinaryIO:
    """Open a file to read its bytes, unpacked if its name ends in .gz.

    Raises:
        OSError: if it is missing or cannot be read, or is a pipe, which may never end.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "it is a device, not a file")
    return cast(BinaryIO, gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Raise what a file refuses, or a damaged compression, as a `DataError` that names it."""
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {path}: {getattr(error, 'strerror', '') or error}.") from error


def md5(path: Path) -> str:
    """Return the MD5 of a file, unpacked if its name ends in .gz; against accidents, not attackers.

    Raises:
        DataError: if the file is missing or cannot be read.
    """
    with reading(path), open_file(path) as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()  # type: ignore[arg-type]
