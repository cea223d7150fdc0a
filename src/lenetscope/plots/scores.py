"""Pictures of how good a network is.

In: counts. Out: figures.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lenetscope.plots import style
from lenetscope.plots.style import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def confusion(matrix: Array, classes: Sequence[str], **figure_options: Any) -> "Figure":
    """Draw a confusion matrix: counts in the cells, colour for the errors' share of the true class.

    Args:
        matrix: (K, K), rows true and columns predicted.
        classes: K names.
        figure_options: go to `matplotlib.figure.Figure`.
    """
    count = len(matrix)
    totals = np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    shares = 100 * matrix / totals * (1 - np.eye(count))
    side = min(style.MAX_SIDE, 2.4 + 0.52 * count)
    with style.new_figure(figure_options, (side + 0.8, side)) as figure:
        ax = figure.subplots()
        norm = style.colour_scale(shares, signed=False)
        ax.imshow(shares, cmap="Reds", norm=norm)
        for row, column in np.ndindex(count, count) if count <= 30 else ():
            value = int(matrix[row, column])
            if value:
                dark = shares[row, column] > 0.6 * norm.vmax if norm.vmax else False
                ax.text(
                    column,
                    row,
                    str(value),
                    ha="center",
                    va="center",
                    fontsize=9,
                    color="white" if dark else style.INK,
                    fontweight="bold" if row == column else "normal",
                )
        ticks = range(count)
        long = max(len(name) for name in classes) > 3
        ax.set_xticks(ticks, classes, rotation=45 if long else 0, ha="right" if long else "center")
        ax.set_yticks(ticks, classes)
        ax.set(xlabel="predicted", ylabel="true")
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        right, total = int(matrix.trace()), int(matrix.sum())
        ax.set_title(f"{total - right} errors in {total:,} images")
        style.colour_bar(ax, norm, "Reds", "% of the true class")
    return figure
