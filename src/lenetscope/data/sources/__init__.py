"""Data sets that a recipe can name: one per file, under the file's name.

A data set is a function that returns a `RawDataset`. It is given the folder to read, None for the data
set's own, and whether missing files may be added to that folder.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lenetscope.registry import Registry

if TYPE_CHECKING:  # late, so that names can be listed without torch
    from lenetscope.data.dataset import RawDataset

DATASETS: "Registry[Callable[[Path | None, bool], RawDataset]]" = Registry("dataset", __name__)
DATASETS.defer("mnist-lines", "lenetscope.reading.training.lines")
