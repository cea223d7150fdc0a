"""One number that mends much of a network's overconfidence: a temperature that divides the logits.

In: logits (N, K) and labels (N,). Out: the temperature, and how confidence and accuracy agree before
and after it. A temperature above 1 makes a network less sure; which class is the likeliest stays.

C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On calibration of modern neural networks", ICML 2017,
arXiv:1706.04599.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lenetscope.errors import DataError, UsageError
from lenetscope.evaluation.reliability import Reliability, Values, checked_logits, judged, reliability
from lenetscope.tables import html_table

Array = npt.NDArray[Any]

__all__ = [
    "Calibration",
    "Reliability",
    "cross_fitted",
    "fit_temperature",
    "reliability",
    "with_temperature",
]


@dataclass(frozen=True)
class Calibration:
    """Confidence before and after the logits were divided by a temperature, on the same images.

    Attributes:
        before: of the probabilities as the network gives them.
        after: of those with the temperature.
        temperatures: the one that was used, or one a half of the images.
        probabilities: (N, K) float64, with the temperature.
    """

    before: Reliability
    after: Reliability
    temperatures: tuple[float, ...]
    probabilities: Array = field(repr=False, compare=False)

    def __str__(self) -> str:
        lines = self._lines()
        widths = [max(len(line[k]) for line in lines) for k in range(3)]
        return "\n".join(
            f"{a.ljust(widths[0])}  {b.rjust(widths[1])}  {c.rjust(widths[2])}" for a, b, c in lines
        )

    def _repr_html_(self) -> str:
        headings, *cells = self._lines()
        return html_table(headings, cells, [False, True, True])

    def _lines(self) -> list[tuple[str, str, str]]:
        pairs = zip(self.before.texts(), self.after.texts(), strict=True)
        used = " and ".join(f"{t:.3f}" for t in self.temperatures)
        return [
            (f"{self.before.n:,} images", "before", "after"),
            ("temperature", "1", used),
            *((name, before, after) for (name, before), (_, after) in pairs),
        ]


def fit_temperature(logits: Values, labels: Values) -> float:
    """Return the temperature by which to divide logits for the smallest negative log likelihood.

    The likelihood is concave in 1 / T, so Newton's method between two bounds finds the one best
    temperature, to some twelve digits. Above 1 it makes a network less sure, below 1 surer; the
    answers stay the same.

    >>> logits = np.array([[3.0, 0.0]] * 4)
    >>> round(fit_temperature(logits, np.array([0, 0, 0, 1])), 4)  # 3 / ln 3: three to one
    2.7307

    Args:
        logits: (N, K) of images that the network has not learned from, and that are not to be judged
            by the result (see `cross_fitted` if there are no others).
        labels: (N,) whole numbers from 0 to K - 1.

    Raises:
        DataError: if there is no best temperature: no answer is wrong (it would run to 0), or the
            labels are no more likely where their logits are larger (it would run to infinity).
    """
    values, true = checked_logits(logits, labels)
    values = values - values.max(axis=1, keepdims=True)
    own = values[np.arange(len(true)), true]  # (N,), 0 where the answer is right
    if not own.any():
        raise DataError(
            f"each of these {len(true):,} images is answered rightly: the lower the temperature, the "
            "smaller the loss, down to 0. Give more images, some of which the network gets wrong."
        )

    def slope(inverse: float) -> tuple[float, float]:
        """Return the first and second derivative of the loss after 1 / T."""
        shares = np.exp(inverse * values)
        shares /= shares.sum(axis=1, keepdims=True)
        mean = (shares * values).sum(axis=1)
        spread = (shares * values**2).sum(axis=1) - mean**2
        return float((mean - own).mean()), float(spread.mean())

    if slope(0.0)[0] >= 0:
        raise DataError(
            "the larger the logit of a class, the less likely the class: no temperature mends that. "
            "Are these logits, and labels in the same order?"
        )
    low, high = 0.0, 1.0 / max(float(-values.min()), 1e-300)
    while slope(high)[0] < 0:
        low, high = high, 2 * high
    inverse = high
    for _ in range(200):
        first, second = slope(inverse)
        low, high = (inverse, high) if first < 0 else (low, inverse)
        following = inverse - first / second if second > 0 else high
        if not low < following < high:
            following = (low + high) / 2
        if abs(following - inverse) <= 1e-12 * inverse:
            break
        inverse = following
    return 1 / inverse


def with_temperature(
    logits: Values,
    labels: Values,
    temperature: float,
    *,
    bins: int = 15,
    equal_mass: bool = False,
    seed: int = 0,
) -> Calibration:
    """Divide logits by a temperature that was fitted on other images, and judge before and after.

    Args:
        logits: (N, K).
        labels: (N,) whole numbers from 0 to K - 1.
        temperature: above 0, from `fit_temperature`.
        bins: see `reliability`, as the two that follow.
        equal_mass: see there.
        seed: see there.

    Raises:
        DataError: if these are no logits, or no labels for them.
        UsageError: if the temperature is not above 0.
    """
    if not 0 < temperature < np.inf:
        raise UsageError(f"a temperature is a number above 0, not {temperature}.")
    values, true = checked_logits(logits, labels)
    return _compared(values, values / temperature, true, (temperature,), (bins, equal_mass, seed))


def cross_fitted(
    logits: Values, labels: Values, *, seed: int = 0, bins: int = 15, equal_mass: bool = False
) -> Calibration:
    """Fit a temperature on one half of the images and judge the other, then the other way round.

    So no image is judged by a temperature that saw it, and all are judged.

    Args:
        logits: (N, K) of images that the network has not learned from.
        labels: (N,) whole numbers from 0 to K - 1.
        seed: decides which images are in which half.
        bins: see `reliability`.
        equal_mass: see there.

    Returns:
        Its ``temperatures`` are two: the first was fitted on the first half and used on the second.

    Raises:
        DataError: if a half has no best temperature, see `fit_temperature`.
    """
    values, true = checked_logits(logits, labels)
    if len(true) < 2:
        raise DataError("one image cannot be halved: give at least two, some of them answered wrongly.")
    order = np.random.default_rng(seed).permutation(len(true))
    halves = order[: len(order) // 2], order[len(order) // 2 :]
    scaled, temperatures = np.empty_like(values), []
    for fitted, others in (halves, halves[::-1]):
        try:
            temperatures.append(fit_temperature(values[fitted], true[fitted]))
        except DataError as error:
            raise DataError(f"one half of the images gives no temperature: {error}") from error
        scaled[others] = values[others] / temperatures[-1]
    return _compared(values, scaled, true, tuple(temperatures), (bins, equal_mass, seed))


def _compared(
    values: Array, scaled: Array, true: Array, temperatures: tuple[float, ...], how: tuple[Any, ...]
) -> Calibration:
    before, after = (_log_softmax(logits) for logits in (values, scaled))
    return Calibration(
        before=judged(np.exp(before), before, true, *how),
        after=judged(np.exp(after), after, true, *how),
        temperatures=temperatures,
        probabilities=np.exp(after),
    )


def _log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(axis=1, keepdims=True)
    logs: Array = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return logs
