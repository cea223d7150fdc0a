"""Whether the strokes are darker or lighter than what they are written on.

In: grey. Out: whether the strokes are light, and how sure that is. Three things speak for a side:
strokes are narrow, so their side is the one whose edges a narrow window finds; they are the minority;
and most of the picture's border is paper.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from skimage.filters import threshold_otsu

from lenetscope.reading.illumination import ROOM, edges_found, narrowest, reduced, windows_for

Array = npt.NDArray[Any]

SURE = 1.0
"""Evidence from which on only one polarity is looked at."""


@dataclass(frozen=True)
class Polarity:
    """Which side the ink is on.

    Attributes:
        light: whether strokes are lighter than their paper.
        evidence: how strongly, in [-4, 4]; negative for the less likely side.
        window: in pixels, that finds the strokes of that side.
    """

    light: bool
    evidence: float
    window: int


def find_polarity(grey: Array) -> tuple[Polarity, Polarity]:
    """Return both polarities, the likelier first.

    Args:
        grey: (H, W) in [0, 1].
    """
    small, step = reduced(grey)
    windows = windows_for(small)
    found = [edges_found(side, windows) for side in (small, 1 - small)]
    chosen = [narrowest(edges) for edges in found]
    first = min(chosen)
    votes = _ratio(found[1][first], found[0][first])
    votes += _in_two(small) * (_minority(small) + _border(small))
    sides = [
        Polarity(light, votes if light else -votes, _wider(windows[number] * step, min(grey.shape)))
        for light, number in zip((False, True), chosen, strict=True)
    ]
    return (sides[1], sides[0]) if votes > 0 else (sides[0], sides[1])


def _wider(window: int, side: int) -> int:
    return min(round(ROOM * window), max(5, int(0.6 * side))) | 1


def _ratio(light: float, dark: float) -> float:
    """Compare the edges found on either side: positive if strokes are light."""
    return float(np.clip(np.log((light + 1e-6) / (dark + 1e-6)), -2, 2))


def _in_two(grey: Array) -> float:
    """Tell in [0, 1] whether greys are of two kinds, ink and paper, not all that a shade has."""
    values = grey[::2, ::2]
    threshold = threshold_otsu(values) if np.ptp(values) > 0 else 0.0
    above = values > threshold
    share = float(above.mean())
    if not 0 < share < 1:
        return 0.0
    between = share * (1 - share) * float(values[above].mean() - values[~above].mean()) ** 2
    # one half of all variance is between the halves of a bell, three quarters of an even spread
    return float(np.clip((between / float(values.var()) - 0.75) / 0.12, 0, 1))


def _minority(grey: Array) -> float:
    """Compare how many pixels are on either side of the middle grey: positive if few are light."""
    low, high = np.percentile(grey, [1, 99])
    light = float((grey > (low + high) / 2).mean())
    return float(np.clip(np.log((1.02 - light) / (light + 0.02)), -1, 1))


def _border(grey: Array) -> float:
    """Look at which side the border is on: positive if it is dark."""
    rim = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    low, high = np.percentile(grey, [1, 99])
    return float(1 - 2 * (rim > (low + high) / 2).mean())
