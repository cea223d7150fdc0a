"""From a data set to the images that are trained on, validated on and tested on.

The training loop receives ``train`` and ``valid``, never ``test``.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lenetscope.arguments import as_path
from lenetscope.data.dataset import LabelledImages, RawDataset, Rows
from lenetscope.data.sources import DATASETS
from lenetscope.data.sources.idx import MAP_ABOVE
from lenetscope.errors import RecipeError, UsageError
from lenetscope.recipe import Recipe


@dataclass(frozen=True)
class Splits(RawDataset):
    """The parts of a data set; without a holdout, ``valid`` is ``test``."""

    valid: LabelledImages

    def describe(self) -> str:
        """Return in one line what the data is: name, folder, numbers of images, size, classes."""
        held_out = f", {len(self.valid.labels):,} validation" if self.valid is not self.test else ""
        channels, height, width = self.train.images.shape[1:]
        count, names = len(self.classes), ", ".join(self.classes)
        if count > 5:
            names = f"{self.classes[0]}, {self.classes[1]}, … {self.classes[-1]}"
        where = f" ({self.where})" if self.where else ""
        return (
            f"{self.name}{where}: {len(self.train.labels):,} training{held_out} and"
            f" {len(self.test.labels):,} test images of {height}x{width}"
            f"{f' in {channels} channels' if channels > 1 else ''}, {count} classes: {names}"
        )


def load(recipe: Recipe, data_dir: str | Path | None = None, download: bool = False) -> Splits:
    """Read the recipe's data set and split it; the recipe's seed determines what is held out.

    Args:
        recipe: names the data set and the number of training images to hold out.
        data_dir: folder of the data, which is only read; by default the user's cache, see
            `sources.mnist`.
        download: add the data set's files to ``data_dir`` if they are missing.

    Raises:
        UsageError: if the data set is unknown, or is not read from a folder and one is given.
        RecipeError: if it has no more images than the holdout, or other channels than the recipe.
        DataError: if a file is missing or corrupt.
        StorageError: if MNIST cannot be unpacked.
    """
    data_dir = None if data_dir is None else as_path(data_dir)
    raw = DATASETS.get(recipe.dataset)(data_dir, download)
    if data_dir and not raw.where:
        raise UsageError(
            f"the dataset '{recipe.dataset}' is not read from a folder: give no --data-dir."
        )
    channels, total, held_out = raw.train.images.shape[1], len(raw.train.labels), recipe.holdout
    if len(recipe.mean) != channels:
        raise RecipeError(
            f"'mean' and 'std' must have {channels} number(s), one per channel of "
            f"'{recipe.dataset}', not {len(recipe.mean)}."
        )
    if held_out >= total:
        raise RecipeError(
            f"'holdout' must be below {total}, the number of training images, not {held_out}."
        )
    train, valid = raw.train, raw.test
    if held_out:
        order = torch.randperm(total, generator=torch.Generator().manual_seed(recipe.seed))
        train = _take(raw.train, order[held_out:].sort().values)
        valid = _take(raw.train, order[:held_out].sort().values)
    return Splits(**vars(raw) | {"train": train, "valid": valid})


def _take(data: LabelledImages, index: Tensor) -> LabelledImages:
    """Return some of the images: a copy, or a view where a copy may not fit into memory."""
    images = data.images
    if isinstance(images, Tensor) and images.numel() > MAP_ABOVE:
        return LabelledImages(Rows(images, index), data.labels[index])
    return LabelledImages(images[index], data.labels[index])
