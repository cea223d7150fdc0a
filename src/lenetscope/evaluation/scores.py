"""Figures that can be cited, each with the number of samples and its confidence interval."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lenetscope.arguments import require_one_name_each, require_whole
from lenetscope.errors import DataError
from lenetscope.evaluation.tally import Tally
from lenetscope.table import ShowsFacts, Table, column, interval, percent

Z_95 = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """Return the 95 % score interval of a fraction.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", J. Am.
    Stat. Assoc. 22(158), 1927; it stays within [0, 1] and is sound near 1, where accuracies lie.

    >>> [round(bound, 4) for bound in wilson_interval(9930, 10000)]
    [0.9912, 0.9945]

    Args:
        successes: from 0 to ``n``.
        n: samples, at least 1.
    """
    require_whole("n", n, 1)
    fraction = require_whole("successes", successes, 0, n) / n
    middle = fraction + Z_95**2 / (2 * n)
    spread = Z_95 * math.sqrt(fraction * (1 - fraction) / n + Z_95**2 / (4 * n**2))
    scale = 1 + Z_95**2 / n
    low, high = (middle - spread) / scale, (middle + spread) / scale
    return max(0.0, min(low, fraction)), min(1.0, max(high, fraction))  # whatever rounding does


@dataclass(frozen=True)
class ClassScores:
    """The figures of one class; None where 0 would be divided by 0.

    Attributes:
        name: of the class.
        n: samples of the class.
        precision: fraction of the samples predicted as the class that belong to it.
        recall: fraction of the samples of the class that are predicted as it.
        f1: harmonic mean of the two.
    """

    name: str = column(heading="class")
    n: int = column(",d")
    precision: float | None = column(".2%")
    recall: float | None = column(".2%")
    f1: float | None = column(".2%", "F1")


@dataclass(frozen=True)
class Confused:
    """How many samples of one class are predicted as another."""

    true: str = column()
    predicted: str = column()
    n: int = column(",d", "images")


@dataclass(frozen=True, repr=False)
class Scores(ShowsFacts):
    """The figures of a classifier on ``n`` samples.

    Attributes:
        n: samples.
        errors: misclassified samples.
        accuracy: fraction of the others, from 0 to 1.
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
    confusion: npt.NDArray[np.int64]
    classes: tuple[str, ...]

    @classmethod
    def from_tally(cls, tally: Tally, classes: tuple[str, ...] | None = None) -> "Scores":
        """Compute the figures of a tally.

        Args:
            tally: of a classification.
            classes: K names; by default ``"0"``, ``"1"`` and so on.

        Raises:
            DataError: if the tally has no samples, or is not of a classification.
            UsageError: if there are not K names.
        """
        if not tally.n:
            raise DataError("there is nothing to evaluate: the loader gave no samples.")
        if tally.confusion is None:
            raise DataError("scores are for classification: outputs (N, K), or (N,) for a BCE loss.")
        require_one_name_each(classes, len(tally.confusion))
        n, correct = int(tally.confusion.sum()), int(tally.confusion.trace())
        if not n:
            raise DataError("there is nothing to evaluate: no label is one of the classes.")
        return cls(
            n=n,
            errors=n - correct,
            accuracy=correct / n,
            accuracy_interval=wilson_interval(correct, n),
            loss=tally.loss,
            confusion=tally.confusion.numpy(),
            classes=classes or tuple(str(k) for k in range(len(tally.confusion))),
        )

    def per_class(self) -> Table[ClassScores]:
        """Return the figures of each class."""
        true, predicted = self.confusion.sum(axis=1), self.confusion.sum(axis=0)  # (K,) each
        correct = self.confusion.diagonal()
        with np.errstate(invalid="ignore"):  # 0 / 0 is NaN
            ratios = np.stack([correct / predicted, correct / true, 2 * correct / (true + predicted)])
        columns = [[None if np.isnan(r) else r for r in each] for each in ratios.tolist()]
        return Table(map(ClassScores, self.classes, true.tolist(), *columns))

    def most_confused(self, count: int = 5) -> Table[Confused]:
        """Return the largest cells off the diagonal, largest first."""
        require_whole("count", count, 1)
        off = self.confusion * (1 - np.eye(len(self.confusion), dtype=np.int64))
        cells = sorted(np.argwhere(off).tolist(), key=lambda cell: -off[tuple(cell)])[:count]
        return Table(Confused(self.classes[i], self.classes[j], int(off[i, j])) for i, j in cells)

    def facts(self) -> dict[str, str]:
        """Return the figures of all classes together."""
        return {
            "images": f"{self.n:,}",
            "errors": f"{self.errors:,}",
            "accuracy": f"{percent(self.accuracy)} ({interval(self.accuracy_interval)})",
            "loss": f"{self.loss:.4f}",
        }

    def _repr_html_(self) -> str:
        return super()._repr_html_() + self.per_class()._repr_html_()

    def as_dict(self) -> dict[str, Any]:
        """Return all figures as plain values, for JSON."""
        per_class = [{"class": row.pop("name")} | row for row in self.per_class().as_dicts()]
        return asdict(self) | {"confusion": self.confusion.tolist(), "per_class": per_class}
