"""Images and feature maps as tiles: drawing one, and laying many out."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from lenetscope.plots import style
from lenetscope.plots.style import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.colors import Normalize

STRIP = 20
"""Vectors of at most so many values are drawn in one row, numbered."""


def bare(ax: "Axes") -> None:
    """Remove ticks and spines, which mean nothing beside an image."""
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def image(ax: "Axes", pixels: Array, **options: Any) -> None:
    """Draw one image, grey or in colour.

    Args:
        ax: where.
        pixels: (H, W) or (C, H, W); uint8 from 0 to 255, floats from 0 to 1 or else from their lowest
            to their highest value. Three channels are drawn in colour, of others the mean.
        options: go to ``imshow``, such as ``extent``.
    """
    values = np.asarray(pixels)
    if values.ndim == 3:
        values = np.moveaxis(values, 0, -1) if len(values) == 3 else values.mean(axis=0)
    low, high = 0.0, 255.0 if np.asarray(pixels).dtype == np.uint8 else 1.0
    if np.asarray(pixels).dtype != np.uint8 and values.size and (values.min() < 0 or values.max() > 1):
        low, high = float(values.min()), float(values.max())
    shown = (values - low) / ((high - low) or 1.0)
    ax.imshow(shown, cmap=style.PIXELS, vmin=0, vmax=1, **options)


def mosaic(ax: "Axes", tiles: Array, columns: int, norm: "Normalize", colours: str) -> None:
    """Draw tiles (n, H, W) as one image, a thin gap between them; number the values of a strip."""
    count, height, width = tiles.shape
    rows = math.ceil(count / columns)
    gap = 0 if count == 1 else 1
    canvas = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), np.nan)
    for number, tile in enumerate(tiles):
        top, left = number // columns * (height + gap), number % columns * (width + gap)
        canvas[top : top + height, left : left + width] = tile
    strip = count == 1 and height * 4 < width
    ax.imshow(canvas, cmap=colours, norm=norm, aspect="auto" if strip else "equal")
    bare(ax)
    if strip and height == 1 and width <= STRIP:
        ax.set_xticks(range(width))
        ax.tick_params(length=0, labelsize=8, pad=1)


def number(axis: "Axis", side: int, names: Mapping[int, object]) -> None:
    """Name some rows or columns, by their number, of a `mosaic` of tiles with this side."""
    middles = [place * (side + 1) + (side - 1) / 2 for place in names]
    axis.set_ticks(middles, [str(name) for name in names.values()])
