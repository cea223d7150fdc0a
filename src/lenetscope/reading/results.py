"""The result of reading a picture: its digits, and the ways in which it was seen."""

from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from lenetscope.reading.strips import Strip
from lenetscope.table import html_table, percent

Array = npt.NDArray[Any]


def score_of(digitness: float, confidence: float, digits: int) -> float:
    """Return the probability per digit that it is right, times that of digits alone.

    >>> score_of(0.9, 0.25, digits=2)
    0.45

    Args:
        digitness: see `Reading`.
        confidence: see `Reading`.
        digits: of the text.
    """
    return float(digitness * confidence ** (1 / max(1, digits)))


@dataclass(frozen=True)
class Digit:
    """One digit of a picture.

    Attributes:
        label: "0" to "9".
        probability: that it is this digit, if the other ones are right.
        box: left, top, right, bottom in pixels of the picture.
        alternatives: the three next labels with their probabilities, likeliest first.
        image: (28, W) uint8, its part of the strip that the network was given.
    """

    label: str
    probability: float
    box: tuple[float, float, float, float]
    alternatives: tuple[tuple[str, float], ...]
    image: Array = field(repr=False, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, without the image."""
        return {
            "label": self.label,
            "probability": round(self.probability, 6),
            "box": [round(side, 1) for side in self.box],
            "alternatives": [
                {"label": label, "probability": round(p, 6)} for label, p in self.alternatives
            ],
        }


@dataclass(frozen=True)
class Alternative:
    """A way in which a picture was seen, and what was read in it.

    Attributes:
        view: what was done.
        text: the digits read.
        weight: of this view among all, from 0 to 1.
        strips: one per line.
    """

    view: str
    text: str
    weight: float
    strips: list[Strip] = field(repr=False, compare=False)


@dataclass(frozen=True)
class Reading:
    """The number written in a picture.

    Attributes:
        text: the digits, lines separated by a space; empty if no ink was found.
        confidence: probability that the whole text is correct.
        digitness: probability that digits, and nothing else, are written there.
        digits: in the order of the text.
        rejected: the reason not to trust the text, None if there is none.
        views: the ways in which the picture was seen, the chosen one first, if `lenetscope.read` was
            called with ``explain``.
        picture: (H, W) uint8, the picture in grey and reduced, likewise.
        size: width and height of the picture, in pixels.
    """

    text: str
    confidence: float
    digitness: float
    digits: tuple[Digit, ...] = ()
    rejected: str | None = None
    views: tuple[Alternative, ...] = field(default=(), repr=False, compare=False)
    picture: Array | None = field(default=None, repr=False, compare=False)
    size: tuple[int, int] = (0, 0)

    @property
    def score(self) -> float:
        """What is compared with the threshold: see `score_of`."""
        return score_of(self.digitness, self.confidence, len(self.text.replace(" ", "")))

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON object that ``lenetscope read --json`` prints."""
        return {
            "text": self.text,
            "confidence": round(self.confidence, 6),
            "digitness": round(self.digitness, 6),
            "score": round(self.score, 6),
            "digits": [digit.as_dict() for digit in self.digits],
            "rejected": self.rejected,
        }

    def __str__(self) -> str:
        """Return the text and the confidence, or the reason to reject it."""
        if self.rejected is None:
            return f"{self.text}  {percent(self.confidence, 1, certain=False)}"
        return f"{self.text or '-'}  rejected: {self.rejected}"

    def _repr_html_(self) -> str:
        def likely(label: str, probability: float) -> str:
            return f"{label}  {percent(probability, 1, certain=False)}"

        rows = [
            [
                likely(d.label, d.probability),
                ", ".join(likely(*pair) for pair in d.alternatives),
            ]
            for d in self.digits
        ]
        return html_table([str(self), "or else"], rows, [False, False])
