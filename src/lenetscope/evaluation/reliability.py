"""Calibration: how well a network's probabilities agree with how often it is correct.

C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On calibration of modern neural networks", ICML 2017,
arXiv:1706.04599 (bins, ECE, MCE). Bins of equal mass: J. Nixon et al., "Measuring calibration in deep
learning", arXiv:1904.01685. What chance alone does: J. Bröcker and L. A. Smith, "Increasing the
reliability of reliability diagrams", Weather and Forecasting 22(3), 2007.
"""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from lenetscope.errors import UsageError
from lenetscope.evaluation.outputs import Array, Values, require_probabilities
from lenetscope.evaluation.scores import wilson_interval
from lenetscope.table import Table, column, html_table, percent

DRAWS = 500
"""How often labels are drawn to find what chance alone does to the ECE."""


@dataclass(frozen=True)
class Bin:
    """The images whose confidence lies above ``low``, up to ``high``; None where there are none.

    Attributes:
        low: lower edge; the first bin includes it.
        high: upper edge.
        n: images.
        confidence: mean probability of the predicted class.
        accuracy: fraction that is correct.
        accuracy_low: lower end of its 95 % interval, see `wilson_interval`.
        accuracy_high: upper end.
    """

    low: float = column(".1%", "above")
    high: float = column(".1%", "up to")
    n: int = column(",d", "images")
    confidence: float | None = column(".2p")
    accuracy: float | None = column(".2%")
    accuracy_low: float | None = column(".2%", "at least")
    accuracy_high: float | None = column(".2%", "at most")


@dataclass(frozen=True)
class Reliability:
    """How well confidence and accuracy agree.

    Attributes:
        n: images.
        accuracy: fraction that is correct.
        confidence: mean probability of the predicted class.
        ece: expected calibration error: the gap between confidence and accuracy of an image's bin, a
            mean over the images, from 0 to 1.
        ece_chance: what the ECE of perfect probabilities stays below in 19 of 20 samples of this size
            and these confidences: an ECE below it shows nothing.
        mce: maximum calibration error: the largest gap of a bin, however few images it holds.
        brier: mean squared distance of the probabilities from the one-hot label, from 0 to 2.
        nll: mean negative log-likelihood of the labels, in nats; infinite where a label has the
            probability 0.
        bins: of the reliability diagram.
    """

    n: int
    accuracy: float
    confidence: float
    ece: float
    ece_chance: float
    mce: float
    brier: float
    nll: float
    bins: Table[Bin] = field(repr=False)

    @property
    def verdict(self) -> str:
        """Whether the network is overconfident, underconfident, or neither as far as can be told."""
        if self.ece <= self.ece_chance:
            return "no evidence of miscalibration"
        return "overconfident" if self.confidence > self.accuracy else "underconfident"

    def figures(self) -> dict[str, str]:
        """Return all figures, as they are written, by name."""
        return {
            "images": f"{self.n:,}",
            "accuracy": percent(self.accuracy),
            "mean confidence": percent(self.confidence, certain=False),
            "ECE": percent(self.ece),
            "ECE by chance alone, up to": percent(self.ece_chance),
            "MCE": percent(self.mce, 1),
            "Brier score": f"{self.brier:.4f}",
            "negative log-likelihood": f"{self.nll:.4f} nats",
        }

    def _repr_html_(self) -> str:
        return html_table(["figure", "value"], self.figures().items(), [False, True])


def reliability(
    probabilities: Values, labels: Values, *, bins: int = 15, equal_mass: bool = False, seed: int = 0
) -> Reliability:
    """Compare the probabilities of the predicted classes with how often these are correct.

    >>> result = reliability(np.array([[0.9, 0.1]] * 10), np.array([0] * 7 + [1] * 3))
    >>> round(result.accuracy, 2), round(result.ece, 2)
    (0.7, 0.2)

    Args:
        probabilities: (N, K).
        labels: (N,), from 0 to K - 1.
        bins: number of bins that the confidences from 0 to 1 are divided into.
        equal_mass: whether the edges are quantiles, so that all bins hold about as many images; equal
            confidences stay together, so there may be fewer bins.
        seed: of the draws behind ``ece_chance``.

    Raises:
        DataError: see `require_probabilities`.
        UsageError: if ``bins`` is below 1.
    """
    values, true = require_probabilities(probabilities, labels)
    with np.errstate(divide="ignore"):
        logs = np.log(values)
    return compare(values, logs, true, bins, equal_mass, seed)


def compare(
    values: Array, logs: Array, true: Array, bins: int = 15, equal_mass: bool = False, seed: int = 0
) -> Reliability:
    """Do what `reliability` does, given probabilities, their logarithms and labels that are checked."""
    if bins < 1:
        raise UsageError(f"bins must be at least 1, not {bins}.")
    confidence = values.max(axis=1)  # (N,)
    correct = values.argmax(axis=1) == true  # (N,)
    edges = np.linspace(0, 1, bins + 1)
    if equal_mass:
        edges = np.unique(np.quantile(confidence, edges))
        edges = edges if len(edges) > 1 else np.repeat(edges, 2)
    member = np.searchsorted(edges[1:-1], confidence)  # (N,): a bin is open below, closed above
    rows = [
        _bin(low, high, confidence[member == b], correct[member == b])
        for b, (low, high) in enumerate(pairwise(edges.tolist()))
    ]
    gaps = [(abs(row.confidence - row.accuracy), row.n) for row in rows if row.n]  # type: ignore[operator]
    everyone = np.arange(len(true))
    distances = values.copy()
    distances[everyone, true] -= 1
    return Reliability(
        n=len(true),
        accuracy=float(correct.mean()),
        confidence=float(confidence.mean()),
        ece=sum(gap * n for gap, n in gaps) / len(true),
        ece_chance=_ece_chance(confidence, member, seed),
        mce=max(gap for gap, _ in gaps),
        brier=float((distances**2).sum(axis=1).mean()),
        nll=max(0.0, float(-logs[everyone, true].mean())),  # and never -0
        bins=Table(rows),
    )


def _bin(low: float, high: float, confidence: Array, correct: Array) -> Bin:
    n, hits = len(correct), int(correct.sum())
    if not n:
        return Bin(low, high, 0, None, None, None, None)
    return Bin(low, high, n, float(confidence.mean()), hits / n, *wilson_interval(hits, n))


def _ece_chance(confidence: Array, member: Array, seed: int) -> float:
    """Return the 95 % quantile of the ECE where correctness is drawn as the confidences say."""
    random = np.random.default_rng(seed)
    order = np.argsort(confidence)  # the same draws in whatever order the images come
    confidence, member = confidence[order], member[order]
    gaps = [
        np.abs(np.bincount(member, (random.random(len(member)) < confidence) - confidence)).sum()
        for _ in range(DRAWS)
    ]
    return float(np.quantile(gaps, 0.95)) / len(member)
