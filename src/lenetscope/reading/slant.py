"""Bringing a strong slant back to what the training images have.

In: a digit's mask. Out: a shear, 0 for most digits. The slant is the covariance of columns and rows
over the variance of rows. Between the 1st and 99th percentile of MNIST's 60,000 (-0.78 to 0.53, of this
package's test of `slant_of`) nothing is done: what the network knows needs no change.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

MOST = 1.0
"""Columns a row that are undone at most."""
LEFTMOST, RIGHTMOST = 0.53, -0.78
"""Columns a row that MNIST's digits lean to the left and right at most (99th and 1st percentile)."""


def slant_of(mask: Array) -> float:
    """Return how many columns to the right a digit goes a row down; negative for ``/``.

    >>> round(slant_of(np.eye(9)), 3)
    1.0
    """
    rows, columns = np.nonzero(mask)
    weights = mask[rows, columns].astype(float)
    total = weights.sum()
    y = rows - (weights * rows).sum() / total
    x = columns - (weights * columns).sum() / total
    spread = float((weights * y * y).sum())
    return float((weights * x * y).sum()) / spread if spread > 0 else 0.0


def shear_to_undo(slant: float) -> float:
    """Return the part of a slant that is beyond what MNIST has, at most `MOST`: a dash has more."""
    return float(np.clip(slant - np.clip(slant, RIGHTMOST, LEFTMOST), -MOST, MOST))
