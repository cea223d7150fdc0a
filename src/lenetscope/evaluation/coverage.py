"""Selective classification: how accurate a network is if it rejects images of low confidence.

R. El-Yaniv and Y. Wiener, "On the foundations of noise-free selective classification", JMLR 11, 2010;
Y. Geifman and R. El-Yaniv, "Selective classification for deep neural networks", NIPS 2017,
arXiv:1705.08500; the area under the curve: Y. Geifman, G. Uziel and R. El-Yaniv, arXiv:1805.08206.
"""

from dataclasses import dataclass, field

import numpy as np

from lenetscope.errors import UsageError
from lenetscope.evaluation.outputs import Array, Values, require_probabilities
from lenetscope.evaluation.scores import wilson_interval
from lenetscope.table import Table, column, interval, percent

FRACTIONS = (1.0, 0.99, 0.95, 0.9, 0.75, 0.5)
"""Coverages that are shown in a table."""


@dataclass(frozen=True)
class Accepted:
    """The images whose confidence reaches a threshold.

    Attributes:
        coverage: fraction of all images that is accepted, from 0 to 1.
        threshold: least confidence that is accepted; None if no image is.
        n: images.
        errors: how many of them are misclassified.
        accuracy: fraction of the accepted images that is correct; None without any.
        accuracy_interval: its 95 % interval, see `wilson_interval`.
        coverage_interval: that of the coverage, from `Coverage.at_accuracy` only.
    """

    coverage: float = column(".1%", "accepted")
    threshold: float | None = column(".2p", "confidence at least")
    n: int = column(",d", "images")
    errors: int = column(",d")
    accuracy: float | None = column(".2%")
    accuracy_interval: tuple[float, float] | None = field(default=None, repr=False)
    coverage_interval: tuple[float, float] | None = field(default=None, repr=False)

    def __str__(self) -> str:
        if self.accuracy is None or self.threshold is None:
            return "no image accepted"
        parts = [
            f"{self.n:,} accepted ({percent(self.coverage, 1)}",
            f"{self.errors} errors, accuracy {percent(self.accuracy)}",
            f"confidence at least {percent(self.threshold, certain=False)}",
        ]
        if self.coverage_interval is not None:
            parts[0] += f", {interval(self.coverage_interval, 1)}"
        if self.accuracy_interval is not None:
            parts[1] += f", {interval(self.accuracy_interval)}"
        parts[0] += ")"
        return ", ".join(parts)


@dataclass(frozen=True)
class Coverage:
    """Accuracy against the fraction of images that is accepted, the most confident first.

    Attributes:
        n: images.
        thresholds: (T,) the confidences that occur, largest first.
        accepted: (T,) images that reach each threshold.
        errors: (T,) how many of them are misclassified.
        aurc: area under the risk-coverage curve: the fraction of errors among the accepted images, a
            mean over 1 to N accepted images; equal confidences count as in random order.
        aurc_best: what it would be if every correct image were more confident than every misclassified
            one. With confidences that mean nothing it would be the fraction of errors of all images.
    """

    n: int
    thresholds: Array = field(repr=False, compare=False)
    accepted: Array = field(repr=False, compare=False)
    errors: Array = field(repr=False, compare=False)
    aurc: float
    aurc_best: float

    @property
    def coverages(self) -> Array:
        """Fraction of images accepted at each threshold, (T,), rising to 1."""
        return np.asarray(self.accepted / self.n)

    @property
    def accuracies(self) -> Array:
        """Fraction of the accepted images that is correct, (T,)."""
        return np.asarray(1 - self.errors / self.accepted)

    @property
    def intervals(self) -> Array:
        """95 % interval of each accuracy by itself, (T, 2)."""
        pairs = zip(self.accepted.tolist(), self.errors.tolist(), strict=True)
        return np.array([wilson_interval(n - wrong, n) for n, wrong in pairs])

    @property
    def rows(self) -> Table[Accepted]:
        """What is accepted at some coverages, one per row; of few images, fewer rows."""
        return Table(dict.fromkeys(self.at_coverage(fraction) for fraction in FRACTIONS))

    def at_coverage(self, coverage: float) -> Accepted:
        """Accept this fraction of the images, and those as confident as the last of them.

        Raises:
            UsageError: if the fraction is not above 0 and at most 1.
        """
        if not 0 < coverage <= 1:
            raise UsageError(f"a coverage must be above 0 and at most 1, not {coverage}.")
        return self._accept(int(np.searchsorted(self.accepted, coverage * self.n - 1e-9)), None)

    def at_accuracy(self, wanted: float, *, seed: int = 0, draws: int = 500) -> Accepted:
        """Accept as many images as possible with an accuracy of at least ``wanted``.

        The threshold is chosen on the images that it is evaluated on, so the accuracy is a little
        optimistic. The interval of the coverage takes the choice into account: images are drawn with
        replacement, and the threshold is chosen anew each time (B. Efron, "Bootstrap methods", Ann.
        Stat. 7(1), 1979; percentiles).

        Args:
            wanted: fraction of the accepted images, above 0 and at most 1.
            seed: of the draws.
            draws: how many.

        Returns:
            Coverage 0 if even the most confident images do not reach it.

        Raises:
            UsageError: if ``wanted`` is out of range, or ``draws`` is below 1.
        """
        if not 0 < wanted <= 1 or draws < 1:
            raise UsageError(
                f"give an accuracy above 0 and at most 1 and draws, not {wanted}, {draws}."
            )
        random = np.random.default_rng(seed)
        correct = np.diff(self.accepted - self.errors, prepend=0)  # (T,) new at each threshold
        wrong = np.diff(self.errors, prepend=0)
        chances = np.concatenate([correct, wrong]) / self.n  # (2T,)
        largest = []
        for _ in range(draws):
            drawn = random.multinomial(self.n, chances).reshape(2, -1).cumsum(axis=1)  # (2, T)
            place = _last_reaching(wanted, drawn.sum(axis=0), drawn[1])
            largest.append(0.0 if place is None else drawn[:, place].sum() / self.n)
        low, high = np.quantile(largest, [0.025, 0.975]).tolist()
        return self._accept(_last_reaching(wanted, self.accepted, self.errors), (low, high))

    def _accept(self, place: int | None, interval: tuple[float, float] | None) -> Accepted:
        if place is None:
            return Accepted(0.0, None, 0, 0, None, None, interval)
        n, wrong = int(self.accepted[place]), int(self.errors[place])
        threshold, accuracy = float(self.thresholds[place]), 1 - wrong / n
        bounds = wilson_interval(n - wrong, n)
        return Accepted(n / self.n, threshold, n, wrong, accuracy, bounds, interval)

    def _repr_html_(self) -> str:
        return self.rows._repr_html_()


def coverage_curve(probabilities: Values, labels: Values) -> Coverage:
    """Accept the most confident images, from one to all of them, and count the errors.

    >>> curve = coverage_curve(np.array([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2]]), np.array([0, 0, 0]))
    >>> curve.coverages.round(2).tolist(), curve.accuracies.round(2).tolist()
    ([0.33, 0.67, 1.0], [1.0, 1.0, 0.67])

    Args:
        probabilities: (N, K); the largest of a row is the confidence.
        labels: (N,), from 0 to K - 1.

    Raises:
        DataError: see `require_probabilities`.
    """
    values, true = require_probabilities(probabilities, labels)
    wrong = values.argmax(axis=1) != true
    order = np.argsort(-values.max(axis=1), kind="stable")
    confidence = values.max(axis=1)[order]
    last = np.append(np.flatnonzero(np.diff(confidence)), len(true) - 1)  # of equal ones, (T,)
    accepted, errors = last + 1, wrong[order].cumsum()[last]
    counts = np.arange(1, len(true) + 1)
    # between two thresholds errors rise linearly: their expectation in random order
    expected = np.interp(counts, np.append(0, accepted), np.append(0, errors))
    best = np.maximum(0, counts - (len(true) - errors[-1]))
    areas = (float((each / counts).mean()) for each in (expected, best))
    return Coverage(len(true), confidence[last], accepted, errors, *areas)


def _last_reaching(wanted: float, accepted: Array, errors: Array) -> int | None:
    """Return the last place at which the accuracy is at least ``wanted``, or None."""
    reached = np.flatnonzero((accepted > 0) & (errors <= (1 - wanted) * accepted + 1e-9))
    return int(reached[-1]) if len(reached) else None
