"""Pictures of what excites the units of a layer.

In: patches of images, and for a convolution its weights. Out: figures, a row a unit.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lenetscope.errors import DataError, UsageError
from lenetscope.plots import style
from lenetscope.plots.style import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

ROWS, KERNELS, SHOWN = 8, 4, 6
"""On one page: units; in a row: the strongest kernels of a filter, and images."""
GAP = 0.12
PITCH, ROW_PITCH = 1 + GAP, 1 + 2 * GAP
"""Between tiles, from one to the next in a row, and from row to row; a tile's side is 1."""


def excitation(
    pixels: Array,
    values: Array,
    images: Array,
    boxes: Array,
    layer: str,
    *,
    weights: Array | None = None,
    labels: Sequence[Any] | None = None,
    page: int = 0,
    **figure_options: Any,
) -> "Figure":
    """Draw for each unit the images that excite it most, with the part that it looks at framed.

    For a convolution its strongest kernels stand beside, by the size of their weights, each under the
    number of the input channel that it reads; all on one colour scale with zero in white.

    Args:
        pixels: (N, C, H, W) or those of them that ``images`` names; one channel is drawn grey, three in
            colour.
        values: (units, k), what the unit put out, the strongest first.
        images: (units, k), which image.
        boxes: (units, k, 4), top, left, bottom, right in pixels, the latter two exclusive.
        layer: name for the title.
        weights: (units, channels, H, W) of the convolution, if it is one.
        labels: N true labels, written above the images.
        page: from 0; `ROWS` units each.
        figure_options: go to `matplotlib.figure.Figure`.

    Raises:
        DataError: if shapes do not fit each other.
        UsageError: if there is no such page.
    """
    units, k = np.shape(values)
    if np.shape(images) != (units, k) or np.shape(boxes) != (units, k, 4) or not units * k:
        raise DataError(
            f"values {np.shape(values)}, images {np.shape(images)} and boxes {np.shape(boxes)} must be "
            "(units, k), (units, k) and (units, k, 4)."
        )
    if weights is not None and (weights.ndim != 4 or len(weights) != units):
        raise DataError(f"weights must be ({units}, channels, H, W), not {weights.shape}.")
    pages = excitation_pages(units)
    if not 0 <= page < pages:
        raise UsageError(f"there is no page {page}: the pages of layer '{layer}' are 0 to {pages - 1}.")
    shown = range(page * ROWS, min(units, (page + 1) * ROWS))
    k = min(k, SHOWN)
    kernels = 0 if weights is None else min(KERNELS, weights.shape[1])
    begin = kernels * PITCH + 0.4 if kernels else 0.0  # of the images
    width, height = begin + k * PITCH, len(shown) * ROW_PITCH
    size = (0.7 * width + (2.2 if kernels else 1.2), 0.7 * height + 0.9)
    with style.new_figure(figure_options, size) as figure:
        ax = figure.subplots()
        if weights is not None:
            norm = style.colour_scale(weights, signed=True)
            for row, unit in enumerate(shown):
                _kernels(ax, weights[unit], kernels, row * ROW_PITCH, norm)
            style.colour_bar(ax, norm, style.SIGNED, "weight")
            name = "weights" if weights.shape[1] == 1 else "strongest weights, by input channel"
            ax.text((kernels * PITCH - GAP) / 2, -0.34, name, ha="center", va="bottom", fontsize=9)
        for row, unit in enumerate(shown):
            for rank in range(k):
                image, left, top = int(images[unit][rank]), begin + rank * PITCH, row * ROW_PITCH
                _image(ax, pixels[image], left, top, boxes[unit][rank])
                text = f"{values[unit][rank]:.3g}"
                _above(ax, left, top, text if labels is None else f"{labels[image]}: {text}")
        what = "most exciting images: " + ("output" if labels is None else "true label and output")
        ax.text(begin + (k * PITCH - GAP) / 2, -0.34, what, ha="center", va="bottom", fontsize=9)
        ax.set(xlim=(0, width - GAP), ylim=(height - 2 * GAP, -0.62), aspect="equal", xticks=[])
        ax.set_yticks([r * ROW_PITCH + 0.5 for r in range(len(shown))], [str(unit) for unit in shown])
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        ax.set_ylabel("unit")
        which = f"units {shown[0]} to {shown[-1]} of {units}" if pages > 1 else f"{units} units"
        ax.set_title(f"{layer}: {which}, and what excites them most")
    return figure


def excitation_pages(units: int) -> int:
    """Return how many pages `excitation` needs for so many units."""
    return math.ceil(units / ROWS)


def _kernels(ax: "Axes", weights: Array, count: int, top: float, norm: "Normalize") -> None:
    """Draw the strongest kernels of one filter, (channels, H, W), in a row."""
    sizes = np.sqrt(np.square(weights).sum(axis=(1, 2)))  # (channels,)
    for place, channel in enumerate(np.argsort(-sizes, kind="stable")[:count]):
        left = place * PITCH
        extent = (left, left + 1, top + 1, top)
        ax.imshow(weights[channel], cmap=style.SIGNED, norm=norm, extent=extent)
        if len(weights) > 1:
            _above(ax, left, top, f"{channel}")


def _above(ax: "Axes", left: float, top: float, text: str) -> None:
    ax.text(left + 0.5, top - 0.02, text, ha="center", va="bottom", fontsize=8)


def _image(ax: "Axes", pixels: Array, left: float, top: float, box: Array) -> None:
    """Draw one image into a square of side 1, with a frame around what the unit saw."""
    from matplotlib.patches import Rectangle

    channels, height, width = pixels.shape
    side = max(height, width)
    picture = pixels.transpose(1, 2, 0) if channels == 3 else pixels.mean(axis=0)
    if picture.ndim == 3 and picture.dtype != np.uint8:
        low, high = float(picture.min()), float(picture.max())
        picture = (picture - low) / ((high - low) or 1.0)
    extent = (left, left + width / side, top + height / side, top)
    ax.imshow(picture, cmap=style.PIXELS, extent=extent)
    upper, first, lower, last = (float(edge) / side for edge in box)
    if lower - upper < height / side or last - first < width / side:  # no frame around all of it
        frame = (left + first, top + upper), last - first, lower - upper
        ax.add_patch(Rectangle(*frame, fill=False, edgecolor=style.VALID, linewidth=1.6))
