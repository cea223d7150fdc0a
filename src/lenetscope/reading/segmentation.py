"""Decides which pieces of a line form which digit.

Pieces that may be several digits are cut, all ways to join neighbours are classified, and the most
probable sequence of digits is found by dynamic programming (Y. LeCun et al., "Gradient-based learning
applied to document recognition", Proc. IEEE 86(11), 1998, VII).
"""

import itertools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lenetscope.reading.components import Piece, farthest_gap, union
from lenetscope.reading.judge import Judge
from lenetscope.reading.lines import find_lines
from lenetscope.reading.prepare import Prepared, prepare
from lenetscope.reading.sheet import Sheet
from lenetscope.reading.splitting import cut

Array = npt.NDArray[Any]

JOINED_AT_MOST = 6
"""Most pieces that one digit is joined from."""
MANY = 40
"""Parts of a sheet above which nothing is cut or joined: it is not a number, and would take long."""
CUTTING = 0.3
"""Cost of a cut through ink, in nats."""
NARROW = 6.0
"""Cost of cutting a narrow piece, in nats per height by which it is narrower than 1.2 heights."""
WIDE = 6.0
"""Cost of a wide digit, in nats per height of its line by which it is wider than 1.25 heights."""
SHORT = 8.0
"""Cost of a short digit, in nats per height of its line by which it is shorter than 0.7 heights."""
JOINING = 3.0
"""Cost of joining across a gap, in nats per height of the line."""
APART = 0.35
"""Gap, in heights, above which pieces are never joined."""
STACKED = 1.0
"""Cost of a few digits in several lines, in nats."""


@dataclass(frozen=True)
class Found:
    """A digit in a sheet.

    Attributes:
        piece: its ink.
        prepared: its image.
        probabilities: (10,).
        digitness: in [0, 1].
        odd: cost of its place and shape, in nats: that it was cut, joined, wide or short.
    """

    piece: Piece
    prepared: Prepared
    probabilities: Array
    digitness: float
    odd: float = 0.0

    @property
    def cost(self) -> float:
        """Negative log probability, in nats, that it is a digit and was classified correctly."""
        return -float(np.log(max(self.probabilities.max() * self.digitness, 1e-6)))


def judged(
    sheet: Sheet, pieces: list[Piece], judge: Judge, skip: frozenset[str] = frozenset()
) -> list[Found]:
    """Prepare and classify pieces."""
    if not pieces:
        return []
    prepared = [prepare(sheet, piece, skip) for piece in pieces]
    images = torch.from_numpy(np.stack([each.image for each in prepared]))[:, None]  # (N, 1, 28, 28)
    probabilities, digitness = judge.judge(images)
    return [
        Found(piece, each, p, float(d))
        for piece, each, p, d in zip(
            pieces, prepared, probabilities.numpy(), digitness.tolist(), strict=True
        )
    ]


def read_lines(sheet: Sheet, judge: Judge, skip: frozenset[str] = frozenset()) -> list[list[Found]]:
    """Return the digits of each line of a sheet, from left to right.

    Args:
        sheet: with its pieces.
        judge: classifies the digits.
        skip: names of steps to skip.
    """
    lines = find_lines(sheet.pieces)
    whole = [[[piece] for piece in line] for line in lines]
    parts = whole
    if "cutting" not in skip and len(sheet.pieces) <= MANY:
        parts = [[cut(piece, _height(line)) for piece in line] for line in lines]
    if sum(len(each) for line in parts for each in line) > MANY:
        parts, skip = whole, skip | {"joining"}
    return [_read_line(sheet, line, each, judge, skip) for line, each in zip(lines, parts, strict=True)]


def _read_line(
    sheet: Sheet, line: list[Piece], cuts: list[list[Piece]], judge: Judge, skip: frozenset[str]
) -> list[Found]:
    """Return the digits of a line.

    Args:
        sheet: that contains it.
        line: its pieces, from left to right.
        cuts: the parts that each piece may be cut into.
        judge: classifies the digits.
        skip: names of steps to skip.
    """
    tall = _height(line)
    atoms: list[Piece] = []
    cutting: list[float] = []  # cost of the boundary before an atom
    whole: set[tuple[int, int]] = set()
    for piece, parts in zip(line, cuts, strict=True):
        whole.add((len(atoms), len(atoms) + len(parts)))
        atoms += parts
        dear = CUTTING + NARROW * max(0.0, 1.2 - piece.width / tall)
        cutting += [0.0] + [dear] * (len(parts) - 1)
    spans = [
        (first, last)
        for first in range(len(atoms))
        for last in range(first + 1, len(atoms) + 1)
        if last == first + 1
        or (first, last) in whole
        or (
            last - first <= JOINED_AT_MOST
            and "joining" not in skip
            and _may_join(atoms[first:last], tall)
        )
    ]
    groups = [union(atoms[first:last]) for first, last in spans]
    found = judged(sheet, groups, judge, skip)
    best: list[tuple[float, list[Found]]] = [(0.0, [])]
    for end in range(1, len(atoms) + 1):
        ways = []
        for (first, last), digit in zip(spans, found, strict=True):
            if last != end:
                continue
            odd = cutting[first] + _unusual(digit.piece, tall)
            for before, after in zip(atoms[first : last - 1], atoms[first + 1 : last], strict=True):
                odd += JOINING * max(0, after.left - before.right) / tall
            total = best[first][0] + digit.cost + odd
            ways.append((total, [*best[first][1], replace(digit, odd=odd)]))
        best.append(min(ways, key=lambda way: way[0]))
    return best[-1][1]


def read_as_one(
    sheet: Sheet, lines: list[list[Found]], judge: Judge, skip: frozenset[str] = frozenset()
) -> Found | None:
    """Return several lines as one digit with a broken stroke, None if that is less likely.

    Args:
        sheet: that contains them.
        lines: the digits of each line.
        judge: classifies the digit.
        skip: names of steps to skip.
    """
    if len(lines) < 2 or len(sheet.pieces) > JOINED_AT_MOST or "joining" in skip:
        return None
    whole = union(sheet.pieces)
    if whole.width > 1.35 * whole.height:
        return None
    gap = farthest_gap(sheet.pieces) / whole.height
    if gap > APART:
        return None
    found = judged(sheet, [whole], judge, skip)[0]
    apart = sum(digit.cost for line in lines for digit in line) + STACKED
    return found if found.cost + JOINING * gap < apart else None


def _height(line: list[Piece]) -> float:
    """Return the median height of a line's digits, ignoring fragments."""
    tallest = max(piece.height for piece in line)
    return float(np.median([piece.height for piece in line if piece.height > 0.5 * tallest]))


def _unusual(piece: Piece, tall: float) -> float:
    """Return the cost of an unusual width or height."""
    wide = WIDE * max(0.0, piece.width / tall - 1.25)
    return wide + SHORT * max(0.0, 0.7 - piece.height / tall)


def _may_join(atoms: list[Piece], tall: float) -> bool:
    whole = union(atoms)
    gaps = [max(0, b.left - a.right) for a, b in itertools.pairwise(atoms)]
    return whole.width <= 1.35 * tall and max(gaps) <= APART * tall
