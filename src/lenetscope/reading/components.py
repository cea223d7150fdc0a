"""Finds the connected pieces of ink that may belong to digits.

Specks, frames around the picture and objects that reach in from its edge are removed.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import KDTree

Array = npt.NDArray[Any]

SPECK = 0.025
"""Fraction of the heaviest piece's ink below which a piece is a speck."""
MOST = 60
"""The heaviest pieces that are kept; more are never digits, and cost time."""


@dataclass(frozen=True)
class Piece:
    """A connected piece of ink.

    Attributes:
        top, left, bottom, right: bounding box in the picture, the last two exclusive.
        mask: (bottom - top, right - left) bool.
        mass: sum of its ink.
    """

    top: int
    left: int
    bottom: int
    right: int
    mask: Array
    mass: float

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.right - self.left


def find_pieces(mask: Array, ink: Array) -> list[Piece]:
    """Return the heaviest 8-connected pieces of ink, heaviest first.

    Args:
        mask: (H, W) bool.
        ink: (H, W), at most 1, around 0 for paper.
    """
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    if not count:
        return []
    masses = np.bincount(labels.ravel(), ink.ravel(), count + 1)[1:]
    boxes = ndimage.find_objects(labels)
    pieces = []
    for number in np.argsort(-masses)[:MOST]:
        rows, columns = boxes[number]
        own = labels[rows, columns] == number + 1
        pieces.append(
            Piece(rows.start, columns.start, rows.stop, columns.stop, own, float(masses[number]))
        )
    return pieces


def without_clutter(pieces: list[Piece], shape: tuple[int, int]) -> list[Piece]:
    """Return the pieces that may belong to digits.

    Args:
        pieces: heaviest first.
        shape: (H, W) of the picture.
    """
    inside = [piece for piece in pieces if not _is_frame(piece, shape)]
    pieces = inside or pieces
    pieces = _without_intruders(pieces, shape)
    if not pieces:
        return []
    tallest = max(max(piece.height, piece.width) for piece in pieces)
    heaviest = max(piece.mass for piece in pieces)
    return [
        piece
        for piece in pieces
        if piece.mass >= SPECK * heaviest and max(piece.height, piece.width) >= 0.1 * tallest
    ]


def _is_frame(piece: Piece, shape: tuple[int, int]) -> bool:
    """Return whether a piece runs around the picture: a drawn border, the edge of a sheet."""
    height, width = shape
    spans = piece.height > 0.85 * height and piece.width > 0.85 * width
    if not spans or piece.mask.sum() > 0.35 * height * width:
        return False
    rows, columns = np.nonzero(piece.mask)
    rim = (
        (rows + piece.top < 0.1 * height)
        | (rows + piece.top > 0.9 * height)
        | (columns + piece.left < 0.1 * width)
        | (columns + piece.left > 0.9 * width)
    )
    return float(rim.mean()) > 0.8


def _without_intruders(pieces: list[Piece], shape: tuple[int, int]) -> list[Piece]:
    """Remove pieces that touch the edge, if something the size of a digit does not touch it."""
    height, width = shape
    free: list[Piece] = []
    cut: list[Piece] = []
    for piece in pieces:
        edge = piece.top <= 0 or piece.left <= 0 or piece.bottom >= height or piece.right >= width
        (cut if edge else free).append(piece)
    if not free:
        return pieces
    tall = max(max(piece.height, piece.width) for piece in free)
    rows = [p for p in free if max(p.height, p.width) >= 0.6 * tall]
    top, bottom = min(p.top for p in rows), max(p.bottom for p in rows)
    if tall < 0.12 * min(shape) and any(p.height > 3 * tall for p in cut):
        return pieces  # specks beside a digit that fills the picture
    kept = []
    for piece in cut:
        shared = min(bottom, piece.bottom) - max(top, piece.top)
        if 0.6 * tall <= piece.height <= 1.7 * tall and shared > 0.6 * piece.height:
            kept.append(piece)  # another digit of the number, clipped
    return sorted(free + kept, key=lambda piece: -piece.mass)


def union(pieces: list[Piece]) -> Piece:
    """Return the union of pieces as one piece."""
    top, left = min(p.top for p in pieces), min(p.left for p in pieces)
    bottom, right = max(p.bottom for p in pieces), max(p.right for p in pieces)
    mask = np.zeros((bottom - top, right - left), dtype=bool)
    for p in pieces:
        mask[p.top - top : p.bottom - top, p.left - left : p.right - left] |= p.mask
    return Piece(top, left, bottom, right, mask, sum(p.mass for p in pieces))


def farthest_gap(pieces: list[Piece]) -> float:
    """Return the widest gap between pieces, in pixels, when each is joined to its nearest neighbour.

    That is the longest edge of their minimum spanning tree. Gaps are measured between the ink, not
    between the bounding boxes.

    Args:
        pieces: at least one.
    """
    outlines = [
        np.argwhere(p.mask & ~ndimage.binary_erosion(p.mask)) + np.array([p.top, p.left])
        for p in pieces
    ]
    reached, waiting, widest = [outlines[0]], outlines[1:], 0.0
    while waiting:
        tree = KDTree(np.concatenate(reached))
        gaps = [float(tree.query(outline)[0].min()) for outline in waiting]
        nearest = int(np.argmin(gaps))
        widest = max(widest, gaps[nearest] - 1)
        reached.append(waiting.pop(nearest))
    return widest
