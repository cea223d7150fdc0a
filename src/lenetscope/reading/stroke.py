"""Bringing the width of strokes to what the training images have.

In: a digit's mask, many pixels high. Out: how far to move its outline. The width is the ink's area over
the length of its skeleton. It is measured in pixels of the 20x20 box, where MNIST's lies between 1.8
and 4.6 (5th and 95th percentile over 3,000 training images): a hairline is widened, a felt pen thinned,
and what is in between stays as it is.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.morphology import skeletonize

Array = npt.NDArray[Any]

THINNEST, THICKEST = 2.0, 4.6
"""Width that a stroke is left at, in pixels of the 20x20 box."""
WIDENED, THINNED = 2.5, 4.0
"""Width that others are brought to."""


def stroke_width(mask: Array) -> float:
    """Return the mean width of strokes in pixels, at most the shorter side."""
    length = int(skeletonize(mask).sum())  # a single pixel of what is as wide as high
    return min(float(mask.sum()) / max(length, 1), float(min(mask.shape)))


def outline_shift(width: float, longest: float, box: float = 20.0) -> float:
    """Return how far to move the outline outwards, in the mask's pixels; negative is inwards.

    Args:
        width: of the strokes, in the mask's pixels.
        longest: side of the digit, in the mask's pixels.
        box: pixels that the longest side will have.
    """
    scaled = width * box / longest
    if THINNEST <= scaled <= THICKEST:
        return 0.0
    wanted = WIDENED if scaled < THINNEST else THINNED
    # the longest side grows with the stroke: (width + 2 r) box / (longest + 2 r) = wanted
    return (wanted * longest / box - width) / 2 / (1 - wanted / box)


def with_usual_width(mask: Array) -> Array:
    """Return a digit with strokes as wide as MNIST's, (H, W) in [0, 1]; larger if its outline moved.

    Args:
        mask: (H, W) bool.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return mask.astype(np.float32)
    longest = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    shift = outline_shift(stroke_width(mask), longest)
    return move_outline(np.pad(mask, int(abs(shift)) + 1), shift)


def move_outline(mask: Array, shift: float) -> Array:
    """Move the outline of a mask, and return how much of each pixel is covered, in [0, 1].

    Thinning keeps the skeleton, so that no stroke is broken; widening closes no loop that was open.

    Args:
        mask: (H, W) bool, with a margin of at least ``shift``.
        shift: outwards, in pixels.
    """
    if shift == 0:
        return mask.astype(np.float32)
    if shift < 0:
        depth = ndimage.distance_transform_edt(mask)
        kept = np.clip(depth + shift, 0, 1)
        bones = ndimage.binary_dilation(skeletonize(mask), iterations=2) & mask
        thinned: Array = np.maximum(kept, bones).astype(np.float32)
        return thinned
    distance = ndimage.distance_transform_edt(~mask)
    holes = _holes(mask)
    while shift > 0.5:
        if _holes(distance <= shift) >= holes:
            break
        shift *= 0.8
    covered: Array = np.clip(shift + 1 - distance, 0, 1).astype(np.float32)
    return covered


def _holes(mask: Array) -> int:
    """Count the regions of paper that ink encloses, of more than a few pixels."""
    labels, count = ndimage.label(~mask)
    if count <= 1:
        return 0
    sizes = np.bincount(labels.ravel())[1:]
    return int((sizes > 8).sum()) - 1
