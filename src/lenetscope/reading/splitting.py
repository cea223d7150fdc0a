"""Proposes where touching digits may be cut.

A cut is a path from top to bottom through as little ink as possible, found by dynamic programming over
rows; one is tried for each column at half height. The judge decides between the parts and the whole.
(Over-segmentation: Y. LeCun et al., "Gradient-based learning applied to document recognition", VII;
paths between touching characters: S.-W. Lee, D.-J. Lee and H.-S. Park, "A new methodology for
gray-scale character segmentation and recognition", IEEE PAMI 18(10), 1996.)
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from lenetscope.reading.components import Piece, find_pieces, union
from lenetscope.reading.slant import slant_of
from lenetscope.reading.stroke import stroke_width

Array = npt.NDArray[Any]

WIDE = 0.8
"""Width, in heights, above which a piece may be several digits."""
SIDEWAYS = 0.05
"""Cost of a step sideways, in pixels of ink."""
THROUGH = 2.3
"""Most ink that a cut may cross, in stroke widths."""


def cut(piece: Piece, height: float, most: int = 12) -> list[Piece]:
    """Cut a piece wherever it may be several digits, and return the parts from left to right.

    Args:
        piece: of ink.
        height: of the digits around it, in pixels.
        most: maximum number of cuts.
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
    return [part for part in parts if part is not None] or [piece]


def _paths(mask: Array) -> tuple[Array, tuple[Array, int]]:
    """Find the cheapest path through each column at half height.

    Returns:
        Costs (W,) in pixels of ink; and the steps (H, W), in columns, of the path through each pixel
        towards the edge, with the row of half height.
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
    """Return the column of a path per row, (H,)."""
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
    fraction = float(chosen.sum()) / len(rows)
    return Piece(
        whole.top + piece.top,
        whole.left + piece.left,
        whole.bottom + piece.top,
        whole.right + piece.left,
        whole.mask,
        piece.mass * fraction,
    )
