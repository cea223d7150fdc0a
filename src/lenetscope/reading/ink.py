"""Decides which pixels are ink.

The threshold is Otsu's, over the pixels that exceed the noise of the paper; fainter pixels connected to
such ink count as well. (N. Otsu, "A threshold selection method from gray-level histograms", IEEE Trans.
SMC 9(1), 1979; J. Canny, "A computational approach to edge detection", IEEE PAMI 8(6), 1986, for the
two thresholds.)
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
"""Ink of the faintest stroke."""
NOISE = 4.0
"""Standard deviations of the paper's noise that ink must exceed."""
GRAIN = 8
"""Pixels that the longest piece must measure if all ink is faint."""
FAINTER = 0.45
"""Fraction of the threshold down to which pixels connected to ink are ink."""


@dataclass(frozen=True)
class Ink:
    """The ink of a sheet.

    Attributes:
        mask: (H, W) bool, whether a pixel is ink.
        weak: the same, and all other pixels as strong as the faintest ink.
        threshold: above which a pixel is ink by itself.
        floor: below which ink cannot be told from the noise of the paper.
    """

    mask: Array
    weak: Array
    threshold: float
    floor: float


def ink_floor(ink: Array) -> float:
    """Return the value below which ink cannot be told from the noise of the paper."""
    return max(FAINTEST, NOISE * noise_of(ink))


def _is_grain(mask: Array) -> bool:
    """Return whether all ink is in specks of a few pixels, like the grain of a blank page."""
    labels, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    sides = [
        max(rows.stop - rows.start, columns.stop - columns.start)
        for rows, columns in ndimage.find_objects(labels)
    ]
    return bool(max(sides) < GRAIN)


def find_ink(ink: Array) -> Ink | None:
    """Return which pixels are ink, None if none are.

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
