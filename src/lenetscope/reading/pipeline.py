"""Reading the number that is written in a picture.

In: any picture. Out: a `Reading`: digits with their probabilities, or why there are none to trust. The
steps are those of the modules beside this one, in the order of docs/reading.md.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from lenetscope.errors import UsageError, listed
from lenetscope.reading.box import is_like_mnist
from lenetscope.reading.components import Piece
from lenetscope.reading.decode import open_picture
from lenetscope.reading.explain import explain as explained
from lenetscope.reading.judge import Judge
from lenetscope.reading.lines import find_lines, slope_of
from lenetscope.reading.prepare import Prepared
from lenetscope.reading.results import Digit, Reading, Step
from lenetscope.reading.segmentation import Found, read_line
from lenetscope.reading.sheet import Sheet, find_sheets, turned

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


NO_DOUBT = 0.22
"""Cost, in nats, below which a picture of 28x28 is taken as it is: a digit, and which one, 4 to 1."""


AS_IT_IS = 1.0
"""Nats by which another way must be better before a picture of 28x28 is not taken as it is."""


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
    ways: list[tuple[Sheet | None, list[list[Found]]]] = []
    plain, settled = (None, False) if "as it is" in skip else _plain(picture, judge)
    if plain is not None and (settled or plain.digitness >= judge.threshold):
        ways = [(None, [[plain]])]
    if not settled:
        for found in find_sheets(picture, skip):
            ways += [_read_sheet(found, judge, skip)]
    sheet, lines = min(ways, key=_unlikely) if ways else (None, [])
    steps = explained(picture, sheet, lines, judge) if explain else ()
    if not lines:
        return Reading("", 0.0, (), "blank: there is no ink in the picture", steps)
    return _reading(sheet, lines, scale, judge, threshold, steps)


def _read_sheet(
    sheet: Sheet, judge: Judge, skip: frozenset[str]
) -> tuple[Sheet | None, list[list[Found]]]:
    """Read the lines of a sheet; those of one that runs up or down the page, level as well."""
    lines = [read_line(sheet, line, judge, skip) for line in find_lines(sheet.pieces)]
    slope = slope_of(sheet.pieces)
    if slope and "turning" not in skip and (level := turned(sheet, slope)) is not None:
        others = [read_line(level, line, judge, skip) for line in find_lines(level.pieces)]
        if _cost(others) < _cost(lines) + 0.2:
            return level, others
    return sheet, lines


def _unlikely(way: tuple[Sheet | None, list[list[Found]]]) -> float:
    """Return the cost of a way to read, that of its polarity included."""
    sheet, lines = way
    if sheet is None:  # of the many other ways one may look good by luck
        return _cost(lines) - AS_IT_IS
    return _cost(lines) + max(0.0, -sheet.polarity.evidence)


def _cost(lines: list[list[Found]]) -> float:
    """Return the mean cost of a digit."""
    return float(np.mean([digit.cost for line in lines for digit in line]))


def _plain(picture: Image.Image, judge: Judge) -> tuple[Found | None, bool]:
    """Judge a picture of 28x28 as it is.

    At this size little can be mended, and much be spoilt: a network that was trained on blurred,
    noisy and shifted digits sees more in the pixels than in a mask made of them.

    Returns:
        The better of the picture and its negative, None if it has another size; and whether that
        settles it: it is made as MNIST's are, or the judge has no doubt.
    """
    if picture.size != (28, 28):
        return None, False
    pixels = np.asarray(picture.convert("L"))
    both = (pixels, 255 - pixels)
    for image in both:
        if is_like_mnist(image):
            return _judged_as_it_is(image, judge), True
    best = min((_judged_as_it_is(image, judge) for image in both), key=lambda found: found.cost)
    return best, best.cost < NO_DOUBT


def _judged_as_it_is(image: Array, judge: Judge) -> Found:
    probabilities, digitness = judge.judge(torch.from_numpy(image.copy())[None, None])
    piece = Piece(0, 0, 28, 28, image > 0, 1.0)
    return Found(piece, Prepared(image, ()), probabilities[0].numpy(), float(digitness[0]))


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
        box = sheet.box_in_picture(found.piece) if sheet else (0.0, 0.0, 28.0, 28.0)
        order = [int(k) for k in np.argsort(-found.probabilities)]
        digits.append(
            Digit(
                label=str(order[0]),
                probability=float(found.probabilities[order[0]]),
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
