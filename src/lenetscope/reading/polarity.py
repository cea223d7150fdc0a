"""Decides whether strokes are darker or lighter than the paper.

Three kinds of evidence are added: strokes are narrow, so that a narrow window finds their edges; they
cover less than half of the picture; and most of its border is paper.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from skimage.filters import threshold_otsu

from lenetscope.reading.illumination import ROOM, edges_found, narrowest, reduced, windows_for

Array = npt.NDArray[Any]

CONFIDENT = 1.0
"""Evidence from which only the likelier polarity is tried."""


@dataclass(frozen=True)
class Polarity:
    """Whether ink is light or dark.

    Attributes:
        light: whether strokes are lighter than their paper.
        evidence: for this polarity, in [-4, 4]; negative for the less likely one.
        window: in pixels, that finds strokes of this polarity.
    """

    light: bool
    evidence: float
    window: int


def find_polarity(grey: Array, narrow: bool = False) -> tuple[Polarity, Polarity]:
    """Return both polarities, the likelier first.

    Args:
        grey: (H, W) in [0, 1].
        narrow: whether to use the narrowest window, even if it misses strokes.
    """
    small, step = reduced(grey)
    windows = windows_for(small)
    found = [edges_found(small, windows, light) for light in (False, True)]
    chosen = [0 if narrow else narrowest(edges) for edges in found]
    first = min(chosen)
    votes = _ratio(found[1][first], found[0][first]) + _two_kinds(small)
    sides = [
        Polarity(light, votes if light else -votes, _wider(windows[number] * step, min(grey.shape)))
        for light, number in zip((False, True), chosen, strict=True)
    ]
    return (sides[1], sides[0]) if votes > 0 else (sides[0], sides[1])


def _wider(window: int, side: int) -> int:
    return min(round(ROOM * window), max(5, int(0.6 * side))) | 1


def _ratio(light: float, dark: float) -> float:
    """Compare the edges found for either polarity: positive if strokes are light."""
    return float(np.clip(np.log((light + 1e-6) / (dark + 1e-6)), -2, 2))


def _two_kinds(grey: Array) -> float:
    """Return the evidence of area and border if there are two tones: positive if the light one is ink.

    Ink covers less than half of the picture, and its border is paper. Continuous tones, as of a shaded
    page, are no evidence.
    """
    if np.ptp(grey) < 1e-3:
        return 0.0
    above = grey > threshold_otsu(grey)
    light = float(above.mean())
    between = light * (1 - light) * float(grey[above].mean() - grey[~above].mean()) ** 2
    # 3/4 of the variance of uniformly distributed greys is between the two halves, of normal ones less
    weight = float(np.clip((between / float(grey.var()) - 0.75) / 0.12, 0, 1))
    minority = float(np.clip(np.log((1.02 - light) / (light + 0.02)), -1, 1))
    rim = np.concatenate([above[0], above[-1], above[:, 0], above[:, -1]])
    return weight * (minority + 1 - 2 * float(rim.mean()))
