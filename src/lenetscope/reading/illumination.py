"""Corrects uneven illumination: computes how much darker than its paper each pixel is.

Ink is one minus the grey divided by the paper's. The paper is estimated by a grey closing (J. Serra,
Image Analysis and Mathematical Morphology, 1982): dark objects narrower than the window are filled
with their surroundings, while steps, such as the edge of a shadow or of a table, stay and so cancel
out. The window is the narrowest that finds most of the sharp edges: a narrower one would miss strokes,
a wider one would mistake a shadow for ink.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Array = npt.NDArray[Any]

FRACTIONS = (1 / 24, 1 / 14, 1 / 9, 1 / 5.5, 1 / 3.5, 1 / 2.2)
"""Windows tried, as fractions of the shorter side; at least 5 pixels."""
MOST = 0.7
"""Fraction of the edges found by the best window that a narrower one must find."""
ROOM = 2.2
"""Factor by which the window is then widened: where strokes meet they are thicker."""
DARKEST, DARKEST_UNDER_LIGHT_INK = 0.08, 0.4
"""Lower bounds of the paper's brightness, the second for light ink, whose negative is brighter."""
FAINT = 0.02
"""Difference of greys up to which there is no edge."""
QUIET = 0.004
"""Standard deviation of the noise up to which a picture is not smoothed."""
APART = 5
"""Distance of the pixels that are compared to estimate the noise."""
NARROW = 96
"""Longest side, in pixels, of the picture on which windows are compared."""


def flatten(grey: Array, window: int, light: bool = False) -> Array:
    """Return the ink of strokes on paper.

    Args:
        grey: (H, W) in [0, 1].
        window: in pixels; strokes are narrower, shadows and tables wider.
        light: whether strokes are lighter than their paper; then the negative is used.

    Returns:
        (H, W), at most 1: around 0 where there is paper, 1 for black on white.
    """
    if light:
        grey = 1 - grey
    paper = np.maximum(_paper(_calm(grey), window), DARKEST_UNDER_LIGHT_INK if light else DARKEST)
    return _levelled(1 - grey / paper)


def _paper(calm: Array, window: int) -> Array:
    """Return the grey closing, slightly smoothed."""
    paper = ndimage.maximum_filter(calm, window, mode="nearest")
    paper = ndimage.minimum_filter(paper, window, mode="nearest")
    smooth: Array = ndimage.uniform_filter(paper, max(1, window // 5), mode="nearest")
    return smooth


def _levelled(ink: Array) -> Array:
    """Shift ink so that its median, which is paper, is 0."""
    return ink - float(np.median(ink[::3, ::3]))


def noise_of(values: Array) -> float:
    """Return the standard deviation of a picture's noise, estimated from differences of near pixels.

    In more than half of all such pairs both are paper or both are ink, so the median is used. They are
    some pixels apart, because the grain of an enlarged or blurred picture is larger than a pixel.
    """
    steps = np.abs(values[::4, APART::2] - values[::4, :-APART:2])
    return float(np.median(steps)) / 0.6745 / 2**0.5 if steps.size else 0.0


def windows_for(grey: Array) -> list[int]:
    """Return the windows to try, in pixels, narrowest first."""
    side = min(grey.shape)
    return sorted({max(5, round(fraction * side) | 1) for fraction in FRACTIONS})


def edges_found(grey: Array, windows: list[int], light: bool) -> list[float]:
    """Return how strong the edges of strokes are that each window finds.

    That is the mean squared gradient of what exceeds the paper and its noise; a slow change of light
    has almost none. It is computed from differences of greys, not from ratios as in `flatten`, so that
    light and dark strokes are comparable, and a pale page is not mistaken for one of light strokes.

    Args:
        grey: (H, W) in [0, 1].
        windows: in pixels.
        light: whether strokes are lighter than their paper.
    """
    if light:
        grey = 1 - grey
    found, calm = [], _calm(grey)
    for window in windows:
        ink = _levelled(_paper(calm, window) - grey)
        noise = noise_of(ink)
        strong = np.clip(ink - FAINT - 4 * noise, 0, None)
        steps = (np.diff(strong, axis=0), np.diff(strong, axis=1))
        sharp = [(step * step)[np.abs(step) > 6 * noise] for step in steps]
        found.append(
            sum(float(s.sum()) / max(step.size, 1) for s, step in zip(sharp, steps, strict=True))
        )
    return found


def narrowest(found: list[float]) -> int:
    """Return the number of the narrowest window that finds most of the edges."""
    return next(number for number, edges in enumerate(found) if edges >= MOST * max(found))


def reduced(grey: Array) -> tuple[Array, int]:
    """Return a picture small enough to compare windows on, and the factor that it was reduced by."""
    step = max(1, round(max(grey.shape) / NARROW))
    rows, columns = (max(1, n // step) for n in grey.shape)
    if step == 1 or min(grey.shape) < step:
        return grey, 1
    cells = grey[: rows * step, : columns * step].reshape(rows, step, columns, step)
    return cells.mean((1, 3)), step


def _calm(grey: Array) -> Array:
    """Average over 3x3 if there is noise, so that the paper is not as bright as its brightest grain."""
    return ndimage.uniform_filter(grey, 3, mode="nearest") if noise_of(grey) > QUIET else grey
