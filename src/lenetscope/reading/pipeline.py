"""Reads the number written in a picture.

Each step is a module of this package; docs/reading.md describes them in order. A picture may be read in
several ways, of which the one with the most probable digits is returned.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from lenetscope.errors import UsageError, listed
from lenetscope.reading.decode import open_picture
from lenetscope.reading.explain import explain as explained
from lenetscope.reading.judge import Judge
from lenetscope.reading.lines import slope_of
from lenetscope.reading.results import Digit, Reading, Step
from lenetscope.reading.segmentation import MANY, Found, read_as_one, read_lines
from lenetscope.reading.sheet import Sheet, find_sheets, turned
from lenetscope.reading.whole import read_filling, read_small

Array = npt.NDArray[Any]

STEPS = (
    "as it is",
    "illumination",
    "both polarities",
    "lines of paper",
    "clutter",
    "joining",
    "cutting",
    "closer look",
    "turning",
    "slant",
    "stroke width",
)
"""Names of the steps that a reading can skip."""

NARROWEST, OBLONG = 4, 60
"""Shorter side in pixels, and ratio of the sides, beyond which a picture cannot show a number."""
LEFT_OUT = 1.5
"""Advantage, in nats, of a digit made of all the ink if other ways remove all ink as clutter."""
CONFIDENT, CLUTTERED = 0.1, 0.1
"""Cost in nats, and fraction of the ink removed, up to which all the ink is not tried as one digit."""
DOUBT = 0.7
"""Cost in nats from which the picture is searched again for hairlines: an even chance, ln 2."""
AS_IT_IS = 1.0
"""Advantage, in nats, of classifying a small picture as it is over all other ways."""


def read(
    image: Any,
    *,
    judge: Judge | None = None,
    threshold: float | None = None,
    explain: bool = False,
    skip: frozenset[str] = frozenset(),
    name: str | None = None,
) -> Reading:
    """Read the number written in a picture.

    Args:
        image: a path, the bytes of a file, an open binary file, a `PIL.Image.Image`, or pixels as an
            array or tensor.
        judge: classifies images of single digits; by default the network of the recipe ``reader``.
        threshold: digitness in [0, 1] below which a digit is refused; by default the judge's own.
        explain: whether to keep the picture after each step, and the network's prediction for it.
        skip: names of `STEPS` to skip, to measure what they contribute.
        name: of the picture in messages.

    Returns:
        The digits, and the reason not to trust them if there is one.

    Raises:
        ImageError: if it is not a picture, or damaged or too large.
        UsageError: if the threshold is not in [0, 1], or a step is unknown.
    """
    if judge is None:
        from lenetscope.reading.reader import load_reader

        judge = load_reader()
    if unknown := skip - set(STEPS):
        raise UsageError(f"there is no step {listed(sorted(unknown))}; the steps are {listed(STEPS)}.")
    if threshold is not None and not 0 <= threshold <= 1:
        raise UsageError(f"the threshold must be between 0 and 1, not {threshold}.")
    picture, scale = open_picture(image, name)
    shorter, longer = sorted(picture.size)
    narrow = longer > OBLONG * shorter or shorter < NARROWEST <= longer
    ways = [] if narrow else _ways(picture, judge, skip)
    best = min(ways, key=lambda way: way.unlikely) if ways else Way(None, [], 0.0)
    steps = explained(picture, best.sheet, best.lines, judge) if explain else ()
    if not best.lines:
        reason = "too narrow for a digit" if narrow else "blank: there is no ink in the picture"
        return Reading("", 0.0, (), reason, steps)
    return _reading(best.sheet, best.lines, scale, judge, threshold, steps)


@dataclass(frozen=True)
class Way:
    """A way to read a picture.

    Attributes:
        sheet: on which its digits were found, None if the picture was classified as it is.
        lines: the digits of each line.
        before: cost, in nats, of what was assumed before the digits were classified.
    """

    sheet: Sheet | None
    lines: list[list[Found]]
    before: float

    @property
    def unlikely(self) -> float:
        """Cost in nats: the lower, the more probable."""
        return _cost(self.lines) + self.before


def _ways(picture: Image.Image, judge: Judge, skip: frozenset[str]) -> list[Way]:
    """Return the ways to read a picture; further ones are tried only while the best is doubtful."""
    ways: list[Way] = []
    small, settled = (None, False) if "as it is" in skip else read_small(picture, judge)
    if small is not None:
        ways.append(Way(None, [[small]], -AS_IT_IS))
        # among many other ways one would resemble a digit by chance
        settled = settled or small.digitness < judge.threshold
    if settled:
        return ways
    for narrow in (False, True):
        sheets = find_sheets(picture, skip, narrow)
        ways += [_read_sheet(found, judge, skip) for found in sheets]
        if not sheets or min(way.unlikely for way in ways) < DOUBT:
            break
        if sum(len(found.pieces) for found in sheets) > MANY:  # not a number, and would take long
            break
    best = min(ways, key=lambda way: way.unlikely, default=None)
    if small is None and best is not None and best.sheet and "as it is" not in skip:
        left_out = best.sheet.left_out
        if best.unlikely > CONFIDENT or left_out > CLUTTERED:
            filling = read_filling(picture, judge)
            ways += [Way(None, [[filling]], -LEFT_OUT * left_out)] if filling else []
    return ways


def _read_sheet(sheet: Sheet, judge: Judge, skip: frozenset[str]) -> Way:
    """Read the lines of a sheet; if they slope, rotated as well, and keep the better reading."""
    before = max(0.0, -sheet.polarity.evidence)
    lines = read_lines(sheet, judge, skip)
    if (one := read_as_one(sheet, lines, judge, skip)) is not None:
        lines = [[one]]
    slope = slope_of(sheet.pieces)
    if slope and "turning" not in skip and (level := turned(sheet, slope)) is not None:
        others = read_lines(level, judge, skip)
        if _cost(others) < _cost(lines) + 0.2:
            return Way(level, others, before)
    return Way(sheet, lines, before)


def _cost(lines: list[list[Found]]) -> float:
    """Return the mean cost per digit."""
    return float(np.mean([digit.cost for line in lines for digit in line]))


def _reading(
    sheet: Sheet | None,
    lines: list[list[Found]],
    scale: float,
    judge: Judge,
    threshold: float | None,
    steps: tuple[Step, ...],
) -> Reading:
    limit = judge.threshold if threshold is None else threshold
    digits = []
    for found in (each for line in lines for each in line):
        piece = found.piece
        box = sheet.box_in_picture(piece) if sheet else (0.0, 0.0, piece.width, piece.height)
        order = [int(k) for k in np.argsort(-found.probabilities)]
        digits.append(
            Digit(
                label=str(order[0]),
                probability=float(found.probabilities[order[0]]) * math.exp(-found.odd),
                digitness=found.digitness,
                box=(box[0] / scale, box[1] / scale, box[2] / scale, box[3] / scale),
                alternatives=tuple((str(k), float(found.probabilities[k])) for k in order[1:4]),
                image=found.prepared.image,
            )
        )
    text = " ".join("".join(str(f.probabilities.argmax()) for f in line) for line in lines)
    confidence = float(np.prod([digit.probability for digit in digits]))
    refused = [n for n, digit in enumerate(digits, start=1) if digit.digitness < limit]
    reason = None
    if refused:
        which = f"{len(refused)} of {len(digits)} characters may not be digits"
        which, lowest = (which, "lowest ") if len(digits) > 1 else ("it may not be a digit", "")
        least = min(digit.digitness for digit in digits)
        reason = f"{which} ({lowest}probability {least:.3f}, below the threshold of {limit:g})"
    return Reading(text, confidence, tuple(digits), reason, steps)
