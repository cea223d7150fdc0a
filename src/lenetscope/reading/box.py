"""The last step: scales a digit to 20 pixels and centres it in 28x28, as MNIST's images were made.

The longest side becomes 20 pixels, each the average of the area it covers, and the centre of mass
moves to the centre (Y. LeCun et al., "Gradient-based learning applied to document recognition", Proc.
IEEE 86(11), 1998, III.A). Images made like this already are detected and not changed by a single bit.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[Any]

SIDE, BOX, CENTRE = 28, 20, 14.5
"""Sides of the image and of the box within it, and where MNIST's centre of mass lies, in pixels."""


def to_image(ink: Array) -> Array:
    """Return the 28x28 image of a digit.

    Args:
        ink: (H, W) in [0, 1], many pixels high.

    Returns:
        (28, 28) uint8, light on dark.
    """
    rows, columns = np.flatnonzero(ink.max(1) > 0.3), np.flatnonzero(ink.max(0) > 0.3)
    if not len(rows):
        return np.zeros((SIDE, SIDE), dtype=np.uint8)
    longest = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    step = longest / BOX  # pixels of ink per pixel of the image
    total = float(ink.sum())
    y = float((ink.sum(1) * (np.arange(ink.shape[0]) + 0.5)).sum()) / total
    x = float((ink.sum(0) * (np.arange(ink.shape[1]) + 0.5)).sum()) / total
    margin = int(np.ceil(SIDE * step)) + 2
    framed = Image.fromarray(np.pad(ink * 255, margin).astype(np.float32))
    left, top = x + margin - CENTRE * step, y + margin - CENTRE * step
    window = (left, top, left + SIDE * step, top + SIDE * step)
    image = framed.resize((SIDE, SIDE), Image.Resampling.BOX, box=window)
    pixels: Array = np.clip(np.rint(np.asarray(image)), 0, 255).astype(np.uint8)
    return pixels


def is_like_mnist(image: Array) -> bool:
    """Return whether an image is scaled and centred as by `to_image`; all 70,000 of MNIST are.

    Args:
        image: (H, W) uint8, light on dark.
    """
    if image.shape != (SIDE, SIDE) or not image.any():
        return False
    rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
    longest = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    if longest not in (BOX - 1, BOX):
        return False
    values = image.astype(float)
    y = float((values.sum(1) * np.arange(SIDE)).sum()) / float(values.sum())
    x = float((values.sum(0) * np.arange(SIDE)).sum()) / float(values.sum())
    return all(13.4 <= centre <= 14.6 for centre in (y, x))
