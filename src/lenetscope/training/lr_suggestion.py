"""The learning rate that a range test suggests: half of the rate at which the smoothed loss is lowest.

L. N. Smith (see `lr_range`) takes the largest usable rate from where the loss stops falling. Where it
falls steepest, which others take, depends on the number of steps: docs/find-lr.md compares them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lenetscope.errors import TrainingError

SMOOTHING = 0.2
"""Standard deviation of the smoothing of losses, in powers of ten of the rate."""
FALL = 0.05
"""If the smoothed loss falls by less than this fraction of its first value, nothing was learned."""


@dataclass(frozen=True)
class Suggestion:
    """What a range test says.

    Attributes:
        suggested: half of ``lowest``, to two digits.
        steepest: rate at which the smoothed loss falls steepest, per power of ten of the rate.
        lowest: rate at which it is lowest.
        diverges: rate at which it is above its first value again, or at which the test ended early;
            None if neither happened.
        lr: the rates of the steps.
        loss: the smoothed losses.
    """

    suggested: float
    steepest: float
    lowest: float
    diverges: float | None
    lr: tuple[float, ...]
    loss: tuple[float, ...]


def suggest(lr: Sequence[float], loss: Sequence[float], steps: int) -> Suggestion:
    """Suggest a learning rate.

    Args:
        lr: rates of a range test, with equal ratios between them.
        loss: of each step's batch, not smoothed.
        steps: how many were planned; fewer were done if the loss diverged.

    Raises:
        TrainingError: if the loss did not fall, or fell until the end.
    """
    from scipy.ndimage import gaussian_filter1d

    if len(lr) < 2:
        raise TrainingError("the loss diverges at the first rate: begin with a lower one.")
    width = SMOOTHING / math.log10(lr[1] / lr[0])  # in steps
    smoothed = gaussian_filter1d(np.asarray(loss, dtype=float), width, mode="nearest")
    lowest, between = int(smoothed.argmin()), f"at rates from {lr[0]:.2g} to {lr[-1]:.2g}"
    if smoothed[0] - smoothed[lowest] < FALL * smoothed[0]:
        raise TrainingError(f"the loss does not fall {between}: try other rates, or more steps.")
    if lowest == steps - 1:
        raise TrainingError(f"the loss falls {between}, and still at the end: end with a higher rate.")
    above = np.flatnonzero(smoothed[lowest:] > smoothed[0])
    end = lr[-1] if len(lr) < steps else None
    return Suggestion(
        suggested=float(f"{lr[lowest] / 2:.2g}"),
        steepest=lr[int(np.diff(smoothed[: lowest + 1]).argmin())],
        lowest=lr[lowest],
        diverges=lr[lowest + int(above[0])] if above.size else end,
        lr=tuple(lr),
        loss=tuple(smoothed.tolist()),
    )
