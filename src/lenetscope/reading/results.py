"""The result of reading a picture: its digits, and the steps that led to them."""

from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from lenetscope.table import html_table, percent

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Digit:
    """One digit of a picture.

    Attributes:
        label: "0" to "9".
        probability: that it is this digit, and was cut out correctly.
        digitness: probability that it is a digit at all.
        box: left, top, right, bottom in pixels of the picture.
        alternatives: the three next labels with their probabilities, likeliest first.
        image: (28, 28) uint8, input of the network.
    """

    label: str
    probability: float
    digitness: float
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
class Step:
    """A picture after one step, and the network's prediction for it.

    Attributes:
        name: of the step.
        picture: (H, W) float in [0, 1], for display.
        image: (28, 28) uint8, the same resized for the network.
        label: predicted for that image.
        probability: of that label.
        digit: number of the digit that it shows, None for the whole picture.
    """

    name: str
    picture: Array = field(repr=False, compare=False)
    image: Array = field(repr=False, compare=False)
    label: str = "?"
    probability: float = 0.0
    digit: int | None = None


@dataclass(frozen=True)
class Reading:
    """The number written in a picture.

    Attributes:
        text: the digits, lines separated by a space; empty if no ink was found.
        confidence: probability that the whole text is correct.
        digits: in the order of the text.
        rejected: the reason not to trust the text, None if there is none.
        steps: one per step, if `lenetscope.read` was called with ``explain``.
    """

    text: str
    confidence: float
    digits: tuple[Digit, ...] = ()
    rejected: str | None = None
    steps: tuple[Step, ...] = field(default=(), repr=False, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON object that ``lenetscope read --json`` prints."""
        return {
            "text": self.text,
            "confidence": round(self.confidence, 6),
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

    @property
    def rescued_by(self) -> str | None:
        """Name of the step from which the prediction was the final one; None if it always was."""
        if len(self.digits) != 1 or not self.steps:
            return None
        labels = [step.label for step in self.steps]
        first = len(labels)
        while first and labels[first - 1] == self.digits[0].label:
            first -= 1
        return self.steps[first].name if 0 < first < len(labels) else None
