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


def find_polarity(grey: Array, narrow: bool = False) -> tuple[Polarity, Polarity]:
    """Return both polarities, the likelier first.

    Args:
        grey: (H, W) in [0, 1].
        narrow: whether the narrowest window is wanted, whatever strokes it misses.
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
    """Compare the edges found on either side: positive if strokes are light."""
    return float(np.clip(np.log((light + 1e-6) / (dark + 1e-6)), -2, 2))


def _two_kinds(grey: Array) -> float:
    """Return what the two kinds of grey say, if there are two: positive if the light kind is ink.

    Ink is the minority, and the picture's border is paper. Greys that go over into each other, as in a
    shade, say nothing.
    """
    if np.ptp(grey) < 1e-3:
        return 0.0
    above = grey > threshold_otsu(grey)
    light = float(above.mean())
    between = light * (1 - light) * float(grey[above].mean() - grey[~above].mean()) ** 2
    # of an even spread three quarters of the variance lie between its halves, of a bell fewer
    sure = float(np.clip((between / float(grey.var()) - 0.75) / 0.12, 0, 1))
    minority = float(np.clip(np.log((1.02 - light) / (light + 0.02)), -1, 1))
    rim = np.concatenate([above[0], above[-1], above[:, 0], above[:, -1]])
    return sure * (minority + 1 - 2 * float(rim.mean()))
