"""Which test images are in the page, and where they are found.

In: a `Study`. Out: a choice of images for the cells of the confusion matrix and for the drawing panel,
their pixels in one array, within a budget.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from lenetscope.inspection import Study
from lenetscope.report.pictures import base64_of

A_CELL = 12
"""Images of a cell that are in the page."""
BYTES = 400_000
"""What the pixels of all of them may take."""
EXAMPLES = 12
"""Images to begin with in the drawing panel, one a class."""


@dataclass(frozen=True)
class Shown:
    """Test images that are in the page.

    Attributes:
        indices: of the test images, in the order of their pixels in the page.
        cells: (true, predicted) to places in ``indices``.
        examples: places in ``indices``.
        left_out: wrong answers whose image is not in the page.
    """

    indices: tuple[int, ...]
    cells: dict[tuple[int, int], tuple[int, ...]]
    examples: tuple[int, ...]
    left_out: int


def choose(study: Study) -> Shown:
    """Choose examples of each class first, then errors, then right answers, while there is room."""
    room = max(EXAMPLES, BYTES // math.prod(study.image_shape))
    true, said = study.labels.numpy(), study.predicted.numpy()
    firsts = examples(study)
    places: dict[int, int] = {}
    cells: dict[tuple[int, int], list[int]] = {}

    def add(index: int) -> None:
        cell = (int(true[index]), int(said[index]))
        members = cells.setdefault(cell, [])
        if index not in places and len(places) < room and len(members) < A_CELL:
            places[index] = len(places)
            members.append(places[index])

    for index in firsts:
        add(index)
    for index in np.flatnonzero(true != said).tolist():
        add(index)
    for count in range(1, A_CELL + 1):  # a right answer of each class, then a second of each
        for label in range(len(study.classes)):
            right = np.flatnonzero((true == label) & (said == label))
            if len(right) >= count:
                add(int(right[count - 1]))
    wrong = {i for i in places if true[i] != said[i]}
    return Shown(
        tuple(places),
        {cell: tuple(members) for cell, members in cells.items() if members},
        tuple(places[i] for i in firsts if i in places),
        int((true != said).sum()) - len(wrong),
    )


def examples(study: Study) -> list[int]:
    """Return the first test image of each of the first classes, a right answer where there is one."""
    true, said = study.labels.numpy(), study.predicted.numpy()
    chosen = []
    for label in range(min(EXAMPLES, len(study.classes))):
        members = np.flatnonzero(true == label)
        right = members[said[members] == label]
        chosen += (right if len(right) else members)[:1].tolist()
    return chosen


def as_dict(study: Study, shown: Shown) -> dict[str, Any]:
    """Return pixels and answers of the images, for the page's scripts."""
    rows = list(shown.indices)
    own = study.probabilities[rows, study.predicted[rows]]
    return {
        "pixels": base64_of(study.pixels[rows].numpy()),  # (n, C, H, W) uint8
        "index": rows,
        "label": study.labels[rows].tolist(),
        "predicted": study.predicted[rows].tolist(),
        "probability": [round(value, 6) for value in own.tolist()],
        "examples": list(shown.examples),
        "cells": [
            {"true": true, "predicted": said, "images": list(places)}
            for (true, said), places in sorted(shown.cells.items())
        ],
    }
