"""Pictures of what every layer puts out, in figures.

In: rows of plain numbers. Out: figures, a line a layer, in the order in which they run.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lenetscope.errors import DataError
from lenetscope.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def activations(rows: Sequence[Mapping[str, Any]], **figure_options: Any) -> "Figure":
    """Draw range, spread and mean of each layer's outputs, and the shares of zeros and saturation.

    Args:
        rows: with ``layer``, ``kind``, ``mean``, ``deviation``, ``lowest``, ``highest``, ``zeros`` and
            ``saturated`` (None where it has no meaning); the first runs first and stands at the top.
        figure_options: go to `matplotlib.figure.Figure`.

    Raises:
        DataError: if there are no rows.
    """
    if not rows:
        raise DataError("there is nothing to draw: no layer has run.")
    height = min(style.MAX_SIDE, 0.32 * len(rows) + 1.5)
    with style.new_figure(figure_options, (8.0, height)) as figure:
        left, right = figure.subplots(1, 2, sharey=True, gridspec_kw={"width_ratios": (3, 2)})
        places = range(len(rows))
        _ranges(left, rows)
        _shares(right, rows)
        left.set_yticks(places, [f"{row['layer']}  ({row['kind']})" for row in rows])
        left.set(ylim=(len(rows) - 0.5, -0.5), xlabel="output", title="how large")
        right.set(xlim=(0, 100), xlabel="% of outputs", title="how much at an end")
        for ax in (left, right):
            ax.tick_params(axis="y", length=0)
            style.grid(ax, "x")
        handles = [h for ax in (left, right) for h in ax.get_legend_handles_labels()[0]]
        names = [n for ax in (left, right) for n in ax.get_legend_handles_labels()[1]]
        figure.legend(handles, names, loc="outside lower center", ncols=len(names), fontsize=9)
    return figure


def _ranges(ax: "Axes", rows: Sequence[Mapping[str, Any]]) -> None:
    places = range(len(rows))
    means, around = ([row[key] for row in rows] for key in ("mean", "deviation"))
    lowest, highest = ([row[key] for row in rows] for key in ("lowest", "highest"))
    ax.hlines(places, lowest, highest, color="#999999", linewidth=2, label="lowest to highest")
    ax.barh(
        places, [2 * d for d in around], left=[m - d for m, d in zip(means, around, strict=True)],
        height=0.5, color=style.TRAIN, alpha=0.75, label="mean ± standard deviation",
    )  # fmt: skip
    ax.plot(means, places, linestyle="", marker="o", markersize=5, color=style.INK, label="mean")
    ax.axvline(0, color=style.INK, linewidth=0.6, zorder=0)


def _shares(ax: "Axes", rows: Sequence[Mapping[str, Any]]) -> None:
    bounded = [row["saturated"] is not None for row in rows]
    for key, colour, side in (("zeros", style.TRAIN, -1), ("saturated", style.VALID, 1)):
        shown = [place for place, row in enumerate(rows) if row[key] is not None]
        # two bars share a layer's line where both have a meaning
        middle = [place + side * 0.15 * bounded[place] for place in shown]
        shares = [100 * rows[place][key] for place in shown]
        thick = [0.28 if bounded[place] else 0.5 for place in shown]
        if shown:
            ax.barh(middle, shares, height=thick, color=colour, alpha=0.75, label=key)
        for place, share in zip(middle, shares, strict=True):
            ax.text(min(share, 84) + 1.5, place, f"{share:.1f}", va="center", fontsize=8)
