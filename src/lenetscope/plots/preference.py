"""Pictures of what units want.

In: pictures and activations. Out: a figure, one tile a unit, numbered.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lenetscope.errors import DataError
from lenetscope.plots import style
from lenetscope.plots.style import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def preference(
    shades: Array,
    units: Sequence[Any],
    reached: Array,
    real: Array | None = None,
    *,
    layer: str = "",
    columns: int = 8,
    crop: bool = True,
    **figure_options: Any,
) -> "Figure":
    """Draw the picture that each unit wants, and below it the activation that it gives.

    Args:
        shades: (U, C, H, W), 0 black to 1 white; of other than 1 or 3 channels the mean.
        units: U numbers or names.
        reached: (U,) activations.
        real: (U,) highest activations on real images.
        layer: name for the title.
        columns: tiles in a row.
        crop: cut grey borders off, as wide as all tiles have them.
        figure_options: go to `matplotlib.figure.Figure`.

    Raises:
        DataError: if there is nothing to draw, or the counts differ.
    """
    counts = {len(shades), len(units), len(reached), len(reached if real is None else real)}
    if counts == {0} or len(counts) > 1:
        raise DataError(
            f"{len(shades)} pictures, {len(units)} units and {len(reached)} activations cannot be "
            "drawn; give as many of each, one or more."
        )
    pictures = np.asarray(shades, dtype=np.float32)
    if crop:
        pictures = _cropped(pictures)
    pictures = pictures.transpose(0, 2, 3, 1)  # (U, H, W, C)
    if pictures.shape[3] != 3:
        pictures = pictures.mean(axis=3)
    columns = min(columns, len(pictures))
    rows = math.ceil(len(pictures) / columns)
    size = (min(style.MAX_SIDE, 0.8 * columns + 0.6), min(style.MAX_SIDE, 1.1 * rows + 0.8))
    with style.new_figure(figure_options, size) as figure:
        layout: Any = figure.get_layout_engine()
        layout.set(w_pad=0.03, h_pad=0.055, hspace=0, wspace=0)
        grid = figure.subplots(rows, columns, squeeze=False)
        for ax in grid.flat[len(pictures) :]:
            ax.set_visible(False)
        for number, (ax, picture) in enumerate(zip(grid.flat, pictures, strict=False)):
            ax.imshow(picture, cmap=style.PIXELS, vmin=0, vmax=1)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            ax.set_title(str(units[number]), fontsize=9, pad=3, fontweight="bold")
            below = f"{reached[number]:.1f}"
            if real is not None:
                below += f" | {real[number]:.1f}"
            ax.set_xlabel(below, fontsize=8, labelpad=2)
        name = f"{layer}: " if layer else ""
        told = "below: activation reached" + (" | highest on real images" if real is not None else "")
        figure.suptitle(f"{name}what {len(pictures)} units want\n{told}", fontsize=11)
    return figure


def _cropped(pictures: Array) -> Array:
    """Cut off the borders at which every picture (U, C, H, W) is nearly mid-grey, to a square."""
    seen: Array = np.any(np.abs(pictures - 0.5) > 0.08, axis=(0, 1))  # (H, W)
    height, width = seen.shape
    if not np.any(seen):
        return pictures
    rows, cols = (np.flatnonzero(np.any(seen, axis=axis)) for axis in (1, 0))
    margin = min(rows[0], height - 1 - rows[-1], cols[0], width - 1 - cols[-1])
    kept: Array = pictures[:, :, margin : height - margin, margin : width - margin]
    return kept
