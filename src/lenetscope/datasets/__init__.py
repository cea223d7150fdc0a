"""Images and labels as tensors in memory, from a registered dataset.

In: a recipe and the folder for data. Out: `Splits` of uint8 images, class names and the checksums of
the files. Preprocessing happens batch by batch, in `loader`.
"""

import lenetscope.datasets.handwriting  # noqa: F401 - registers its augmentation
from lenetscope.datasets.augment import AUGMENTATIONS
from lenetscope.datasets.loader import BatchLoader
from lenetscope.datasets.preprocess import Preprocess
from lenetscope.datasets.raw import LabelledImages, RawDataset, Rows
from lenetscope.datasets.splits import DATASETS, Splits, load

__all__ = [
    "AUGMENTATIONS",
    "DATASETS",
    "BatchLoader",
    "LabelledImages",
    "Preprocess",
    "RawDataset",
    "Rows",
    "Splits",
    "load",
]
