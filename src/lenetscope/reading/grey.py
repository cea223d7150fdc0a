"""Converts colours to grey, such that ink differs from paper.

Grey is the luma of ITU-R BT.601, or the first principal component of the colours where ink and paper
are equally bright and differ in colour only.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
EQUALLY_BRIGHT = 0.35
"""Fraction of the colours' contrast below which luma is replaced by the principal component."""


def to_grey(pixels: Array) -> Array:
    """Return the grey of a picture.

    >>> to_grey(np.full((2, 2, 3), 255, dtype=np.uint8))
    array([[1., 1.],
           [1., 1.]], dtype=float32)

    Args:
        pixels: (H, W) or (H, W, 3) uint8.

    Returns:
        (H, W) float32 in [0, 1].
    """
    values = pixels.astype(np.float32) / 255
    if values.ndim == 2:
        return values
    luma: Array = values @ LUMA  # (H, W)
    every = max(1, values.shape[0] * values.shape[1] // 20_000)
    sample = values.reshape(-1, 3)[::every]
    if len(sample) == 1:
        return luma
    spread, axes = np.linalg.eigh(np.cov(sample, rowvar=False))
    if spread[-1] < 1e-4 or float((sample @ LUMA).var()) > EQUALLY_BRIGHT**2 * spread[-1]:
        return luma
    along = values @ axes[:, -1].astype(np.float32)
    low, high = np.percentile(along[:: max(1, along.shape[0] // 200)], [0.5, 99.5])
    stretched: Array = np.clip((along - low) / max(high - low, 1e-6), 0, 1)
    together = float(((stretched - stretched.mean()) * (luma - luma.mean())).mean())  # covariance
    return stretched if together >= 0 else 1 - stretched
