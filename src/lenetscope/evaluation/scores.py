"""Figures that can be cited: each with the number of samples and the interval it lies in.

In: a tally. Out: `Scores`, frozen.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lenetscope.errors import DataError
from lenetscope.evaluation.tally import Tally
from lenetscope.tables import html_table

Z_95 = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """Return the 95 % score interval of a share.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", J. Am.
    Stat. Assoc. 22(158), 1927; it stays within [0, 1] and is sound near 1, where accuracies lie.

    >>> [round(bound, 4) for bound in wilson_interval(9930, 10000)]
    [0.9912, 0.9945]

    Args:
        successes: from 0 to ``n``.
        n: samples, at least 1.
    """
    share = successes / n
    middle = share + Z_95**2 / (2 * n)
    spread = Z_95 * math.sqrt(share * (1 - share) / n + Z_95**2 / (4 * n**2))
    scale = 1 + Z_95**2 / n
    low, high = (middle - spread) / scale, (middle + spread) / scale
    return max(0.0, min(low, share)), min(1.0, max(high, share))  # whatever rounding does


@dataclass(frozen=True)
class Scores:
    """How a classifier did on ``n`` samples.

    Attributes:
        n: samples.
        errors: those whose class was not predicted.
        accuracy: share of the others, from 0 to 1.
        accuracy_interval: its 95 % interval, see `wilson_interval`.
        loss: mean over the samples, in the units of the loss (nats for cross-entropy).
        confusion: (K, K) int64, rows true and columns predicted.
        classes: the K names.
    """

    n: int
    errors: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    loss: float
    confusion: npt.NDArray[np.int64] = field(repr=False)
    classes: tuple[str, ...] = field(repr=False)

    @classmethod
    def from_tally(cls, tally: Tally, classes: tuple[str, ...] | None = None) -> "Scores":
        """Derive the figures from a tally.

        Args:
            tally: of a classification.
            classes: K names; by default ``"0"``, ``"1"`` and so on.

        Raises:
            DataError: if the tally has no samples, or is of no classification.
        """
        if not tally.n:
            raise DataError("there is nothing to evaluate: the loader gave no samples.")
        if tally.confusion is None:
            raise DataError(
                "scores are for classification: outputs (N, K) with integer labels (N,), or one "
                "output a sample with BCEWithLogitsLoss or BCELoss."
            )
        counted, right = int(tally.confusion.sum()), int(tally.confusion.trace())
        if not counted:
            raise DataError("there is nothing to evaluate: no label is one of the classes.")
        names = classes or tuple(str(k) for k in range(len(tally.confusion)))
        return cls(
            n=counted,
            errors=counted - right,
            accuracy=right / counted,
            accuracy_interval=wilson_interval(right, counted),
            loss=tally.loss,
            confusion=tally.confusion.numpy(),
            classes=names,
        )

    def per_class(self) -> list[dict[str, Any]]:
        """Return name, n, precision, recall and F1 of each class; None where 0 would divide."""
        true, predicted = self.confusion.sum(axis=1), self.confusion.sum(axis=0)
        right = self.confusion.diagonal()
        return [
            {
                "class": name,
                "n": int(true[k]),
                "precision": _share(right[k], predicted[k]),
                "recall": _share(right[k], true[k]),
                "f1": _share(2 * right[k], true[k] + predicted[k]),
            }
            for k, name in enumerate(self.classes)
        ]

    def _repr_html_(self) -> str:
        low, high = self.accuracy_interval
        figures = [
            ("accuracy", f"{self.accuracy:.2%} (95 % interval {low:.2%} to {high:.2%})"),
            ("errors", f"{self.errors:,}"),
            ("loss", f"{self.loss:.4f}"),
        ]
        cells = [
            [
                row["class"],
                f"{row['n']:,}",
                *("-" if row[k] is None else f"{row[k]:.2%}" for k in ("precision", "recall", "f1")),
            ]
            for row in self.per_class()
        ]
        headings = ["class", "n", "precision", "recall", "F1"]
        return html_table([f"{self.n:,} images", ""], figures, [False, True]) + html_table(
            headings, cells, [False, True, True, True, True]
        )

    def most_confused(self, count: int = 5) -> list[tuple[str, str, int]]:
        """Return the largest cells off the diagonal: true class, predicted class, how often."""
        off = self.confusion * (1 - np.eye(len(self.confusion), dtype=np.int64))
        largest = np.argsort(-off, axis=None, kind="stable")[:count]
        pairs = [np.unravel_index(cell, off.shape) for cell in largest]
        return [
            (self.classes[true], self.classes[wrong], int(off[true, wrong]))
            for true, wrong in pairs
            if off[true, wrong]
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return all figures as plain values, for JSON."""
        return {
            "n": self.n,
            "errors": self.errors,
            "accuracy": self.accuracy,
            "accuracy_interval": list(self.accuracy_interval),
            "loss": self.loss,
            "classes": list(self.classes),
            "confusion": self.confusion.tolist(),
            "per_class": self.per_class(),
        }


def _share(part: Any, whole: Any) -> float | None:
    return float(part / whole) if whole else None
