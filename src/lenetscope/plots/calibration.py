"""Pictures of how far a network's confidence can be believed.

In: bins of confidences, and accuracies over coverage. Out: figures.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lenetscope.errors import DataError
from lenetscope.plots import style
from lenetscope.plots.style import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = ("low", "high", "n", "confidence", "accuracy", "accuracy_low", "accuracy_high")


def reliability(panels: Mapping[str, Mapping[str, Array]], **figure_options: Any) -> "Figure":
    """Draw reliability diagrams side by side: accuracy over confidence, and images a bin below.

    A point on the dashed line is as often right as it says; below it the network is too sure. The
    bars are 95 % intervals.

    Args:
        panels: title, such as ``"before"``, to the columns of its bins, each (B,): ``low`` and
            ``high`` edges, ``n``, ``confidence``, ``accuracy``, ``accuracy_low`` and
            ``accuracy_high``, shares from 0 to 1, NaN where a bin is empty.
        figure_options: go to `matplotlib.figure.Figure`.

    Raises:
        DataError: if there is nothing to draw, or a column is missing.
    """
    for title, bins in panels.items():
        missing = [name for name in COLUMNS if name not in bins]
        if missing:
            raise DataError(f"the bins of '{title}' have no column {', '.join(missing)}.")
    if not panels or any(not np.sum(bins["n"]) for bins in panels.values()):
        raise DataError("there is nothing to draw: no bin holds an image.")
    width = 3.2 * len(panels) + (1.2 if len(panels) == 1 else 0.3)
    with style.new_figure(figure_options, (width, 5.1)) as figure:
        axes = figure.subplots(
            2,
            len(panels),
            sharex=True,
            sharey="row",
            squeeze=False,
            gridspec_kw={"height_ratios": (3, 1.2)},
        )
        for (above, below), (title, bins) in zip(axes.T, panels.items(), strict=True):
            _diagram(above, bins)
            _counts(below, bins)
            above.set_title(title)
        axes[0, 0].set_ylabel("right answers, %")
        axes[1, 0].set_ylabel("images (log)")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=9)
    return figure


def coverage(
    shares: Array,
    accuracies: Array,
    intervals: Array,
    marks: Sequence[tuple[float, float, str]] = (),
    **figure_options: Any,
) -> "Figure":
    """Draw the accuracy of the most confident answers over the share that is answered.

    The horizontal axis begins a little before the first error.

    Args:
        shares: (T,) of images answered, rising, from 0 to 1.
        accuracies: (T,) of those answers, from 0 to 1.
        intervals: (T, 2) of each accuracy.
        marks: places to point out: share, accuracy, what to write there.
        figure_options: go to `matplotlib.figure.Figure`.

    Raises:
        DataError: if there is nothing to draw, or lengths differ.
    """
    shares, accuracies, intervals = map(np.asarray, (shares, accuracies, intervals))
    if not len(shares) or accuracies.shape != shares.shape or intervals.shape != (len(shares), 2):
        raise DataError(
            f"shares, accuracies (T,) and intervals (T, 2) go together and T is not 0: they are "
            f"{shares.shape}, {accuracies.shape} and {intervals.shape}."
        )
    with style.new_figure(figure_options, (6.5, 4.0)) as figure:
        ax = figure.subplots()
        ax.fill_between(
            100 * shares,
            *(100 * intervals.T),
            color=style.TRAIN,
            alpha=0.2,
            linewidth=0,
            label="95 % interval",
        )
        ax.plot(100 * shares, 100 * accuracies, color=style.TRAIN, label="accuracy of what is answered")
        whole, flawless = 100 * accuracies[-1], 100 * shares[accuracies == 1].max(initial=0.0)
        # where nothing happens there is nothing to see
        start = max(0.0, 10 * math.floor(flawless / 10) - 10)
        # the first few answers tell little: their intervals would squeeze the curve flat
        shown = accuracies[100 * shares >= max(start, 5)].min(initial=accuracies[-1])
        room = max(100 - 100 * float(shown), 0.05)
        # what is written stands under the curve in the order of the points, so that no lines cross
        for number, (share, accuracy, text) in enumerate(sorted(marks, key=lambda mark: -mark[1])):
            ax.plot(100 * share, 100 * accuracy, "o", color=style.WRONG, zorder=3)
            ax.annotate(
                text,
                (100 * share, 100 * accuracy),
                (0.72, 0.64 - 0.13 * number),
                textcoords="axes fraction",
                ha="right",
                va="center",
                color=style.INK,
                fontsize=9,
                arrowprops={
                    "arrowstyle": "-",
                    "color": style.WRONG,
                    "lw": 0.8,
                    "shrinkB": 3,
                    "relpos": (1, 0.5),
                },
            )
        ax.set_xlim(start, 100)
        ax.set_ylim(100 - 1.25 * room, 100 + 0.05 * room)
        ax.set(xlabel="images answered, the most confident first, %", ylabel="right answers, %")
        surest = f"; no error in the surest {flawless:.1f} %" if flawless else ""
        ax.set_title(f"{whole:.2f} % right when all are answered{surest}")
        ax.legend(loc="lower left", fontsize=9)
        ax.ticklabel_format(useOffset=False)
        style.grid(ax)
    return figure


def _diagram(ax: "Axes", bins: Mapping[str, Array]) -> None:
    """Draw the accuracy of each bin where its mean confidence is, on a square from 0 to 100 %."""
    full = np.asarray(bins["n"]) > 0
    x, y, low, high = (
        100 * np.asarray(bins[name], dtype=float)[full]
        for name in ("confidence", "accuracy", "accuracy_low", "accuracy_high")
    )
    ax.plot([0, 100], [0, 100], color=style.INK, linestyle="--", linewidth=1, label="as sure as right")
    ax.vlines(x, np.minimum(x, y), np.maximum(x, y), color=style.VALID, alpha=0.35, linewidth=5)
    ax.errorbar(
        x,
        y,
        np.maximum(0, [y - low, high - y]),
        fmt="o",
        ms=5,
        color=style.TRAIN,
        elinewidth=1.2,
        capsize=2,
        label="a bin, with its 95 % interval",
    )
    ax.set(xlim=(0, 102), ylim=(-2, 102))
    style.grid(ax)


def _counts(ax: "Axes", bins: Mapping[str, Array]) -> None:
    """Draw how many images a bin holds, on a logarithmic scale from below 1; name the largest."""
    low, high, n = (np.asarray(bins[name], dtype=float) for name in ("low", "high", "n"))
    full = n > 0
    # bins of equal mass can be very narrow: a line keeps them visible
    ax.bar(
        100 * low[full],
        n[full] - 0.5,
        100 * (high - low)[full],
        bottom=0.5,
        align="edge",
        color=style.TRAIN,
        edgecolor=style.TRAIN,
        linewidth=0.6,
        alpha=0.75,
    )
    ax.set_yscale("log")
    ax.set_ylim(0.5, 6 * n.max())
    style.ticks_at(ax.yaxis, {10**k: f"{10**k:,}" for k in range(7) if 10**k <= 6 * n.max()})
    most = int(n.argmax())
    ax.annotate(
        f"{int(n[most]):,} of {int(n.sum()):,}",
        (100 * high[most], n[most]),
        (0, 2),
        textcoords="offset points",
        ha="right" if high[most] > 0.5 else "left",
        va="bottom",
        fontsize=9,
    )
    ax.set_xlabel("confidence of the answer, %")
    ax.set_xticks(range(0, 101, 20))
    style.grid(ax, axis="x")
    ax.set_axisbelow(True)
