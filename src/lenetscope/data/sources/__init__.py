"""Where data come from: from the word of a recipe's field ``data`` to a `RawDataset`.

The word is a registered name, the path of a folder or file, or ``module:function``. A registered source
is a function that is given the folder to read, None for its own, and whether missing files may be added
to that folder.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lenetscope.errors import DataError, UsageError, unknown
from lenetscope.registry import Registry

if TYPE_CHECKING:  # late, so that names can be listed without torch
    from lenetscope.data.dataset import RawDataset
    from lenetscope.data.pixels import Form

KNOWN = {
    "fashion-mnist": ("FashionMNIST", ""),
    "kmnist": ("KMNIST", ""),
    "emnist-balanced": ("EMNIST", "balanced"),
    "emnist-byclass": ("EMNIST", "byclass"),
    "emnist-bymerge": ("EMNIST", "bymerge"),
    "emnist-digits": ("EMNIST", "digits"),
    "emnist-letters": ("EMNIST", "letters"),
    "emnist-mnist": ("EMNIST", "mnist"),
    "qmnist": ("QMNIST", ""),
    "usps": ("USPS", ""),
}
"""The classes of `torchvision.datasets` whose files are read, and which part of them."""

DATASETS: "Registry[Callable[[Path | None, bool], RawDataset]]" = Registry("data set", open=True)
DATASETS.defer("mnist", "lenetscope.data.sources.mnist")
DATASETS.defer("mnist-lines", "lenetscope.reading.training.lines")
for _name in KNOWN:
    DATASETS.defer(_name, "lenetscope.data.sources.torchvision")

LIGHT = (
    "the background is light; the network was trained on light shapes on dark, so the prediction means "
    "nothing."
)
"""What is said of a light picture if `light_on_dark`."""

TABLES = (".csv", ".csv.gz", ".parquet", ".npz")


def is_path(data: str) -> bool:
    """Tell whether a recipe's data are a folder or file: what is neither a name nor a function.

    >>> is_path("mnist"), is_path("./mnist"), is_path("module:function"), is_path("digits.csv")
    (False, True, False, True)
    """
    if data in DATASETS.names() or not data:
        return False
    try:
        there = Path(data).exists()
    except (OSError, ValueError):  # a path that is too long, or holds a NUL
        there = True
    function = re.fullmatch(r"[\w.]+:\w+", data)
    return there or (not function and re.search(r"[/\\.\0]", data) is not None)


def light_on_dark(data: str) -> bool:
    """Tell whether a recipe's data are light shapes on dark, as all data sets with a name are.

    >>> light_on_dark("mnist"), light_on_dark("photos/")
    (True, False)
    """
    return data in DATASETS.names()


def read(data: str, form: "Form", data_dir: Path | None = None, download: bool = False) -> "RawDataset":
    """Read what a recipe names.

    Args:
        data: a registered name, a path, or ``module:function``.
        form: of all images.
        data_dir: folder of data with a name; or where a path is now, if it has moved.
        download: add files that are missing to the folder of data with a name.

    Raises:
        UsageError: if there are no such data, or files are to be added to what is the user's own.
        DataError: if a file is missing or corrupt.
        StorageError: if files cannot be added, or a cache not be written.
    """
    path = is_path(data)
    if path or ":" in data:
        if download:
            raise UsageError(f"--download is for data with a name, and '{data}' are your own.")
        raw = _read_path(data_dir or Path(data), form) if path else _call(data, form)
    elif data in DATASETS.names():
        raw = DATASETS.get(data)(data_dir, download)
    else:
        known = unknown("data set", data, DATASETS.names())
        raise UsageError(f"{known} Nor is there a file or folder of that name.")
    if data_dir and not raw.where:
        raise UsageError(f"'{data}' is not read from a folder: give no --data-dir.")
    if len(raw.classes) < 2:
        raise DataError(f"'{data}' has one class, '{raw.classes[0]}'; at least two classes are needed.")
    return raw


def _call(data: str, form: "Form") -> "RawDataset":
    from lenetscope.data.sources.function import read_function

    return read_function(data, DATASETS.get(data), form)


def _read_path(path: Path, form: "Form") -> "RawDataset":
    """Read a folder or file by what it holds."""
    from lenetscope.data.contents import contents
    from lenetscope.data.sources import folder, idx, table

    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except (OSError, ValueError):
        is_folder = is_file = False
    if is_file and path.name.lower().endswith(TABLES):
        return table.read_table(path)
    if is_folder and idx.holds_idx(path):
        return idx.read_idx_folder(path)
    if is_folder and folder.holds_images(path):
        return folder.read_folder(path, form)
    raise DataError(contents(path))
