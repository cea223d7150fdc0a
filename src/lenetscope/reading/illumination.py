"""How much darker than its paper each pixel is, whatever the light.

In: grey. Out: ink in [0, 1], 0 for paper: one minus the grey divided by the paper's. The paper is the
grey closing of the picture: dark things narrower than a window are filled with what lies around them,
while steps, such as the edge of a shadow or of a table, stay where they are and so cancel out. The
window is the narrowest that finds the sharp edges that there are: a narrower one would miss strokes, a
wider one would take a shadow for ink. (J. Serra, Image Analysis and Mathematical Morphology, 1982.)
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Array = npt.NDArray[Any]

SHARES = (1 / 24, 1 / 14, 1 / 9, 1 / 5.5, 1 / 3.5, 1 / 2.2)
"""Windows tried, as shares of the shorter side; at least 5 pixels."""
MOST = 0.7
"""Share of the edges found by the best window that a narrower one must find."""
ROOM = 2.2
"""How much wider the window is made then: where strokes meet they are thicker."""
NARROW = 160
"""Longest side of the picture on which windows are compared."""


def flatten(grey: Array, window: int) -> Array:
    """Return the ink of dark strokes on lighter paper.

    Args:
        grey: (H, W) in [0, 1].
        window: in pixels; strokes are narrower, shadows and tables wider.

    Returns:
        (H, W) in [0, 1]: 0 where there is paper, 1 for black on any paper.
    """
    paper = ndimage.maximum_filter(_calm(grey), window, mode="nearest")
    paper = ndimage.minimum_filter(paper, window, mode="nearest")
    paper = ndimage.uniform_filter(paper, max(1, window // 5), mode="nearest")
    darker = 1 - grey / np.maximum(paper, 0.02)
    ink: Array = np.clip(darker - np.median(darker[::3, ::3]), 0, 1)
    return ink


def windows_for(grey: Array) -> list[int]:
    """Return the windows to try, in pixels, the narrowest first."""
    side = min(grey.shape)
    return sorted({max(5, round(share * side) | 1) for share in SHARES})


def edges_found(grey: Array, windows: list[int]) -> list[float]:
    """Return how much of the edges of dark strokes each window finds.

    That is the mean squared gradient of the ink that stands out of the noise. A slow change of light
    has next to none.

    Args:
        grey: (H, W) in [0, 1].
        windows: in pixels.
    """
    found = []
    for window in windows:
        ink = flatten(grey, window)
        noise = 1.4826 * float(np.median(np.abs(ink - np.median(ink))))
        strong = np.clip(ink - 0.03 - 4 * noise, 0, None)
        down, right = np.diff(strong, axis=0), np.diff(strong, axis=1)
        found.append(float((down * down).mean() + (right * right).mean()))
    return found


def narrowest(found: list[float]) -> int:
    """Return which window is the narrowest that finds most of the edges."""
    return next(number for number, edges in enumerate(found) if edges >= MOST * max(found))


def reduced(grey: Array) -> tuple[Array, int]:
    """Return a picture small enough to compare windows on, and how many pixels make one of it."""
    step = max(1, round(max(grey.shape) / NARROW))
    rows, columns = (max(1, n // step) for n in grey.shape)
    if step == 1 or min(grey.shape) < step:
        return grey, 1
    cells = grey[: rows * step, : columns * step].reshape(rows, step, columns, step)
    return cells.mean((1, 3)), step


def _calm(grey: Array) -> Array:
    """Average over 3x3, so that the brightest grain is not taken for the paper."""
    return ndimage.uniform_filter(grey, 3, mode="nearest") if min(grey.shape) > 60 else grey
