"""Where touching digits may be cut.

In: a piece of ink. Out: pieces from left to right. Cuts are straight, upright or slanted, and go where
they cross the least ink. Whether a cut is made is for the judge to say: cut and whole are both read.
(Over-segmentation: Y. LeCun et al., "Gradient-based learning applied to document recognition", VII.)
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from lenetscope.reading.components import Piece, find_pieces, union
from lenetscope.reading.slant import slant_of
from lenetscope.reading.stroke import stroke_width

Array = npt.NDArray[Any]

SLANTS = (-0.5, -0.25, 0.0, 0.25, 0.5)
"""Columns to the right a row down, of the cuts that are tried."""
WIDE = 0.8
"""A piece wider than so many of its heights may be several digits."""


def cut(piece: Piece, height: float, most: int = 6) -> list[Piece]:
    """Cut a piece where it may be several digits; a list of itself if nowhere.

    Args:
        piece: of ink.
        height: of the digits around it, in pixels.
        most: cuts that are made.
    """
    rows, columns = np.nonzero(piece.mask)
    upright = columns - np.clip(slant_of(piece.mask), -0.7, 0.7) * rows
    if min(piece.width, float(np.ptp(upright))) < WIDE * height:
        return [piece]
    width = stroke_width(piece.mask)
    found: list[tuple[float, float, float]] = []  # (ink crossed, column at half height, slant)
    margin = 0.18 * height
    for slant in SLANTS:
        sheared = columns - slant * (rows - piece.height / 2)
        low = int(np.floor(sheared.min()))
        counts = np.bincount((sheared - low).astype(int))
        crossed = np.convolve(counts, [0.25, 0.5, 0.25], "same").tolist()
        for place in range(int(margin), len(crossed) - int(margin)):
            near = min(crossed[max(0, place - 3) : place + 4])
            if crossed[place] <= near and crossed[place] <= 2.2 * width:
                found.append((crossed[place] + 0.3 * width * abs(slant), place + low, slant))
    chosen: list[tuple[float, float]] = []
    for _, column, slant in sorted(found):
        if len(chosen) < most and all(abs(column - other) >= 0.2 * height for other, _ in chosen):
            chosen.append((column, slant))
    if not chosen:
        return [piece]
    chosen.sort()
    side = np.zeros_like(rows)
    for column, slant in chosen:
        side += columns - slant * (rows - piece.height / 2) > column
    return [
        part
        for number in range(len(chosen) + 1)
        if (part := _part(piece, rows, columns, side == number))
    ]


def _part(piece: Piece, rows: Array, columns: Array, chosen: Array) -> Piece | None:
    if chosen.sum() < 4:
        return None
    mask = np.zeros_like(piece.mask)
    mask[rows[chosen], columns[chosen]] = True
    whole = union(find_pieces(mask, mask.astype(np.float32)))
    return Piece(
        whole.top + piece.top, whole.left + piece.left, whole.bottom + piece.top,
        whole.right + piece.left, whole.mask, piece.mass * whole.mask.sum() / piece.mask.sum(),
    )  # fmt: skip
