"""Images and labels as tensors in memory, from a registered dataset.

In: a recipe and the folder for data. Out: `Splits` of uint8 images, class names and the checksums of
the files. Preprocessing happens batch by batch, in `loader`.
"""

from lenetscope.datasets.loader import BatchLoader
from lenetscope.datasets.preprocess import Preprocess
from lenetscope.datasets.raw import LabelledImages, RawDataset
from lenetscope.datasets.splits import DATASETS, Splits, load

__all__ = [
    "DATASETS",
    "BatchLoader",
    "LabelledImages",
    "Preprocess",
    "RawDataset",
    "Splits",
    "load",
]
