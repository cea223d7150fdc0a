"""Figures of the measurements: time to an accuracy, growth with the data, speed of prediction.

Bars and linear axes begin at zero, so that lengths and slopes can be compared.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lenetscope.errors import DataError
from lenetscope.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

THICKNESS = 0.36
"""Of a bar, where the distance of two names is 1."""


def plot_times_to_accuracy(
    names: Sequence[str],
    training_seconds: Sequence[float],
    whole_seconds: Sequence[float],
    title: str = "Time to the accuracy",
) -> "Figure":
    """Draw how long each contender took, the fastest on top; time is on a logarithmic scale.

    Args:
        names: K contenders.
        training_seconds: K times of training alone, NaN if the accuracy was not reached.
        whole_seconds: K times of the whole process, NaN if the accuracy was not reached.
        title: accuracy and data that the times are for.

    Raises:
        DataError: if there is nothing to draw, lengths differ, or a time is not above 0.
    """
    _require(names, training_seconds, whole_seconds)
    rows = sorted(
        zip(names, training_seconds, whole_seconds, strict=True),
        key=lambda row: [math.inf if math.isnan(value) else value for value in row[:0:-1]],
    )
    reached = [value for _, *pair in rows for value in pair if not math.isnan(value)]
    # a logarithmic axis has no zero: all bars begin below the shortest
    start, end = min(reached, default=1.0) / 2, max(reached, default=2.0) * 2.5
    with style.new_figure({}, (8.0, 1.6 + 0.62 * len(rows))) as figure:
        ax = figure.subplots()
        ax.set_xscale("log")
        for place, (_, training, whole) in enumerate(rows):
            bars = ((whole, "whole process", style.TRAIN), (training, "training alone", style.VALID))
            if math.isnan(training) and math.isnan(whole):
                _label(ax, start, place, "not reached", color=style.WRONG)
                continue
            for offset, (value, what, colour) in zip((-0.5, 0.5), bars, strict=True):
                y = place + offset * THICKNESS
                if math.isnan(value):
                    _label(ax, start, y, f"{what}: not measured")
                    continue
                ax.barh(y, value - start, THICKNESS, left=start, color=colour)
                _label(ax, value, y, _seconds(value))
        for what, colour in (("whole process", style.TRAIN), ("training alone", style.VALID)):
            ax.barh(0, 0, 0, left=start, color=colour, label=what)  # for the legend
        ax.set_xlim(start, end)
        style.plain_log_ticks(ax.xaxis)
        ax.set_yticks(range(len(rows)), [row[0] for row in rows])
        ax.set_ylim(len(rows) - 0.4, -0.6)
        ax.tick_params(axis="y", length=0)
        ax.set(xlabel="seconds (logarithmic scale)", title=title)
        style.grid(ax, axis="x")
        ax.set_axisbelow(True)
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def plot_growth(
    images: Sequence[int],
    microseconds_per_image: Sequence[float],
    bytes_per_image: Sequence[float],
) -> "Figure":
    """Draw time and memory per image over the number of images; a flat line means linear growth.

    Args:
        images: K numbers of training images.
        microseconds_per_image: K times of training.
        bytes_per_image: K sizes; NaN where there is nothing to compare with.

    Raises:
        DataError: if there is nothing to draw, or lengths differ.
    """
    _require(images, microseconds_per_image, bytes_per_image, positive=False)
    panels = (
        (microseconds_per_image, "training, µs per image", style.TRAIN),
        (bytes_per_image, "memory, bytes per image", style.VALID),
    )
    with style.new_figure({}, (10.4, 3.6)) as figure:
        for ax, (values, label, colour) in zip(figure.subplots(1, 2), panels, strict=True):
            ax.plot(images, values, color=colour, marker="o", ms=4)
            for x, y in zip(images, values, strict=True):
                if math.isfinite(y):
                    ax.annotate(
                        f"{y:,.0f}", (x, y), (0, 6), textcoords="offset points", ha="center", fontsize=9
                    )
            top = max((value for value in values if math.isfinite(value)), default=1.0)
            ax.set_ylim(0, 1.25 * top if top > 0 else 1.0)
            ax.set_xscale("log")
            ax.margins(x=0.1)
            ax.set_xticks(images, [f"{count:,}" for count in images])
            ax.minorticks_off()
            ax.set(xlabel="training images (logarithmic scale)", ylabel=label)
            style.grid(ax)
        figure.suptitle("Cost per image as the data grow", fontsize=11)
    return figure


def plot_inference(
    names: Sequence[str],
    p50_ms: Sequence[float],
    p95_ms: Sequence[float],
    images_per_second_batch: Sequence[float],
    *,
    batch: int,
) -> "Figure":
    """Draw how fast contenders predict: latency of single images, and images per second in batches.

    Args:
        names: K contenders.
        p50_ms: K medians of the latency of one image, in ms.
        p95_ms: K 95th percentiles of it, in ms.
        images_per_second_batch: K speeds in batches.
        batch: images per batch.

    Raises:
        DataError: if there is nothing to draw, lengths differ, or a number is not above 0.
    """
    _require(names, p50_ms, p95_ms, images_per_second_batch)
    places = range(len(names))
    with style.new_figure({}, (10.4, 1.7 + 0.62 * len(names))) as figure:
        single, batches = figure.subplots(1, 2, sharey=True)
        single.barh(places, p50_ms, 2 * THICKNESS, color=style.TRAIN, label="median")
        single.barh(
            places, p95_ms, 2 * THICKNESS, fill=False, edgecolor=style.INK, label="95th percentile"
        )
        for place, half, most in zip(places, p50_ms, p95_ms, strict=True):
            _label(single, most, place, f"{half:.2f} / {most:.2f} ms")
        single.set(xlim=(0, 1.4 * max(p95_ms)), xlabel="ms", title="Latency of a single image")
        figure.legend(loc="outside lower left", ncols=2)
        batches.barh(places, images_per_second_batch, 2 * THICKNESS, color=style.VALID)
        for place, speed in zip(places, images_per_second_batch, strict=True):
            _label(batches, speed, place, f"{speed:,.0f}")
        batches.set(xlim=(0, 1.25 * max(images_per_second_batch)), xlabel="images per second")
        batches.set_title(f"Batches of {batch:,}")
        batches.xaxis.set_major_formatter(lambda value, _position: f"{value:,.0f}")
        single.set_yticks(places, names)
        single.set_ylim(len(names) - 0.4, -0.6)
        for ax in (single, batches):
            ax.tick_params(axis="y", length=0)
            style.grid(ax, axis="x")
            ax.locator_params(axis="x", nbins=5)
            ax.set_axisbelow(True)
    return figure


def _require(*columns: Sequence[Any], positive: bool = True) -> None:
    """Raise `DataError` unless columns have one length above 0, and their numbers are above 0."""
    if len({len(column) for column in columns}) != 1 or not len(columns[0]):
        lengths = ", ".join(str(len(column)) for column in columns)
        raise DataError(f"there must be as many numbers as names, and at least one: got {lengths}.")
    if positive and any(value <= 0 for column in columns[1:] for value in column):
        raise DataError("a time or a speed must be above 0.")


def _label(ax: "Axes", x: float, y: float, text: str, **options: Any) -> None:
    """Write a label to the right of the end of a bar."""
    ax.annotate(
        text, (x, y), (4, 0), textcoords="offset points", va="center", **{"fontsize": 9} | options
    )


def _seconds(value: float) -> str:
    """Return seconds with three significant digits."""
    return f"{value:.0f} s" if value >= 100 else f"{value:.3g} s"
