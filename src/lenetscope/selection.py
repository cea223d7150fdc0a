"""Which images and layers are inspected."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from torch import Tensor

from lenetscope.arguments import require_list
from lenetscope.data.pixels import fit_to
from lenetscope.observe import Layers, find_layers
from lenetscope.pictures import decode

if TYPE_CHECKING:
    from lenetscope.inspection import Inspection

SAMPLES = 4
"""Test images that are inspected where no picture is given."""
EXAMPLES = 12
"""Examples at most, one per class."""
IMAGES_PER_CELL = 12
"""Images of a cell of the confusion matrix that a page embeds."""
EMBEDDED_BYTES = 400_000
"""What the pixels of all embedded images may take."""


@dataclass(frozen=True)
class Selection:
    """Images and layers to inspect.

    Attributes:
        pixels: (M, C, H, W) uint8.
        labels: M names of their true classes, None where they are not known.
        layers: names, or None for what suits a question.
    """

    pixels: Tensor
    labels: list[str] | None
    layers: list[str] | None

    @classmethod
    def of(cls, inspection: "Inspection", pictures: Sequence[Path] = (), layers: Layers = None) -> Self:
        """Read picture files, or take the first test images; find layers.

        Args:
            inspection: of the run.
            pictures: files; they are made grey if need be and resized, no more.
            layers: names or patterns.

        Raises:
            ImageError: if a picture cannot be read.
            LayerError: if the network has no such layer.
        """
        found = list(find_layers(inspection.model, layers)) if layers else None
        files = require_list("pictures must be a list of files", pictures)
        if not files:
            labels = [inspection.classes[k] for k in inspection.labels[:SAMPLES].tolist()]
            return cls(inspection.pixels[:SAMPLES], labels, found)
        channels, height, width = inspection.image_shape
        pixels = torch.stack([fit_to(decode(p, channels), (height, width)) for p in files])
        return cls(pixels, None, found)


@dataclass(frozen=True)
class Embedded:
    """Test images that a page embeds.

    Attributes:
        indices: of the test images, in the order of their pixels in the page.
        cells: (true, predicted) to places in ``indices``.
        examples: places in ``indices``.
        left_out: mistakes whose image is not embedded.
    """

    indices: tuple[int, ...]
    cells: dict[tuple[int, int], tuple[int, ...]]
    examples: tuple[int, ...]
    left_out: int


def examples_of(labels: Tensor, predicted: Tensor, classes: int) -> list[int]:
    """Return the first image of each of the first classes, a correct prediction where there is one.

    Args:
        labels: (N,) true classes.
        predicted: (N,) predicted classes.
        classes: how many there are.
    """
    true, answers = labels.numpy(), predicted.numpy()
    chosen: list[int] = []
    for label in range(min(EXAMPLES, classes)):
        members = np.flatnonzero(true == label)
        correct = members[answers[members] == label]
        chosen += (correct if len(correct) else members)[:1].tolist()
    return chosen


def images_to_embed(
    labels: Tensor, predicted: Tensor, image_shape: tuple[int, int, int], examples: Sequence[int]
) -> Embedded:
    """Choose examples first, then mistakes, then correct predictions of each class, within a budget."""
    room = max(EXAMPLES, EMBEDDED_BYTES // math.prod(image_shape))
    true, answers = labels.numpy(), predicted.numpy()
    places: dict[int, int] = {}
    cells: dict[tuple[int, int], list[int]] = {}

    def add(index: int) -> None:
        members = cells.setdefault((int(true[index]), int(answers[index])), [])
        if index not in places and len(places) < room and len(members) < IMAGES_PER_CELL:
            places[index] = len(places)
            members.append(places[index])

    mistakes = np.flatnonzero(true != answers).tolist()
    for index in (*examples, *mistakes):
        add(index)
    correct = [np.flatnonzero((true == k) & (answers == k)) for k in np.unique(true)]
    for rank in range(IMAGES_PER_CELL):  # one of each class, then a second of each
        for members in correct:
            if rank < len(members):
                add(int(members[rank]))
    return Embedded(
        tuple(places),
        {cell: tuple(members) for cell, members in cells.items() if members},
        tuple(places[index] for index in examples if index in places),
        sum(index not in places for index in mistakes),
    )
