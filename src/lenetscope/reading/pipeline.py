"""Reading the number that is written in a picture.

In: any picture. Out: a `Reading`: digits with their probabilities, or why there are none to trust. The
steps are those of the modules beside this one, in the order of docs/reading.md.
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
from lenetscope.reading.lines import find_lines, slope_of
from lenetscope.reading.results import Digit, Reading, Step
from lenetscope.reading.segmentation import Found, read_as_one, read_line
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
"""What can be left out of a reading."""

LEFT_OUT = 1.5
"""Nats by which a digit of all the ink may be worse than one beside which all ink is clutter."""
SURE, CLUTTERED = 0.1, 0.1
"""Cost, in nats, and share of the ink left out, up to which a digit is not looked for in all of it."""
DOUBT = 0.7
"""Cost, in nats, from which on the picture is looked at again, for hairlines: an even chance."""
AS_IT_IS = 1.0
"""Nats by which another way must be better before a small picture is not taken as it is."""


def read(
    image: Any,
    *,
    judge: Judge | None = None,
    threshold: float | None = None,
    explain: bool = False,
    skip: frozenset[str] = frozenset(),
    name: str | None = None,
) -> Reading:
    """Read the number that is written in a picture.

    Args:
        image: a path, the bytes of a file or an open binary file, a `PIL.Image.Image`, or pixels as
            an array or tensor.
        judge: says which digit an image shows; by default the recipe ``reader``'s network.
        threshold: digitness in [0, 1] below which a digit is refused; by default the judge's own.
        explain: whether to keep the picture after each step, and what the network says to it.
        skip: names of steps to leave out, to see what they are worth; see `STEPS`.
        name: what to call the picture in messages.

    Returns:
        What is written, and why not to trust it, if so.

    Raises:
        ImageError: if it is no picture, or a damaged or too large one.
        UsageError: if the threshold is not in [0, 1].
    """
    if judge is None:
        from lenetscope.reading.reader import load_reader

        judge = load_reader()
    if unknown := skip - set(STEPS):
        raise UsageError(f"there is no step {listed(sorted(unknown))}; steps are {listed(STEPS)}.")
    if threshold is not None and not 0 <= threshold <= 1:
        raise UsageError(f"the threshold is a share between 0 and 1, not {threshold}.")
    picture, scale = open_picture(image, name)
    ways = _ways(picture, judge, skip)
    best = min(ways, key=lambda way: way.unlikely) if ways else Way(None, [], 0.0)
    steps = explained(picture, best.sheet, best.lines, judge) if explain else ()
    if not best.lines:
        return Reading("", 0.0, (), "blank: there is no ink in the picture", steps)
    return _reading(best.sheet, best.lines, scale, judge, threshold, steps)


@dataclass(frozen=True)
class Way:
    """A way to read a picture.

    Attributes:
        sheet: on which its digits were found, None if the picture was judged as it is.
        lines: the digits.
        before: cost in nats of what was assumed before the digits were looked at.
    """

    sheet: Sheet | None
    lines: list[list[Found]]
    before: float

    @property
    def unlikely(self) -> float:
        """Its cost in nats."""
        return _cost(self.lines) + self.before


def _ways(picture: Image.Image, judge: Judge, skip: frozenset[str]) -> list[Way]:
    """Return the ways to read a picture, no more of them than it takes."""
    ways: list[Way] = []
    small, settled = (None, False) if "as it is" in skip else read_small(picture, judge)
    if small is not None:
        ways.append(Way(None, [[small]], -AS_IT_IS))
        # of the many other ways one would look like a digit by luck
        settled = settled or small.digitness < judge.threshold
    if settled:
        return ways
    for narrow in (False, True):
        sheets = find_sheets(picture, skip, narrow)
        ways += [_read_sheet(found, judge, skip) for found in sheets]
        if not sheets or min(way.unlikely for way in ways) < DOUBT:
            break
    best = min(ways, key=lambda way: way.unlikely, default=None)
    if small is None and best is not None and best.sheet and "as it is" not in skip:
        left_out = best.sheet.left_out
        if best.unlikely > SURE or left_out > CLUTTERED:
            filling = read_filling(picture, judge)
            ways += [Way(None, [[filling]], -LEFT_OUT * left_out)] if filling else []
    return ways


def _read_sheet(sheet: Sheet, judge: Judge, skip: frozenset[str]) -> Way:
    """Read the lines of a sheet; those of one that runs up or down the page, level as well."""
    before = max(0.0, -sheet.polarity.evidence)
    lines = [read_line(sheet, line, judge, skip) for line in find_lines(sheet.pieces)]
    if (one := read_as_one(sheet, lines, judge, skip)) is not None:
        lines = [[one]]
    slope = slope_of(sheet.pieces)
    if slope and "turning" not in skip and (level := turned(sheet, slope)) is not None:
        others = [read_line(level, line, judge, skip) for line in find_lines(level.pieces)]
        if _cost(others) < _cost(lines) + 0.2:
            return Way(level, others, before)
    return Way(sheet, lines, before)


def _cost(lines: list[list[Found]]) -> float:
    """Return the mean cost of a digit."""
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
        which = "it" if len(digits) == 1 else f"{len(refused)} of {len(digits)} signs"
        least = min(digit.digitness for digit in digits)
        reason = f"{which} may be no digit: {least:.3f} sure, below the threshold of {limit:g}"
    return Reading(text, confidence, tuple(digits), reason, steps)
