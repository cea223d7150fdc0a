"""How much better a network is that may say "I don't know".

In: probabilities (N, K) and labels (N,). Out: the accuracy of the most confident answers, for every
share of answered images, and how large that share may be for an accuracy that is wanted.

R. El-Yaniv and Y. Wiener, "On the foundations of noise-free selective classification", JMLR 11, 2010;
Y. Geifman and R. El-Yaniv, "Selective classification for deep neural networks", NIPS 2017,
arXiv:1705.08500; the area under the curve: Y. Geifman, G. Uziel and R. El-Yaniv, arXiv:1805.08206.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lenetscope.errors import UsageError
from lenetscope.evaluation.reliability import Values, checked_probabilities
from lenetscope.evaluation.scores import wilson_interval
from lenetscope.tables import html_table

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Answered:
    """What a network does that answers only when its confidence reaches a threshold.

    Attributes:
        threshold: least confidence that is answered; None if nothing is.
        answered: images.
        errors: wrong answers among them.
        coverage: share of images answered, from 0 to 1.
        coverage_interval: its 95 % interval, from `Coverage.at_accuracy` only.
        accuracy: share of right answers among those given; None if nothing is answered.
        accuracy_interval: its 95 % interval, see `wilson_interval`.
    """

    threshold: float | None
    answered: int
    errors: int
    coverage: float
    coverage_interval: tuple[float, float] | None
    accuracy: float | None
    accuracy_interval: tuple[float, float] | None

    def __str__(self) -> str:
        if self.accuracy is None or self.accuracy_interval is None:
            return "nothing answered"
        return (
            f"{self.answered:,} answered ({self.coverage:.1%}"
            f"{_interval(self.coverage_interval, '.1%')}), {self.errors} errors, "
            f"{self.accuracy:.2%} right{_interval(self.accuracy_interval, '.2%')}, "
            f"confidence at least {self.threshold:.2%}"
        )


@dataclass(frozen=True)
class Coverage:
    """Accuracy against the share of images that are answered, the most confident first.

    Attributes:
        n: images.
        thresholds: (T,) the confidences that occur, falling.
        answered: (T,) images that reach each threshold.
        errors: (T,) wrong answers among them.
        aurc: area under the curve of the error share over coverage: the mean, over 1 to N answered
            images, of the share of errors among them; equal confidences in random order.
        aurc_best: what it would be if every right answer were surer than every wrong one. With
            confidences that mean nothing it would be the share of errors of all images.
    """

    n: int
    thresholds: Array = field(repr=False, compare=False)
    answered: Array = field(repr=False, compare=False)
    errors: Array = field(repr=False, compare=False)
    aurc: float
    aurc_best: float

    @property
    def coverages(self) -> Array:
        """Share of images answered at each threshold, (T,), rising to 1."""
        shares: Array = self.answered / self.n
        return shares

    @property
    def accuracies(self) -> Array:
        """Share of right answers among them, (T,)."""
        shares: Array = 1 - self.errors / self.answered
        return shares

    @property
    def intervals(self) -> Array:
        """95 % interval of each accuracy, (T, 2), each for itself."""
        pairs = zip(self.answered.tolist(), self.errors.tolist(), strict=True)
        return np.array([wilson_interval(n - wrong, n) for n, wrong in pairs])

    def at_coverage(self, coverage: float) -> Answered:
        """Answer at least this share of the images, and no more than equal confidences make it.

        Raises:
            UsageError: if the share is not above 0 and at most 1.
        """
        if not 0 < coverage <= 1:
            raise UsageError(f"a coverage is above 0 and at most 1, not {coverage}.")
        return self._answered(int(np.searchsorted(self.answered, coverage * self.n - 1e-9)), None)

    def at_accuracy(self, wanted: float, *, seed: int = 0, draws: int = 500) -> Answered:
        """Answer as many images as may be answered for an accuracy that is wanted.

        The threshold is chosen on the images that it is judged by, so the accuracy flatters a little.
        The interval of the coverage takes the choice into account: images are drawn anew with
        replacement and the threshold chosen anew each time (B. Efron, "Bootstrap methods", Ann.
        Stat. 7(1), 1979; percentiles).

        Args:
            wanted: share of right answers among those given, above 0 and at most 1.
            seed: of the draws.
            draws: how many.

        Returns:
            Coverage 0 if even the surest answers do not reach it.

        Raises:
            UsageError: if ``wanted`` is out of range, or ``draws`` is below 1.
        """
        if not 0 < wanted <= 1 or draws < 1:
            raise UsageError(
                f"a wanted accuracy is above 0 and at most 1, and draws are 1 or more, not {wanted} "
                f"and {draws}."
            )
        random = np.random.default_rng(seed)
        right = np.diff(self.answered - self.errors, prepend=0)  # (T,) new at each threshold
        wrong = np.diff(self.errors, prepend=0)
        chances = np.concatenate([right, wrong]) / self.n  # (2T,)
        largest = []
        for _ in range(draws):
            drawn = random.multinomial(self.n, chances).reshape(2, -1).cumsum(axis=1)  # (2, T)
            place = _last_reaching(wanted, drawn.sum(axis=0), drawn[1])
            largest.append(0.0 if place is None else drawn[:, place].sum() / self.n)
        low, high = np.quantile(largest, [0.025, 0.975])
        return self._answered(
            _last_reaching(wanted, self.answered, self.errors), (float(low), float(high))
        )

    def _answered(self, place: int | None, interval: tuple[float, float] | None) -> Answered:
        if place is None:
            return Answered(None, 0, 0, 0.0, interval, None, None)
        n, wrong = int(self.answered[place]), int(self.errors[place])
        return Answered(
            threshold=float(self.thresholds[place]),
            answered=n,
            errors=wrong,
            coverage=n / self.n,
            coverage_interval=interval,
            accuracy=1 - wrong / n,
            accuracy_interval=wilson_interval(n - wrong, n),
        )

    def _repr_html_(self) -> str:
        rows = [self.at_coverage(share) for share in (1.0, 0.99, 0.95, 0.9, 0.75, 0.5)]
        cells = [
            [
                f"{row.coverage:.1%}",
                f"{row.threshold:.2%}",
                f"{row.answered:,}",
                f"{row.errors:,}",
                f"{row.accuracy:.2%}",
            ]
            for row in rows
        ]
        headings = ["coverage", "confidence at least", "answered", "errors", "accuracy"]
        return html_table(headings, cells, [True] * 5)


def coverage_curve(probabilities: Values, labels: Values) -> Coverage:
    """Answer only the surest images, from the one surest to all of them, and count the errors.

    >>> curve = coverage_curve(np.array([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2]]), np.array([0, 0, 0]))
    >>> curve.coverages.round(2).tolist(), curve.accuracies.round(2).tolist()
    ([0.33, 0.67, 1.0], [1.0, 1.0, 0.67])

    Args:
        probabilities: (N, K), rows that add up to 1; the largest of a row is the confidence.
        labels: (N,) whole numbers from 0 to K - 1.

    Raises:
        DataError: if these are no probabilities, or no labels for them.
    """
    shares, true = checked_probabilities(probabilities, labels)
    confidence = shares.max(axis=1)
    wrong = shares.argmax(axis=1) != true
    order = np.argsort(-confidence, kind="stable")
    sorted_confidence = confidence[order]
    last = np.append(np.flatnonzero(np.diff(sorted_confidence)), len(true) - 1)  # of equal ones, (T,)
    answered, errors = last + 1, wrong[order].cumsum()[last]
    everyone = np.arange(1, len(true) + 1)
    # between two thresholds errors rise in a line: their expectation in random order
    expected = np.interp(everyone, np.append(0, answered), np.append(0, errors))
    best = np.maximum(0, everyone - (len(true) - errors[-1]))
    return Coverage(
        n=len(true),
        thresholds=sorted_confidence[last],
        answered=answered,
        errors=errors,
        aurc=float((expected / everyone).mean()),
        aurc_best=float((best / everyone).mean()),
    )


def _last_reaching(wanted: float, answered: Array, errors: Array) -> int | None:
    """Return the last place at which enough of the answers are right, or None."""
    reached = np.flatnonzero((answered > 0) & (errors <= (1 - wanted) * answered + 1e-9))
    return int(reached[-1]) if len(reached) else None


def _interval(bounds: tuple[float, float] | None, form: str) -> str:
    return "" if bounds is None else f", 95 % interval {bounds[0]:{form}} to {bounds[1]:{form}}"
