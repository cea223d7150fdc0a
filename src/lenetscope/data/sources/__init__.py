"""Data sets that a recipe can name: one per file, under the file's name.

A data set is a function from its folder, or None for its default folder, to a `RawDataset`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lenetscope.registry import Registry

if TYPE_CHECKING:  # late, so that names can be listed without torch
    from lenetscope.data.dataset import RawDataset

DATASETS: "Registry[Callable[[Path | None], RawDataset]]" = Registry("dataset", __name__)
DATASETS.defer("mnist-and-others", "lenetscope.reading.training.mnist_and_others")
