"""Brings the width of strokes into the range of the training images.

The width is the area of the ink divided by the length of its skeleton, in pixels of the 20x20 box,
where MNIST's widths lie between 1.8 and 4.6 (5th and 95th percentile of 3,000 training images).
Hairlines are widened, strokes of a felt pen thinned, and all others kept.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.morphology import skeletonize

Array = npt.NDArray[Any]

THINNEST, THICKEST = 2.0, 4.6
"""Widths between which a stroke is not changed, in pixels of the 20x20 box."""
WIDENED, THINNED = 2.5, 4.0
"""Widths that thinner and thicker strokes are changed to, in pixels of the 20x20 box."""


def stroke_width(mask: Array) -> float:
    """Return the mean stroke width of a mask in pixels, at most its shorter side."""
    length = int(skeletonize(mask).sum())  # a single pixel for a shape as wide as high
    return min(float(mask.sum()) / max(length, 1), float(min(mask.shape)))


def outline_shift(width: float, longest: float, box: float = 20.0) -> float:
    """Return how far to move the outline outwards, in pixels of the mask; negative is inwards.

    Args:
        width: of the strokes, in pixels of the mask.
        longest: side of the digit, in pixels of the mask.
        box: pixels of the longest side after scaling.
    """
    scaled = width * box / longest
    if THINNEST <= scaled <= THICKEST:
        return 0.0
    wanted = WIDENED if scaled < THINNEST else THINNED
    # the longest side grows with the stroke: (width + 2 r) box / (longest + 2 r) = wanted
    return (wanted * longest / box - width) / 2 / (1 - wanted / box)


def with_usual_width(mask: Array) -> Array:
    """Return a digit with strokes as wide as MNIST's, in [0, 1]; the array is larger if they changed.

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
    """Move the outline of a mask, and return the fraction of each pixel that is covered.

    Thinning keeps the skeleton, so that no stroke breaks; widening does not close loops.

    Args:
        mask: (H, W) bool, with a margin of at least ``shift``.
        shift: in pixels, outwards if positive.
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
    """Return the number of regions of paper, of more than 8 pixels, that ink encloses."""
    labels, count = ndimage.label(~mask)
    if count <= 1:
        return 0
    sizes = np.bincount(labels.ravel())[1:]
    return int((sizes > 8).sum()) - 1
