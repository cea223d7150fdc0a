"""Converts colours to grey, such that ink differs from paper.

Grey is the luma of ITU-R BT.601, or the first principal component of the colours where ink and paper
are equally bright and differ in colour only.
"""

import numpy as np
from PIL import Image

LUMA = np.array([0.299, 0.587, 0.114])
EQUALLY_BRIGHT = 0.35
"""Fraction of the colours' contrast below which luma is replaced by the principal component."""
SAMPLE = 160
"""Pixels: longest side of what the colours are sampled from."""


def to_grey(picture: Image.Image) -> Image.Image:
    """Return a picture of mode L.

    >>> to_grey(Image.new("RGB", (2, 2), "white")).getpixel((0, 0))
    255

    Args:
        picture: of mode L or RGB.
    """
    if picture.mode == "L":
        return picture
    shrink = min(1.0, SAMPLE / max(picture.size))
    size = (max(1, round(shrink * picture.width)), max(1, round(shrink * picture.height)))
    colours = np.asarray(picture.resize(size, Image.Resampling.NEAREST)).reshape(-1, 3).astype(float)
    apart = colours - colours.mean(axis=0)
    covariance = apart.T @ apart / len(colours)
    spread, axes = np.linalg.eigh(covariance)
    if spread[-1] < 7 or LUMA @ covariance @ LUMA > EQUALLY_BRIGHT**2 * spread[-1]:
        return picture.convert("L")
    axis = axes[:, -1]
    axis = axis if axis @ covariance @ LUMA >= 0 else -axis  # dark stays dark
    low, high = np.percentile(colours @ axis, [0.5, 99.5])
    scale = 255 / max(high - low, 1.0)
    matrix = (*(scale * axis).tolist(), -scale * low)
    return picture.convert("L", matrix)
