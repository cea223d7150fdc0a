"""Groups pieces of ink into lines of text, in reading order, and measures how far a line slopes."""

import numpy as np

from lenetscope.reading.components import Piece, union

LEVEL = 0.14
"""Slope up to which a line is not rotated: its digits are upright enough."""


def join_fragments(pieces: list[Piece]) -> list[Piece]:
    """Join pieces that belong to the same digit, such as the bar of a 5.

    One is above, below or within the other, or is a fragment close to it.

    Args:
        pieces: in any order.
    """
    joined = list(pieces)
    while len(joined) > 1:
        tall = max(piece.height for piece in joined)
        many = sum(piece.height > 0.6 * tall for piece in joined) > 1
        pairs = [
            (apart, first, second)
            for first, a in enumerate(joined)
            for second, b in enumerate(joined[:first])
            if (apart := _apart(a, b, tall, many)) is not None
        ]
        if not pairs:
            break
        _, first, second = min(pairs)
        rest = [piece for number, piece in enumerate(joined) if number not in (first, second)]
        joined = [*rest, union([joined[first], joined[second]])]
    return joined


def _apart(a: Piece, b: Piece, tall: float, many: bool) -> float | None:
    """Return the distance of two pieces of the same digit, None if they may belong to two digits.

    Args:
        a: one piece.
        b: the other piece.
        tall: height of the tallest piece.
        many: whether several pieces are about as tall.
    """
    across = min(a.right, b.right) - max(a.left, b.left)  # columns that they share
    down = min(a.bottom, b.bottom) - max(a.top, b.top)
    gap = float(np.hypot(max(0, -across), max(0, -down)))
    narrower, shorter = min(a.width, b.width), min(a.height, b.height)
    inside = across >= 0.7 * narrower and down >= 0.7 * shorter
    if inside:
        return 0.0
    if many and shorter > 0.6 * tall:
        return None
    stacked = across >= 0.5 * narrower and -down <= 0.35 * tall
    fragment = shorter < 0.55 * tall and gap <= (0.12 if many else 0.3) * tall
    return gap if stacked or fragment else None


def find_lines(pieces: list[Piece]) -> list[list[Piece]]:
    """Return lines from top to bottom, in each the pieces from left to right.

    Args:
        pieces: in any order.
    """
    lines: list[list[Piece]] = []
    for piece in sorted(pieces, key=lambda p: -p.height):
        for line in lines:
            whole = (min(p.top for p in line[:3]), max(p.bottom for p in line[:3]))
            shared = min(whole[1], piece.bottom) - max(whole[0], piece.top)
            if shared > 0.45 * piece.height:
                line.append(piece)
                break
        else:
            lines.append([piece])
    tallest = max((p.height for p in pieces), default=0)
    lines = [line for line in lines if max(p.height for p in line) >= 0.35 * tallest]
    lines.sort(key=lambda line: np.mean([p.top + p.bottom for p in line]))
    return [sorted(line, key=lambda p: p.left + p.right) for line in lines]


def slope_of(pieces: list[Piece]) -> float:
    """Return the slope of a line through all pieces, in rows per column; 0 if level or not a line.

    Args:
        pieces: whole digits, in any order.
    """
    if len(pieces) < 3:
        return 0.0
    x = np.array([(p.left + p.right) / 2 for p in pieces])
    y = np.array([(p.top + p.bottom) / 2 for p in pieces])
    tall = float(np.median([p.height for p in pieces]))
    if np.ptp(x) < 1.5 * tall:
        return 0.0
    slope, offset = np.polyfit(x, y, 1)
    off = float(np.abs(y - slope * x - offset).max())
    return float(slope) if abs(slope) > LEVEL and off < 0.5 * tall and abs(slope) < 1.2 else 0.0
