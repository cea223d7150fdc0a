"""Pictures of the course of a training: images learned and forgotten, filters as they grew.

In: counts, and weights of several epochs. Out: figures.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lenetscope.errors import DataError
from lenetscope.plots import style
from lenetscope.plots.style import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

COLUMNS, BLOCKS = 16, 2
"""Filters that stand side by side, and how many such blocks there are: more would be too small."""


def learning(
    epochs: Sequence[int],
    first: Array,
    again: Array,
    forgotten: Array,
    wrong: Array,
    **figure_options: Any,
) -> "Figure":
    """Draw how many images are learned and forgotten at each epoch, and how many are wrong after it.

    Args:
        epochs: E numbers.
        first: (E,), images right for the first time.
        again: (E,), images learned again.
        forgotten: (E,), images forgotten.
        wrong: (E,), images wrong after the epoch.
        figure_options: go to `matplotlib.figure.Figure`.

    Raises:
        DataError: if an array is not (E,).
    """
    series = {
        "learned for the first time": (np.asarray(first), style.TRAIN, "o"),
        "learned again": (np.asarray(again), style.TRAIN, "^"),
        "forgotten": (np.asarray(forgotten), style.VALID, "v"),
        "wrong after the epoch": (np.asarray(wrong), style.INK, "s"),
    }
    for name, (values, _, _) in series.items():
        if values.shape != (len(epochs),) or not len(epochs):
            raise DataError(f"'{name}' must be a number for each of {len(epochs)} epochs.")
    with style.new_figure(figure_options, (6.5, 4.2)) as figure:
        ax = figure.subplots()
        for name, (values, colour, marker) in series.items():
            dashed = name == "learned again"
            ax.plot(
                epochs,
                values,
                color=colour,
                marker=marker,
                markersize=6,
                linestyle="--" if dashed else "-",
                markerfacecolor="none" if dashed else colour,
                label=name,
            )
        # up to 1 it is linear, so that 0 has a place
        ax.set_yscale("symlog", linthresh=1, linscale=0.4)
        ax.set_ylim(bottom=-0.15)
        ax.yaxis.set_major_formatter(lambda value, _position: f"{value:,.0f}")
        ax.set(xlabel="epoch", ylabel="images")
        style.whole_numbers(ax.xaxis)
        style.grid(ax)
        figure.legend(loc="outside upper center", ncols=2)
    return figure


def filters_over_time(
    weights: Array, epochs: Sequence[int], layer: str, **figure_options: Any
) -> "Figure":
    """Draw the filters of a layer as they were at some epochs: a row an epoch, a column a filter.

    Args:
        weights: (E, F, H, W): of a layer of several input channels one channel.
        epochs: E numbers.
        layer: name for the title.
        figure_options: go to `matplotlib.figure.Figure`.

    Raises:
        DataError: if ``weights`` is not (E, F, H, W).
    """
    weights = np.asarray(weights)
    if weights.ndim != 4 or len(weights) != len(epochs) or not weights.size:
        raise DataError(
            f"weights must be (epochs, filters, H, W) for {len(epochs)} epochs, not {weights.shape}: "
            "of a layer of several input channels give one channel."
        )
    rows, total, height, width = weights.shape
    columns = min(COLUMNS, total)
    drawn = weights[:, : COLUMNS * BLOCKS]  # (E, F, H, W)
    blocks = -(-drawn.shape[1] // columns)
    tall = (6.5 - 2.0) * rows * (height + 1) / (columns * (width + 1))
    size = (6.5, min(style.MAX_SIDE, blocks * (tall + 0.25) + 0.65))
    with style.new_figure(figure_options, size) as figure:
        axes = figure.subplots(blocks, squeeze=False)[:, 0]
        norm = style.colour_scale(drawn, signed=True)
        for number, ax in enumerate(axes):
            start = number * columns
            _block(ax, drawn[:, start : start + columns], epochs, start, columns, norm)
            style.colour_bar(ax, norm, style.SIGNED, "weight", ticks=4)
        axes[-1].set_xlabel("filter")
        shown = "" if drawn.shape[1] == total else f" (of {total})"
        axes[0].set_title(f"{layer}: {drawn.shape[1]} filters{shown} of {height}x{width}")
    return figure


def _block(
    ax: "Axes", weights: Array, epochs: Sequence[int], start: int, columns: int, norm: "Normalize"
) -> None:
    """Draw filters (E, F, H, W) side by side, a row an epoch, in a frame for so many columns."""
    rows, count, height, width = weights.shape
    canvas = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), np.nan)
    for row, column in np.ndindex(rows, count):
        top, left = row * (height + 1), column * (width + 1)
        canvas[top : top + height, left : left + width] = weights[row, column]
    ax.imshow(canvas, cmap=style.SIGNED, norm=norm)
    middles = [c * (width + 1) + (width - 1) / 2 for c in range(count)]
    ax.set_xticks(middles, [str(start + c) for c in range(count)])
    ax.set_yticks([r * (height + 1) + (height - 1) / 2 for r in range(rows)], [str(e) for e in epochs])
    ax.tick_params(length=0, labelsize=8, pad=2)
    ax.spines[:].set_visible(False)
    ax.set_ylabel("epoch")


def filter_movement(
    epochs: Sequence[int], distance: Array, cosine: Array, step: Array, layer: str, **options: Any
) -> "Figure":
    """Draw how far, and which way, each filter has come: a thin line a filter, a thick one the median.

    Args:
        epochs: E numbers.
        distance: (E, F), from the first epoch's filter.
        cosine: (E, F), between a filter and the first epoch's; nan where there is none.
        step: (E, F), distance from the epoch before.
        layer: name for the title.
        options: go to `matplotlib.figure.Figure`.

    Raises:
        DataError: if an array is not (E, F).
    """
    panels = {
        "distance from the first": np.asarray(distance, dtype=float),
        "moved in one epoch": np.asarray(step, dtype=float),
        "cosine with the first": np.asarray(cosine, dtype=float),
    }
    for name, values in panels.items():
        if values.ndim != 2 or len(values) != len(epochs) or not values.size:
            raise DataError(f"'{name}' must be (epochs, filters) for {len(epochs)} epochs.")
    with style.new_figure(options, (6.5, 2.9)) as figure:
        axes = figure.subplots(1, 3)
        for ax, (name, values) in zip(axes, panels.items(), strict=True):
            from_second = name == "moved in one epoch" and len(epochs) > 1
            _bundle(ax, epochs[1:] if from_second else epochs, values[1:] if from_second else values)
            ax.set_title(name, fontsize=10)
            ax.set_xlabel("epoch")
            style.whole_numbers(ax.xaxis)
            style.grid(ax)
        for ax in axes[:2]:
            ax.set_ylim(bottom=0)
        low = np.nanmin(panels["cosine with the first"], initial=1.0)
        axes[2].set_ylim(-1.05 if low < 0 else 0, 1.05)
        count = panels["distance from the first"].shape[1]
        figure.suptitle(f"{layer}: {count} filters, thick: their median", fontsize=11)
    return figure


def _bundle(ax: "Axes", epochs: Sequence[int], values: Array) -> None:
    ax.plot(epochs, values, color=style.TRAIN, alpha=0.35, linewidth=0.8)
    finite = [row[np.isfinite(row)] for row in values]
    middle = [float(np.median(row)) if row.size else np.nan for row in finite]
    ax.plot(epochs, middle, color=style.VALID, linewidth=2.5, marker="o", markersize=4)
