"""Removes the lines of ruled paper from the ink.

Straight lines that run from edge to edge, or that repeat, are removed. Strokes that cross a line stay:
only what is as thin as the line is removed. The slope is the one at which the sums of sheared rows vary
most, as in the projection profiles of W. Postl, "Detection of linear oblique structures", ICPR 1986.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Array = npt.NDArray[Any]

SLOPES = np.linspace(-0.14, 0.14, 57)
THROUGH = 0.75
"""Fraction of the picture's width that a line must cover."""
REPEATED = 0.5
"""Fraction that each of three or more lines must cover."""


def without_rulings(mask: Array, weak: Array) -> Array:
    """Return a mask without the lines of the paper.

    Args:
        mask: (H, W) bool, ink.
        weak: (H, W) bool, all pixels as strong as the faintest ink, where pale lines are unbroken.
    """
    if min(mask.shape) < 40 or not mask.any():
        return mask
    gone = _rulings(weak) | _rulings(weak.T).T
    return mask & ~gone if gone.any() else mask


def _rulings(mask: Array) -> Array:
    """Return which pixels belong to nearly horizontal lines of the paper."""
    height, width = mask.shape
    rows, columns = np.nonzero(mask)
    nothing = np.zeros_like(mask)
    if len(rows) < REPEATED * width or mask.any(axis=0).sum() < REPEATED * width:
        return nothing
    pad = int(abs(SLOPES[0]) * width) + 2
    best, slope = -1.0, 0.0
    for candidate in SLOPES:
        sheared = np.rint(rows + candidate * columns).astype(int) + pad
        counts = np.bincount(sheared, minlength=height + 2 * pad).astype(float)
        uneven = float((counts**2).sum())
        if uneven > best * (1.02 if abs(candidate) > abs(slope) else 1):
            best, slope = uneven, float(candidate)
    sheared = np.rint(rows + slope * columns).astype(int) + pad
    # how many columns have ink in each sheared row or its neighbours
    cover = np.zeros((height + 2 * pad, width), dtype=bool)
    cover[sheared, columns] = True
    near = cover | np.roll(cover, 1, 0) | np.roll(cover, -1, 0)
    covered = near.mean(axis=1)  # fraction of the width, per row
    peaks = (covered == ndimage.maximum_filter1d(covered, 9)) & (covered > REPEATED)
    through = peaks & (covered > THROUGH)
    if peaks.sum() < 3:
        peaks = through
    if not peaks.any():
        return nothing
    thickness = _run_lengths(mask)  # vertical extent of ink through each pixel
    gone = nothing.copy()
    for peak in np.flatnonzero(peaks):
        here = np.abs(sheared - peak) <= 6
        at_peak = np.abs(sheared - peak) <= 1
        runs = thickness[rows[at_peak], columns[at_peak]]
        thin = float(np.percentile(runs, 35))
        if thin > max(6, 0.03 * height):  # a stroke or a bar, not a ruling
            continue
        chosen = here & (thickness[rows, columns] <= np.ceil(1.5 * thin) + 1)
        # only pixels close to the middle of the line, not a stroke that passes near it
        chosen &= np.abs(sheared - peak) <= np.ceil(thin / 2) + 2
        gone[rows[chosen], columns[chosen]] = True
    return gone


def _run_lengths(mask: Array) -> Array:
    """Return the length of the vertical run of ink through each pixel."""
    height, width = mask.shape
    padded = np.zeros((width, height + 2), dtype=np.int8)
    padded[:, 1:-1] = mask.T
    change = np.diff(padded, axis=1).ravel()  # (width * (height + 1))
    starts, ends = np.flatnonzero(change == 1), np.flatnonzero(change == -1)
    lengths = np.zeros(width * (height + 1) + 1, dtype=np.int64)
    lengths[starts] += ends - starts
    lengths[ends] -= ends - starts
    filled = np.cumsum(lengths)[:-1].reshape(width, height + 1)[:, :height]  # (width, height)
    return np.ascontiguousarray(filled.T)
