"""Figures of measurements: nothing is left out, and linear axes begin at zero."""

import math

import pytest

from benchmarks.figures import plot_growth, plot_inference, plot_times_to_accuracy
from lenetscope.errors import DataError

NAN = math.nan


def texts(ax) -> list[str]:
    return [t.get_text() for t in ax.texts]


def test_times_are_sorted_and_labelled_and_missing_ones_are_named() -> None:
    figure = plot_times_to_accuracy(
        ["slow", "never", "quick", "half known"], [300, NAN, 11, NAN], [350.4, NAN, 14.62, 77]
    )
    (ax,) = figure.axes
    assert ax.get_xscale() == "log"
    assert [t.get_text() for t in ax.get_yticklabels()] == ["quick", "half known", "slow", "never"]
    top, bottom = ax.get_ylim()[::-1]
    assert top < 0 < 3 < bottom  # the first row is on top
    assert texts(ax) == [
        "14.6 s", "11 s", "77 s", "training alone: not measured", "350 s", "300 s", "not reached",
    ]  # fmt: skip
    ends = [bar.get_x() + bar.get_width() for bar in ax.patches if bar.get_height()]
    assert ends == pytest.approx([14.62, 11, 77, 350.4, 300])
    assert ax.get_xlim()[0] < 11
    assert ax.get_xlim()[1] > 350.4
    (legend,) = figure.legends
    assert [t.get_text() for t in legend.get_texts()] == ["whole process", "training alone"]
    figure.draw_without_rendering()


def test_there_is_a_figure_even_if_nobody_reached_the_accuracy() -> None:
    figure = plot_times_to_accuracy(["a"], [NAN], [NAN], title="Time to 99.9 %")
    assert texts(figure.axes[0]) == ["not reached"]
    assert figure.axes[0].get_title() == "Time to 99.9 %"
    figure.draw_without_rendering()


def test_the_axes_of_growth_begin_at_zero() -> None:
    figure = plot_growth([60_000, 120_000, 240_000], [200, 210.4, 190], [NAN, 812, 800])
    time, memory = figure.axes
    for ax in (time, memory):
        assert ax.get_ylim()[0] == 0
        assert ax.get_xscale() == "log"
        assert list(ax.get_xticks()) == [60_000, 120_000, 240_000]
        assert not len(ax.get_xticks(minor=True))
        assert ax.get_xticklabels()[0].get_text() == "60,000"
    assert time.get_ylim()[1] > 210.4
    assert texts(time) == ["200", "210", "190"]
    assert texts(memory) == ["812", "800"]
    figure.draw_without_rendering()


def test_inference_shows_both_latencies_and_the_speed_of_batches() -> None:
    figure = plot_inference(["a", "b"], [0.8, 0.4], [1.0, 0.5], [12_000, 31_000], batch=500)
    single, batches = figure.axes
    assert texts(single) == ["0.80 / 1.00 ms", "0.40 / 0.50 ms"]
    assert texts(batches) == ["12,000", "31,000"]
    assert single.get_xlim()[0] == batches.get_xlim()[0] == 0
    assert [bar.get_width() for bar in single.patches] == [0.8, 0.4, 1.0, 0.5]
    assert batches.get_title() == "Batches of 500"
    figure.draw_without_rendering()


def test_values_that_cannot_be_drawn_are_refused() -> None:
    with pytest.raises(DataError, match="got 2, 1, 2"):
        plot_times_to_accuracy(["a", "b"], [1], [1, 2])
    with pytest.raises(DataError, match="at least one"):
        plot_growth([], [], [])
    with pytest.raises(DataError, match="above 0"):
        plot_inference(["a"], [0.0], [1.0], [1.0], batch=1)
