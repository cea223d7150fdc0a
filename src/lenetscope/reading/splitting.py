"""Where touching digits may be cut.

In: a piece of ink. Out: pieces from left to right. A cut is a path from top to bottom that goes through
as little ink as it can, by dynamic programming over rows; one that passes each column at half height is
tried. Whether a cut is made is for the judge to say: cut and whole are both read. (Over-segmentation:
Y. LeCun et al., "Gradient-based learning applied to document recognition", VII; paths between touching
characters: S.-W. Lee, D.-J. Lee and H.-S. Park, "A new methodology for gray-scale character
segmentation and recognition", IEEE PAMI 18(10), 1996.)
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from lenetscope.reading.components import Piece, find_pieces, union
from lenetscope.reading.slant import slant_of
from lenetscope.reading.stroke import stroke_width

Array = npt.NDArray[Any]

WIDE = 0.8
"""A piece wider than so many of its heights may be several digits."""
SIDEWAYS = 0.05
"""Cost of a step sideways, in pixels of ink."""
THROUGH = 2.3
"""Widths of a stroke that a cut may go through at most."""


def cut(piece: Piece, height: float, most: int = 12) -> list[Piece]:
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
    costs, back = _paths(piece.mask)
    limit = THROUGH * stroke_width(piece.mask)
    margin = 0.15 * height
    middles: list[int] = []
    for middle in np.argsort(costs, kind="stable").tolist():
        if len(middles) == most or costs[middle] > limit:
            break
        if margin <= middle < piece.width - margin and all(
            abs(middle - other) >= 0.14 * height for other in middles
        ):
            middles.append(middle)
    if not middles:
        return [piece]
    side = np.zeros_like(rows)
    for middle in sorted(middles):
        side += columns > _follow(back, middle)[rows]
    parts = [_part(piece, rows, columns, side == number) for number in range(len(middles) + 1)]
    return [part for part in parts if part is not None]


def _paths(mask: Array) -> tuple[Array, tuple[Array, int]]:
    """Find the cheapest path through each column at half height.

    Returns:
        Costs (W,) in pixels of ink, and for each row the step (H, W) that leads on towards the edge.
    """
    height, width = mask.shape
    half = height // 2
    steps = np.zeros((height, width), dtype=np.int64)
    costs = np.zeros(width)
    for order in (range(half), range(height - 1, half - 1, -1)):  # from either edge to the middle
        reached = np.zeros(width)
        for row in order:
            wide = np.pad(reached, 1, constant_values=np.inf)
            ways = np.stack([wide[:-2] + SIDEWAYS, wide[1:-1], wide[2:] + SIDEWAYS])
            best = ways.argmin(axis=0)
            steps[row] = best - 1
            reached = ways[best, np.arange(width)] + mask[row]
        costs += reached
    return costs, (steps, half)


def _follow(back: tuple[Array, int], middle: int) -> Array:
    """Return the column of a path in each row, (H,)."""
    steps, half = back
    path = np.empty(len(steps), dtype=np.int64)
    for order in (range(half - 1, -1, -1), range(half, len(steps))):
        column = middle
        for row in order:
            path[row] = column
            column += int(steps[row, column])
    return path


def _part(piece: Piece, rows: Array, columns: Array, chosen: Array) -> Piece | None:
    if chosen.sum() < 4:
        return None
    mask = np.zeros_like(piece.mask)
    mask[rows[chosen], columns[chosen]] = True
    whole = union(find_pieces(mask, mask.astype(np.float32)))
    share = float(chosen.sum()) / len(rows)
    return Piece(
        whole.top + piece.top,
        whole.left + piece.left,
        whole.bottom + piece.top,
        whole.right + piece.left,
        whole.mask,
        piece.mass * share,
    )
