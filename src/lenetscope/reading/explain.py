"""The picture after each step, beside what the network would have said to it there.

In: a picture, the sheet and the digits that were found. Out: steps. What the network is given of a step
is the step's picture resized to 28x28, as one would who stopped there.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from lenetscope.reading.components import union
from lenetscope.reading.grey import to_grey
from lenetscope.reading.judge import Judge
from lenetscope.reading.results import Step
from lenetscope.reading.segmentation import Found
from lenetscope.reading.sheet import Sheet

Array = npt.NDArray[Any]

SHOWN = 400
"""Pixels of the longest side of the whole picture as it is shown."""


def explain(
    picture: Image.Image, sheet: Sheet | None, lines: list[list[Found]], judge: Judge
) -> tuple[Step, ...]:
    """Return the steps of a reading, those of the whole picture first, then those of each digit.

    Args:
        picture: of mode L or RGB.
        sheet: None if the picture was judged as it is.
        lines: the digits found.
        judge: to ask about each step.
    """
    small = picture.copy()
    small.thumbnail((SHOWN, SHOWN), reducing_gap=2.0)
    steps: list[tuple[str, Array, int | None]] = [("picture", to_grey(np.asarray(small)), None)]
    digits = [digit for line in lines for digit in line]
    if sheet:
        ink = np.clip(sheet.ink, 0, 1) / max(float(sheet.ink.max()), 1e-3)
        steps += [
            ("illumination", ink if sheet.polarity.light else 1 - ink, None),
            ("polarity", ink, None),
            ("ink", sheet.mask.astype(np.float32), None),
            ("lines of paper", sheet.clean.astype(np.float32), None),
            ("pieces", _pieces(sheet), None),
        ]
    for number, digit in enumerate(digits):
        steps += [(name, shown, number) for name, shown in digit.prepared.steps]
        if not digit.prepared.steps:
            steps.append(("as it is", digit.prepared.image.astype(np.float32) / 255, number))
    images = [_as_image(shown, square=digit is not None) for _, shown, digit in steps]
    probabilities, _ = judge.judge(torch.from_numpy(np.stack(images))[:, None])
    return tuple(
        Step(name, shown, image, str(int(p.argmax())), float(p.max()), digit)
        for (name, shown, digit), image, p in zip(steps, images, probabilities, strict=True)
    )


def _pieces(sheet: Sheet) -> Array:
    kept = union(sheet.pieces)
    shown = np.zeros(sheet.grey.shape, dtype=np.float32)
    shown[kept.top : kept.bottom, kept.left : kept.right] = kept.mask
    return shown


def _as_image(shown: Array, square: bool) -> Array:
    """Resize a step's picture to 28x28; a single digit's with its proportions kept."""
    if square:
        height, width = shown.shape
        side = max(height, width)
        top, left = (side - height) // 2, (side - width) // 2
        shown = np.pad(shown, ((top, side - height - top), (left, side - width - left)))
    large = Image.fromarray(np.clip(np.rint(shown * 255), 0, 255).astype(np.uint8))
    return np.asarray(
        large if large.size == (28, 28) else large.resize((28, 28), Image.Resampling.BILINEAR)
    )
