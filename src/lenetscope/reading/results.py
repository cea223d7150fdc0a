"""What reading a picture gives.

In: nothing. Out: plain values, to print, to write as JSON, or to look at step by step.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Digit:
    """One digit of a picture.

    Attributes:
        label: "0" to "9".
        probability: that it is this digit, and was cut out of the ink rightly.
        digitness: how sure it is that this is a digit at all, in [0, 1].
        box: left, top, right, bottom in pixels of the picture.
        alternatives: three other labels with their probabilities, the likeliest first.
        image: (28, 28) uint8, what the network saw.
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
    """A picture after one step, and what the network would have said to it.

    Attributes:
        name: of the step.
        picture: (H, W) float in [0, 1] as people see it.
        image: (28, 28) uint8 that the network would have been given.
        label: that it would have answered.
        probability: of that label.
        digit: which digit of the picture it is of, None for the whole picture.
    """

    name: str
    picture: Array = field(repr=False, compare=False)
    image: Array = field(repr=False, compare=False)
    label: str = "?"
    probability: float = 0.0
    digit: int | None = None


@dataclass(frozen=True)
class Reading:
    """What is written in a picture.

    Attributes:
        text: the digits; lines are separated by a space. Empty if no ink was found.
        confidence: that all of it is right, in [0, 1].
        digits: in the order of the text.
        rejected: why not to trust the text, None if there is no reason.
        steps: what was done, if `lenetscope.read` was asked to explain.
    """

    text: str
    confidence: float
    digits: tuple[Digit, ...] = ()
    rejected: str | None = None
    steps: tuple[Step, ...] = field(default=(), repr=False, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """Return what ``lenetscope read --json`` prints of a picture."""
        return {
            "text": self.text,
            "confidence": round(self.confidence, 6),
            "digits": [digit.as_dict() for digit in self.digits],
            "rejected": self.rejected,
        }

    def __str__(self) -> str:
        """Return the text and the confidence, or why it was refused."""
        if self.rejected is None:
            return f"{self.text}  {100 * self.confidence:.1f} %"
        return f"{self.text or '-'}  rejected: {self.rejected}"

    @property
    def rescued_by(self) -> str | None:
        """The step from which on the answer was the final one; None if it always was."""
        if len(self.digits) != 1 or not self.steps:
            return None
        labels = [step.label for step in self.steps]
        first = len(labels)
        while first and labels[first - 1] == self.digits[0].label:
            first -= 1
        return self.steps[first].name if 0 < first < len(labels) else None
