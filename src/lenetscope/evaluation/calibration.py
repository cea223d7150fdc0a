"""Temperature scaling: one number that corrects much of a network's overconfidence.

The logits are divided by a temperature; above 1 it lowers the confidence. The predicted class stays
the same. C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On calibration of modern neural networks",
ICML 2017, arXiv:1706.04599.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lenetscope.errors import DataError, UsageError
from lenetscope.evaluation.outputs import Array, Values, require_rows
from lenetscope.evaluation.reliability import Reliability, compare
from lenetscope.table import ShowsRows, Table, column


@dataclass(frozen=True)
class CalibrationRow:
    """One figure, before and after temperature scaling."""

    name: str = column(heading="figure")
    before: str = column()
    after: str = column()


@dataclass(frozen=True)
class Calibration(ShowsRows):
    """Confidence before and after the logits were divided by a temperature, on the same images.

    Attributes:
        before: of the probabilities as the network returns them.
        after: of those with the temperature.
        temperatures: the one that was used, or one per half of the images.
        probabilities: (N, K) float64, with the temperature.
    """

    before: Reliability
    after: Reliability
    temperatures: tuple[float, ...]
    probabilities: Array = field(repr=False, compare=False)

    @property
    def rows(self) -> Table[CalibrationRow]:
        """The figures before and after, one per row."""
        used = " and ".join(f"{t:.3f}" for t in self.temperatures)
        before, after = self.before.figures() | {"temperature": "1"}, self.after.figures().values()
        return Table(map(CalibrationRow, before, before.values(), [*after, used]))


def fit_temperature(logits: Values, labels: Values) -> float:
    """Return the temperature by which to divide logits for the smallest negative log-likelihood.

    The loss is convex in 1 / T, so that its derivative has one root, found to some twelve digits.

    >>> logits = np.array([[3.0, 0.0]] * 4)
    >>> round(fit_temperature(logits, np.array([0, 0, 0, 1])), 4)  # 3 / ln 3: three to one
    2.7307

    Args:
        logits: (N, K) of images that the network was not trained on, and that are not evaluated with
            the result (see `cross_fitted` if there are no others).
        labels: (N,), from 0 to K - 1.

    Raises:
        DataError: if there is no best temperature: all images are correct (it would approach 0), or
            the labels are no more likely where their logits are larger (it would approach infinity).
    """
    from scipy.optimize import brentq
    from scipy.special import softmax

    values, true = require_rows("logits", logits, labels)
    values = values - values.max(axis=1, keepdims=True)
    own = values[np.arange(len(true)), true]  # (N,), 0 where the prediction is correct
    if not own.any():
        raise DataError("there is no best temperature: every image is classified correctly.")

    def slope(inverse: float) -> float:
        """Return the derivative of the loss with respect to 1 / T."""
        return float(((softmax(inverse * values, axis=1) * values).sum(axis=1) - own).mean())

    if slope(0.0) >= 0:
        raise DataError("there is no best temperature: the larger a logit, the less likely its class.")
    high = 1.0 / max(float(-values.min()), 1e-300)
    while slope(high) < 0:
        high *= 2
    return 1 / float(brentq(slope, 0.0, high, xtol=1e-300, rtol=1e-13))


def with_temperature(logits: Values, labels: Values, temperature: float, **options: Any) -> Calibration:
    """Divide logits by a temperature that was fitted on other images, and compare before and after.

    Args:
        logits: (N, K).
        labels: (N,), from 0 to K - 1.
        temperature: above 0, from `fit_temperature`.
        options: ``bins``, ``equal_mass`` and ``seed`` of `reliability`.

    Raises:
        DataError: see `require_rows`.
        UsageError: if the temperature is not above 0.
    """
    if not 0 < temperature < np.inf:
        raise UsageError(f"a temperature must be above 0 and finite, not {temperature}.")
    values, true = require_rows("logits", logits, labels)
    return _compared(values, values / temperature, true, (temperature,), options)


def cross_fitted(logits: Values, labels: Values, *, seed: int = 0, **options: Any) -> Calibration:
    """Fit a temperature on one half of the images and use it on the other half, both ways.

    So all images are evaluated, each with a temperature that was fitted without it.

    Args:
        logits: (N, K) of images that the network was not trained on.
        labels: (N,), from 0 to K - 1.
        seed: decides which images are in which half; also that of `reliability`.
        options: ``bins`` and ``equal_mass`` of `reliability`.

    Returns:
        Two ``temperatures``: the first was fitted on the first half and used on the second.

    Raises:
        DataError: if a half has no best temperature, see `fit_temperature`.
    """
    values, true = require_rows("logits", logits, labels)
    order = np.random.default_rng(seed).permutation(len(true))
    halves = order[: len(order) // 2], order[len(order) // 2 :]
    scaled, temperatures = np.empty_like(values), []
    for fitted, others in (halves, halves[::-1]):
        try:
            temperatures.append(fit_temperature(values[fitted], true[fitted]))
        except DataError as error:
            raise DataError(f"in one half of the images, {error}") from error
        scaled[others] = values[others] / temperatures[-1]
    return _compared(values, scaled, true, tuple(temperatures), {"seed": seed} | options)


def _compared(
    values: Array, scaled: Array, true: Array, temperatures: tuple[float, ...], options: dict[str, Any]
) -> Calibration:
    from scipy.special import log_softmax

    logs = [log_softmax(logits, axis=1) for logits in (values, scaled)]
    before, after = (compare(np.exp(each), each, true, **options) for each in logs)
    return Calibration(before, after, temperatures, np.exp(logs[1]))
