"""What a dataset gives: its training and test images and labels, as it comes from the files."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from lenetscope.errors import DataError


class LabelledImages(NamedTuple):
    """Images (N, C, H, W) uint8 and their labels (N,) int64."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class RawDataset:
    """A dataset as read: two sets of images, the names of the classes, MD5 of each file."""

    train: LabelledImages
    test: LabelledImages
    classes: tuple[str, ...]
    checksums: dict[str, str]


def md5(path: Path) -> str:
    """Return the MD5 of a file, in hexadecimal; a checksum against accidents, not attackers.

    Raises:
        DataError: if the file is missing or cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except FileNotFoundError:
        raise DataError(f"the file {path} is missing.") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}.") from error
