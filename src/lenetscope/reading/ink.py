"""Which pixels are ink.

In: ink in [0, 1]. Out: a mask, or None where there is no ink. The threshold is Otsu's, over the pixels
that stand out of the noise of the paper; fainter pixels that touch such ink count as well. (N. Otsu, "A
threshold selection method from gray-level histograms", IEEE Trans. SMC 9(1), 1979; J. Canny, "A
computational approach to edge detection", IEEE PAMI 8(6), 1986, for the two thresholds.)
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.filters import apply_hysteresis_threshold, threshold_otsu

from lenetscope.reading.illumination import noise_of

Array = npt.NDArray[Any]

FAINTEST = 0.05
"""The least ink that a stroke has."""
NOISE = 4.0
"""Standard deviations of the paper that ink stands out by."""
GRAIN = 8
"""Pixels that the longest piece of ink must have if it hardly stands out."""
FAINTER = 0.45
"""Share of the threshold down to which pixels beside ink are ink."""


@dataclass(frozen=True)
class Ink:
    """Where ink is.

    Attributes:
        mask: (H, W) bool.
        weak: the same, and all other pixels as strong as the faintest of it.
        threshold: above which a pixel is ink by itself.
        floor: below which nothing stands out of the paper.
    """

    mask: Array
    weak: Array
    threshold: float
    floor: float


def ink_floor(ink: Array) -> float:
    """Return the ink below which nothing stands out of the paper."""
    return max(FAINTEST, NOISE * noise_of(ink))


def _is_grain(mask: Array) -> bool:
    """Tell whether ink is all in specks of a few pixels, as the grain of a blank page is."""
    labels, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    sides = [
        max(rows.stop - rows.start, columns.stop - columns.start)
        for rows, columns in ndimage.find_objects(labels)
    ]
    return bool(max(sides) < GRAIN)


def find_ink(ink: Array) -> Ink | None:
    """Return where ink is, None if there is none.

    Args:
        ink: (H, W), at most 1.
    """
    floor = ink_floor(ink)
    above = ink[ink > floor]
    if above.size < 3:
        return None
    strongest = float(np.percentile(above, 95))
    if strongest < 1.3 * FAINTEST:
        return None
    threshold = float(threshold_otsu(above)) if above.max() > above.min() else floor
    threshold = min(threshold, 0.6 * strongest)
    low = max(floor, FAINTER * threshold)
    mask = apply_hysteresis_threshold(ink, low, threshold)
    if not mask.any():
        return None
    return None if threshold < 3 * floor and _is_grain(mask) else Ink(mask, ink > low, threshold, floor)
