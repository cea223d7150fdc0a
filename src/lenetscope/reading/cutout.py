"""Cuts one digit out, about a hundred pixels high, so that its outline can be worked on.

A pixel is ink if it is at least half as dark as the stroke around it, so that the stroke width depends
neither on the pressure of the pen nor on the sharpness of the picture.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from lenetscope.reading.components import Piece

Array = npt.NDArray[Any]

TALL = 96
"""Pixels of the longest side of a digit that was cut out."""


def cut_out(ink: Array, mask: Array, piece: Piece) -> Array:
    """Return the mask of one digit, its longest side `TALL` pixels, with a margin.

    Args:
        ink: (H, W) in [0, 1], of the whole sheet.
        mask: (H, W) bool, all ink of the sheet.
        piece: ink of the digit.
    """
    longest = max(piece.height, piece.width)
    margin = 3 + longest // 12
    top, left = piece.top - margin, piece.left - margin
    around = _window(ink, top, left, piece.height + 2 * margin, piece.width + 2 * margin)
    own = np.pad(piece.mask, margin)
    foreign = _window(mask, top, left, *own.shape) & ~own
    near = ndimage.binary_dilation(own, iterations=2) & ~foreign
    reach = max(3, longest // 5)
    dark = ndimage.uniform_filter(np.where(own, around, 0).astype(np.float32), reach)
    count = ndimage.uniform_filter(own.astype(np.float32), reach)
    level = dark / np.maximum(count, 1e-3)  # mean ink of the stroke around each pixel
    level = np.where(count > 1e-3, level, level.max())
    relative = np.where(near, np.clip(around / np.maximum(level, 1e-3), 0, 1), 0)
    scale = TALL / longest
    size = tuple(max(1, round(n * scale)) for n in reversed(relative.shape))
    large = Image.fromarray(relative.astype(np.float32)).resize(
        (size[0], size[1]), Image.Resampling.BICUBIC
    )
    return np.pad(np.asarray(large) > 0.5, TALL // 8)


def _window(values: Array, top: int, left: int, height: int, width: int) -> Array:
    """Return a part of an array, zero outside of it."""
    result = np.zeros((height, width), dtype=values.dtype)
    inner = values[max(top, 0) : top + height, max(left, 0) : left + width]
    first = (max(-top, 0), max(-left, 0))
    result[first[0] : first[0] + inner.shape[0], first[1] : first[1] + inner.shape[1]] = inner
    return result
