"""From a dataset's training and test images to what is trained on, validated on and tested on.

In: the name of a registered dataset. Out: `Splits`. The training loop receives ``train`` and
``valid``, never ``test``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from lenetscope.datasets.idx import MAP_ABOVE, read_idx_folder
from lenetscope.datasets.mnist import read_mnist
from lenetscope.datasets.others import read_mnist_and_others
from lenetscope.datasets.raw import LabelledImages, RawDataset, Rows
from lenetscope.errors import RecipeError
from lenetscope.recipe import Recipe
from lenetscope.registry import Registry

DATASETS: Registry[Callable[[Path | None], RawDataset]] = Registry("dataset")
DATASETS.register("mnist")(read_mnist)
DATASETS.register("idx")(read_idx_folder)
DATASETS.register("mnist-and-others")(read_mnist_and_others)


@dataclass(frozen=True)
class Splits:
    """The parts of a dataset; with no holdout, ``valid`` is the same tensors as ``test``."""

    train: LabelledImages
    valid: LabelledImages
    test: LabelledImages
    classes: tuple[str, ...]
    checksums: dict[str, str]


class _Halves(NamedTuple):
    kept: LabelledImages
    held_out: LabelledImages


def load(recipe: Recipe, data_dir: Path | None = None) -> Splits:
    """Read the recipe's dataset and split it.

    Args:
        recipe: names the dataset and says how many training images to hold out.
        data_dir: where data lies; by default the user's cache, see `datasets.mnist`.

    Raises:
        RecipeError: if the dataset is unknown or smaller than the holdout.
        DataError: if a file is missing or corrupt.
        StorageError: if the data cannot be laid out.
    """
    raw = DATASETS.get(recipe.dataset)(data_dir)
    channels = raw.train.images.shape[1]
    if len(recipe.mean) != channels:
        raise RecipeError(
            f"'mean' and 'std' must have {channels} number(s), one a channel of "
            f"'{recipe.dataset}', not {len(recipe.mean)}."
        )
    train, valid = raw.train, raw.test
    if recipe.holdout:
        train, valid = _hold_out(raw.train, recipe)
    return Splits(train, valid, raw.test, raw.classes, raw.checksums)


def _hold_out(images: LabelledImages, recipe: Recipe) -> _Halves:
    """Take ``recipe.holdout`` images out at random, in an order that its seed decides."""
    total = len(images.labels)
    if recipe.holdout >= total:
        raise RecipeError(
            f"'holdout' must be below {total}, the training images there are, not {recipe.holdout}."
        )
    order = torch.randperm(total, generator=torch.Generator().manual_seed(recipe.seed))
    return _Halves(
        _take(images, order[recipe.holdout :].sort().values),
        _take(images, order[: recipe.holdout].sort().values),
    )


def _take(data: LabelledImages, index: Tensor) -> LabelledImages:
    """Return some of the images: a copy, or no more than their numbers if all would not fit."""
    images = data.images
    if isinstance(images, Tensor) and images.numel() > MAP_ABOVE:
        return LabelledImages(Rows(images, index), data.labels[index])
    return LabelledImages(images[index], data.labels[index])
