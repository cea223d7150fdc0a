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
from skimage.filters import apply_hysteresis_threshold, threshold_otsu

Array = npt.NDArray[Any]

FAINTEST = 0.05
"""The least ink that a stroke has."""
NOISE = 4.0
"""Standard deviations of the paper that ink stands out by."""
FAINTER = 0.45
"""Share of the threshold down to which pixels beside ink are ink."""


@dataclass(frozen=True)
class Ink:
    """Where ink is.

    Attributes:
        mask: (H, W) bool.
        threshold: above which a pixel is ink by itself.
        floor: below which nothing stands out of the paper.
    """

    mask: Array
    threshold: float
    floor: float


def ink_floor(ink: Array) -> float:
    """Return the ink below which nothing stands out of the paper."""
    noise = 1.4826 * float(np.median(np.abs(ink - np.median(ink))))
    # closing leaves half of the paper at zero: look at the other half, too
    upper = float(np.percentile(ink, 70) - np.median(ink)) / 0.524
    return max(FAINTEST, NOISE * max(noise, min(upper, 0.05)))


def find_ink(ink: Array) -> Ink | None:
    """Return where ink is, None if there is none.

    Args:
        ink: (H, W) in [0, 1].
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
    mask = apply_hysteresis_threshold(ink, max(floor, FAINTER * threshold), threshold)
    return Ink(mask, threshold, floor) if mask.any() else None
