"""Reduces a strong slant to the range of the training images.

The slant is the covariance of columns and rows divided by the variance of rows. Slants between the 1st
and the 99th percentile of MNIST's 60,000 training images (-0.78 to 0.53) are kept: the network has seen
them.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

MOST = 1.0
"""Largest slant that is removed, in columns per row."""
LEFTMOST, RIGHTMOST = 0.53, -0.78
"""99th and 1st percentile of the slant of MNIST's digits, in columns per row."""


def slant_of(mask: Array) -> float:
    """Return the slant of a digit, in columns to the right per row down; negative for ``/``.

    >>> round(slant_of(np.eye(9)), 3)
    1.0
    """
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return 0.0
    weights = mask[rows, columns].astype(float)
    total = weights.sum()
    y = rows - (weights * rows).sum() / total
    x = columns - (weights * columns).sum() / total
    spread = float((weights * y * y).sum())
    return float((weights * x * y).sum()) / spread if spread > 0 else 0.0


def shear_to_undo(slant: float) -> float:
    """Return the part of a slant beyond MNIST's range, at most `MOST`, which a dash would exceed."""
    return float(np.clip(slant - np.clip(slant, RIGHTMOST, LEFTMOST), -MOST, MOST))
