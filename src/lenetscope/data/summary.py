"""What a data set holds: counts, pixels, duplicates, and a picture of its classes."""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lenetscope.data.dataset import LabelledImages
from lenetscope.data.loader import BatchLoader
from lenetscope.data.pixels import CHUNK, resized
from lenetscope.data.preprocess import Preprocess
from lenetscope.data.splits import Splits
from lenetscope.data.statistics import mean_and_std
from lenetscope.plots import style, tiles
from lenetscope.plots.style import Array
from lenetscope.table import counted, text_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELL, NAMES, HEAD = 0.42, 1.3, 0.7
"""Inches: side of an image, width of the names, height of the title."""
ROWS, MOST, LARGEST = 21, 63, 60
"""Classes below each other and in all, and pixels of the longer side of an image."""
SAMPLES = {1: 12, 2: 8, 3: 5}
"""Images of each class, by the number of columns of classes."""


@dataclass(frozen=True)
class Summary:
    """What a data set holds.

    Attributes:
        name, where, classes, left_out: see `RawDataset`.
        image_shape: (C, H, W).
        counts: images of each class, by part: ``train``, perhaps ``valid``, ``test``.
        mean, std: of the training pixels, from 0 to 1, one number per channel; as in a recipe.
        repeated: images that have the same pixels as an earlier one of their part, by part.
        in_training: images that are training images, too, pixel by pixel, by other part.
        contradictory: images whose pixels occur under another label, too, in all parts together.
    """

    name: str
    where: str | None
    classes: tuple[str, ...]
    image_shape: tuple[int, ...]
    counts: dict[str, list[int]]
    mean: list[float]
    std: list[float]
    repeated: dict[str, int]
    in_training: dict[str, int]
    contradictory: int
    left_out: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        channels, height, width = self.image_shape
        colour = {1: "grey", 3: "colour"}.get(channels, f"{channels} channels")
        train = self.counts["train"]
        most, least = max(train), min(train)
        names = [self.classes[train.index(count)] for count in (most, least)]
        balance = f"{most:,} training images of '{names[0]}', {least:,} of '{names[1]}'"
        numbers = [", ".join(f"{value:.4f}" for value in each) for each in (self.mean, self.std)]
        repeated = [f"{count:,} within {_PARTS[part]}" for part, count in self.repeated.items()]
        repeated += [f"{n:,} {_PARTS[part]} images in training" for part, n in self.in_training.items()]
        facts = {
            "data": self.name,
            "images": f"{height}x{width}, {colour}",
            "balance": balance if most > least else f"{most:,} training images of each class",
            "pixels": f"mean = [{numbers[0]}], std = [{numbers[1]}]",
            "repeated": ", ".join(repeated),
        }
        if self.contradictory:
            facts["labels"] = f"{counted(self.contradictory, 'image')} also under another label"
        if self.left_out:
            facts["left out"] = f"{counted(len(self.left_out), 'file')} that cannot be read:"
        lines = [f"{name:9} {text}" for name, text in facts.items()]
        lines += [f"          {file}" for file in self.left_out]
        headings = ["class", *(_PARTS[part] for part in self.counts)]
        columns = [*self.counts.values()]
        rows = [[name, *(f"{c[k]:,}" for c in columns)] for k, name in enumerate(self.classes)]
        rows.append(["all", *(f"{sum(column):,}" for column in columns)])
        table = text_table(headings, rows, [False] + [True] * len(columns))
        return "\n".join([*lines, "", table])


_PARTS = {"train": "training", "valid": "validation", "test": "test"}


def summarize(splits: Splits) -> Summary:
    """Count the images of each class, measure the training pixels and find duplicates.

    Duplicates are images with exactly the same pixels.
    """
    parts = {"train": splits.train, "valid": splits.valid, "test": splits.test}
    if splits.valid is splits.test:
        del parts["valid"]
    channels = splits.train.images.shape[1]
    plain = Preprocess([0.0] * channels, [1.0] * channels)
    mean, std = mean_and_std(BatchLoader(splits.train, CHUNK, plain))
    hashes = {part: list(_hashes(data)) for part, data in parts.items()}
    seen = {part: set(each) for part, each in hashes.items()}
    labels: dict[bytes, set[int]] = {}
    for part, data in parts.items():
        for each, label in zip(hashes[part], data.labels.tolist(), strict=True):
            labels.setdefault(each, set()).add(label)
    count = len(splits.classes)
    return Summary(
        splits.name,
        str(splits.where) if splits.where else None,
        splits.classes,
        tuple(splits.train.images.shape[1:]),
        {part: torch.bincount(data.labels, minlength=count).tolist() for part, data in parts.items()},
        mean.tolist(),
        std.tolist(),
        {part: len(each) - len(seen[part]) for part, each in hashes.items()},
        {
            part: sum(one in seen["train"] for one in each)
            for part, each in hashes.items()
            if part != "train"
        },
        sum(len(labels[one]) > 1 for each in hashes.values() for one in each),
        splits.left_out,
    )


def _hashes(data: LabelledImages) -> Iterator[bytes]:
    for start in range(0, len(data.labels), CHUNK):
        for image in data.images[start : start + CHUNK].contiguous().numpy():
            yield hashlib.md5(image.data, usedforsecurity=False).digest()


def plot_classes(splits: Splits, **figure_options: Any) -> "Figure":
    """Draw the mean of each class's training images and some of these, evenly from first to last.

    Args:
        splits: the data.
        figure_options: go to `matplotlib.figure.Figure`.
    """
    names = splits.classes[:MOST]
    columns = min(len(SAMPLES), math.ceil(len(names) / (ROWS if len(names) > 2 * ROWS else 14)))
    rows, samples = math.ceil(len(names) / columns), SAMPLES[columns]
    height, width = splits.train.images.shape[2:]
    long = max(height, width)
    size = columns * (NAMES + (samples + 1.5) * CELL * width / long), HEAD + rows * CELL * height / long
    some = f"the first {MOST} of {len(splits.classes)}" if len(splits.classes) > MOST else len(names)
    with style.new_figure(figure_options, size) as figure:
        figure.suptitle(f"{splits.name}: {some} classes", fontsize=11)
        for column, ax in enumerate(np.atleast_1d(figure.subplots(1, columns))):
            first = column * rows
            shown = range(first, min(first + rows, len(names)))
            canvas, side = _canvas([_row(splits.train, k, samples) for k in shown], rows)
            tiles.image(ax, canvas)
            tiles.bare(ax)
            tiles.number(ax.yaxis, side[0], {k - first: _short(names[k]) for k in shown})
            middle = side[1] * (1.5 + samples / 2)
            ax.set_xticks([side[1] / 2, middle], ["mean", "training images"])
            ax.tick_params(length=0, labelsize=9, labeltop=True, labelbottom=False)
    return figure


def _short(name: str) -> str:
    return name if len(name) <= 16 else f"{name[:15]}…"


def _row(data: LabelledImages, label: int, samples: int) -> Array:
    """Return the mean image of a class and some of its images, (n + 1, C, H, W) uint8."""
    places = (data.labels == label).nonzero()[:, 0]
    total = torch.zeros(data.images.shape[1:], dtype=torch.float64)
    for part in torch.split(places, CHUNK):
        total += data.images[part].sum(dim=0, dtype=torch.float64)
    mean = (total / len(places)).round().to(torch.uint8)[None]
    chosen = places[torch.linspace(0, len(places) - 1, min(samples, len(places))).long()]
    images = torch.cat([mean, data.images[chosen]])
    height, width = images.shape[2:]
    scale = min(1.0, LARGEST / max(height, width))
    small = max(1, round(height * scale)), max(1, round(width * scale))
    return resized(images, small).numpy()


def _canvas(found: list[Array], rows: int) -> tuple[Array, tuple[int, int]]:
    """Return rows of images as one, white between them, and the height and width of one image.

    The first image stands apart from the others.
    """
    channels, height, width = found[0].shape[1:]
    most = max(map(len, found))
    apart = width // 2
    canvas = np.full(
        (channels, rows * (height + 1) - 1, most * (width + 1) - 1 + apart), 255, dtype=np.uint8
    )
    for row, images in enumerate(found):
        for place, image in enumerate(images):
            left = place * (width + 1) + (apart if place else 0)
            canvas[:, row * (height + 1) :, left:][:, :height, :width] = image
    return canvas, (height, width)
