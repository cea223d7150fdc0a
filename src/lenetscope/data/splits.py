"""From a data set to the images that are trained on, validated on and tested on.

The training loop receives ``train`` and ``valid``, never ``test``.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lenetscope.arguments import as_path
from lenetscope.data.dataset import LabelledImages, RawDataset
from lenetscope.data.pixels import Form
from lenetscope.data.sources import is_path, read
from lenetscope.errors import DataError, RecipeError
from lenetscope.recipe import Recipe
from lenetscope.table import counted

TEST = 5
"""One image of so many is for testing where the data have no test part."""


@dataclass(frozen=True)
class Splits(RawDataset):
    """The parts of a data set; without a holdout or a validation part, ``valid`` is ``test``."""

    test: LabelledImages
    valid: LabelledImages

    def describe(self) -> str:
        """Return in one line what the data is: name, folder, numbers of images, size, classes.

        A second line names what was left out.
        """
        held_out = f", {len(self.valid.labels):,} validation" if self.valid is not self.test else ""
        channels, height, width = self.train.images.shape[1:]
        count, names = len(self.classes), ", ".join(self.classes)
        if count > 5:
            names = f"{self.classes[0]}, {self.classes[1]}, … {self.classes[-1]}"
        where = f" ({self.where})" if self.where else ""
        left_out = ""
        if self.left_out:
            more = f" and {len(self.left_out) - 3} more" if len(self.left_out) > 3 else ""
            left_out = f"\nleft out, because they cannot be read: {', '.join(self.left_out[:3])}{more}"
        return (
            f"{self.name}{where}: {len(self.train.labels):,} training{held_out} and"
            f" {len(self.test.labels):,} test images of {height}x{width}"
            f"{f' in {channels} channels' if channels > 1 else ''}, {count} classes: {names}{left_out}"
        )


def load(recipe: Recipe, data_dir: str | Path | None = None, download: bool = False) -> Splits:
    """Read the recipe's data and split them; the recipe's seed determines what is held out.

    A part that the data have themselves is used as it is: then a test part is not split off, and a
    validation part takes the place of the holdout.

    Args:
        recipe: names the data and the number of training images to hold out.
        data_dir: folder of data that have a name, which is only read, by default the user's cache; or
            where data that are named by their path are now, if they have moved.
        download: add missing files to ``data_dir``.

    Raises:
        UsageError: if there are no such data, or they are not read from a folder and one is given.
        RecipeError: if there are no more images than the holdout, or other channels than the recipe's.
        DataError: if a file is missing or corrupt, or there are too few images or classes.
        StorageError: if MNIST cannot be unpacked.
    """
    data_dir = None if data_dir is None else as_path(data_dir)
    form = Form(recipe.image_size, recipe.channels)
    raw = read(recipe.data, form, data_dir, download)
    parts = (
        LabelledImages(form(part.images[:]), part.labels)
        if part and not form.fits(part.images.shape)
        else part
        for part in (raw.train, raw.valid, raw.test)
    )
    train, valid, test = parts
    assert train is not None
    channels, held_out = train.images.shape[1], recipe.holdout
    if len(recipe.mean) not in (1, channels):
        raise RecipeError(
            f"'mean' and 'std' must have 1 or {channels} number(s), one per channel of "
            f"'{recipe.data}', not {len(recipe.mean)}."
        )
    if test is None:
        _require_two_of_each(raw, recipe.data)
        test, train = _divided(train, len(train.labels) // TEST or 1, recipe.seed, by_class=True)
    if valid is None and held_out:
        if held_out >= (total := len(train.labels)):
            raise RecipeError(
                f"'holdout' must be below {total}, the number of training images, not {held_out}."
            )
        valid, train = _divided(train, held_out, recipe.seed, raw.by_class)
    return Splits(**vars(raw) | {"train": train, "test": test, "valid": valid or test})


def completed(recipe: Recipe, splits: Splits) -> Recipe:
    """Return a recipe with what its data determine, so that it means the same anywhere.

    The path is absolute, mean and std have a number for each channel, and the holdout is the number of
    validation images.
    """
    channels = splits.train.images.shape[1]
    changes: dict[str, object] = (
        {"data": str(Path(recipe.data).resolve())} if is_path(recipe.data) else {}
    )
    if len(recipe.mean) < channels:
        changes |= {"mean": recipe.mean * channels, "std": recipe.std * channels}
    if splits.valid is not splits.test:
        changes["holdout"] = len(splits.valid.labels)
    return recipe.replace(**changes)


def _require_two_of_each(raw: RawDataset, data: str) -> None:
    counts = torch.bincount(raw.train.labels, minlength=len(raw.classes)).tolist()
    for name, count in zip(raw.classes, counts, strict=True):
        if count < 2:
            raise DataError(
                f"'{data}' has {counted(count, 'image')} of the class '{name}'; two are needed, to "
                "train and to test on, as the data have no test part."
            )


def _divided(
    data: LabelledImages, count: int, seed: int, by_class: bool
) -> tuple[LabelledImages, LabelledImages]:
    """Draw some images; return these and the others, each in the order in which they were.

    Args:
        data: to draw from.
        count: of images to draw.
        seed: determines which.
        by_class: draw from each class in proportion, and never the last image of one.
    """
    order = torch.randperm(len(data.labels), generator=torch.Generator().manual_seed(seed))
    if by_class:
        order = order[_turns(data.labels[order]).argsort(stable=True)]
    return data.take(order[:count].sort().values), data.take(order[count:].sort().values)


def _turns(labels: Tensor) -> Tensor:
    """Return when each image is drawn, (N,): the i-th of the n of its class at i/n, the last at 1."""
    turns = torch.empty(len(labels))
    for label in set(labels.tolist()):
        places = (labels == label).nonzero()[:, 0]
        turns[places] = torch.arange(len(places)) / len(places)
        turns[places[-1]] = 1
    return turns
