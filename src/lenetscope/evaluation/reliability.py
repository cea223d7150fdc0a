"""Does a network know how sure it may be? Of the answers given with 90 %, nine in ten should be right.

In: probabilities (N, K) and labels (N,). Out: the bins of a reliability diagram, ECE, MCE, Brier score
and negative log likelihood.

C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On calibration of modern neural networks", ICML 2017,
arXiv:1706.04599 (bins, ECE, MCE). Bins of equal mass: J. Nixon et al., "Measuring calibration in deep
learning", arXiv:1904.01685. What chance alone does: J. Bröcker and L. A. Smith, "Increasing the
reliability of reliability diagrams", Weather and Forecasting 22(3), 2007.
"""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lenetscope.errors import DataError, UsageError
from lenetscope.evaluation.scores import wilson_interval
from lenetscope.tables import Table, column, html_table

Values = Tensor | npt.NDArray[Any]
Array = npt.NDArray[Any]

DRAWS = 500
"""How often labels are drawn to see what chance alone does to the ECE."""


@dataclass(frozen=True)
class Bin:
    """The images whose confidence lies above ``low`` and not above ``high``; None where there are none.

    Attributes:
        low: lower edge; the first bin holds what lies on its own lower edge, too.
        high: upper edge.
        n: images.
        confidence: mean probability of the predicted class.
        accuracy: share of right answers.
        accuracy_low: lower end of its 95 % interval, see `wilson_interval`.
        accuracy_high: upper end.
    """

    low: float = column(".1%", "above")
    high: float = column(".1%", "up to")
    n: int = column(",d", "images")
    confidence: float | None = column(".2%")
    accuracy: float | None = column(".2%")
    accuracy_low: float | None = column(".2%", "at least")
    accuracy_high: float | None = column(".2%", "at most")


@dataclass(frozen=True)
class Reliability:
    """How well confidence and accuracy agree.

    Attributes:
        n: images.
        accuracy: share of right answers, from 0 to 1.
        confidence: mean probability of the predicted class.
        ece: expected calibration error: mean over images of the gap between the confidence and the
            accuracy of their bin, from 0 to 1.
        ece_chance: what the ECE of perfect probabilities stays below in 19 of 20 samples of this size
            and these confidences: an ECE below it shows nothing.
        mce: maximum calibration error: the largest gap of a bin, however few images it holds.
        brier: mean squared distance of the probabilities from the label's one and zeros, from 0 to 2.
        nll: negative log likelihood of the labels in nats, a mean over the images; infinite where a
            label was given the probability 0.
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

    def columns(self) -> dict[str, Array]:
        """Return the bins as arrays by name, for `plots.reliability`; NaN where a bin is empty."""
        rows = self.bins.as_dicts()
        return {name: np.array([row[name] for row in rows], dtype=float) for name in rows[0]}

    def texts(self) -> list[tuple[str, str]]:
        """Return the figures as they are written, name and value."""
        return [
            ("accuracy", f"{self.accuracy:.2%}"),
            ("mean confidence", f"{self.confidence:.2%}"),
            ("ECE", f"{self.ece:.2%}"),
            ("ECE by chance alone, up to", f"{self.ece_chance:.2%}"),
            ("MCE", f"{self.mce:.1%}"),
            ("Brier score", f"{self.brier:.4f}"),
            ("negative log likelihood", f"{self.nll:.4f} nats"),
        ]

    def _repr_html_(self) -> str:
        return html_table([f"{self.n:,} images", ""], self.texts(), [False, True])


def reliability(
    probabilities: Values, labels: Values, *, bins: int = 15, equal_mass: bool = False, seed: int = 0
) -> Reliability:
    """Compare the probability that a network gives to its answers with how often they are right.

    >>> sure = np.array([[0.9, 0.1]] * 10)
    >>> result = reliability(sure, np.array([0] * 7 + [1] * 3))
    >>> round(result.accuracy, 2), round(result.ece, 2)
    (0.7, 0.2)

    Args:
        probabilities: (N, K), rows that add up to 1.
        labels: (N,) whole numbers from 0 to K - 1.
        bins: into how many the confidences from 0 to 1 are divided.
        equal_mass: let the edges be quantiles, so that all bins hold about as many images; equal
            confidences stay together, so there may be fewer bins.
        seed: of the draws behind ``ece_chance``.

    Raises:
        DataError: if these are no probabilities, or no labels for them.
        UsageError: if ``bins`` is below 1.
    """
    shares, true = checked_probabilities(probabilities, labels)
    with np.errstate(divide="ignore"):
        logs = np.log(shares)
    return judged(shares, logs, true, bins, equal_mass, seed)


def checked_probabilities(probabilities: Values, labels: Values) -> tuple[Array, Array]:
    """Return probabilities (N, K) as float64 and labels (N,) as int64 arrays.

    Raises:
        DataError: if these are no probabilities, or no labels for them.
    """
    shares, true = _checked("probabilities", probabilities, labels)
    sums = shares.sum(axis=1)
    if shares.min() < 0 or shares.max() > 1 + 1e-6 or np.abs(sums - 1).max() > 0.01:
        raise DataError(
            f"these are no probabilities: they go from {shares.min():.3g} to {shares.max():.3g}, and "
            f"rows add up to {sums.min():.3g} to {sums.max():.3g}. Of logits take logits.softmax(1)."
        )
    return shares, true


def checked_logits(logits: Values, labels: Values) -> tuple[Array, Array]:
    """Return logits (N, K) as float64 and labels (N,) as int64 arrays.

    Raises:
        DataError: if these are no logits, or no labels for them.
    """
    return _checked("logits", logits, labels)


def _checked(what: str, given: Values, labels: Values) -> tuple[Array, Array]:
    values = torch.as_tensor(given).detach().cpu().double().numpy()
    true = torch.as_tensor(labels).detach().cpu()
    if values.ndim != 2 or values.shape[1] < 2 or not len(values):
        raise DataError(
            f"{what} are (N, K) with at least one image and two classes, not {values.shape}; for a "
            "model of one output, evaluation.probabilities gives the two columns."
        )
    if true.ndim != 1 or len(true) != len(values) or true.is_floating_point() or true.is_complex():
        kind = str(true.dtype).removeprefix("torch.")
        raise DataError(
            f"labels are (N,) whole numbers, one an image: for {what} {values.shape} they are "
            f"({len(values)},), not {kind} {tuple(true.shape)}."
        )
    low, high = int(true.min()), int(true.max())
    if low < 0 or high >= values.shape[1]:
        raise DataError(
            f"a label is out of range: they go from {low} to {high}, and there are {what} for 0 to "
            f"{values.shape[1] - 1}."
        )
    if not np.isfinite(values).all():
        raise DataError(f"some {what} are not finite numbers: look at what the model puts out.")
    return values, true.long().numpy()


def judged(
    shares: Array, logs: Array, true: Array, bins: int, equal_mass: bool, seed: int
) -> Reliability:
    """Do what `reliability` does with probabilities, their logarithms and labels that are checked.

    Raises:
        UsageError: if ``bins`` is below 1.
    """
    if bins < 1:
        raise UsageError(f"bins must be 1 or more, not {bins}.")
    confidence = shares.max(axis=1)  # (N,)
    right = shares.argmax(axis=1) == true  # (N,)
    edges = np.linspace(0, 1, bins + 1)
    if equal_mass:
        edges = np.unique(np.quantile(confidence, edges))
        edges = edges if len(edges) > 1 else np.repeat(edges, 2)
    member = np.searchsorted(edges[1:-1], confidence)  # (N,): a bin is open below, closed above
    rows = [
        _bin(low, high, confidence[member == b], right[member == b])
        for b, (low, high) in enumerate(pairwise(edges))
    ]
    gaps = [
        (abs(row.confidence - row.accuracy), row.n)
        for row in rows
        if row.confidence is not None and row.accuracy is not None
    ]
    everyone = np.arange(len(true))
    off = shares.copy()
    off[everyone, true] -= 1
    return Reliability(
        n=len(true),
        accuracy=float(right.mean()),
        confidence=float(confidence.mean()),
        ece=sum(gap * n for gap, n in gaps) / len(true),
        ece_chance=_ece_chance(confidence, member, seed),
        mce=max(gap for gap, _ in gaps),
        brier=float((off**2).sum(axis=1).mean()),
        nll=max(0.0, float(-logs[everyone, true].mean())),  # and never -0
        bins=Table(rows),
    )


def _bin(low: float, high: float, confidence: Array, right: Array) -> Bin:
    n, hits = len(right), int(right.sum())
    if not n:
        return Bin(float(low), float(high), 0, None, None, None, None)
    return Bin(
        float(low), float(high), n, float(confidence.mean()), hits / n, *wilson_interval(hits, n)
    )


def _ece_chance(confidence: Array, member: Array, seed: int) -> float:
    """Draw right and wrong as the confidences say, and return the 95 % quantile of the ECE."""
    random = np.random.default_rng(seed)
    order = np.argsort(confidence)  # the same draws in whatever order the images come
    confidence, member = confidence[order], member[order]
    gaps = [
        np.abs(np.bincount(member, (random.random(len(member)) < confidence) - confidence)).sum()
        for _ in range(DRAWS)
    ]
    return float(np.quantile(gaps, 0.95)) / len(member)
