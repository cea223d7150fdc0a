"""Images learned and forgotten, filters as they grew: what is drawn is what was given."""

import numpy as np
import pytest

from lenetscope.errors import DataError
from lenetscope.plots.learning import filter_movement, filters_over_time, learning


def test_learning_draws_four_lines_with_room_for_zero() -> None:
    series = np.array([[1200, 8000, 100], [0, 0, 8], [0, 17, 55], [8800, 240, 110]])
    figure = learning([0, 1, 2], *series)
    (ax,) = figure.axes
    assert [line.get_label() for line in ax.get_lines()] == [
        "learned for the first time", "learned again", "forgotten", "wrong after the epoch",
    ]  # fmt: skip
    for line, values in zip(ax.get_lines(), series, strict=True):
        assert line.get_ydata().tolist() == values.tolist()
    assert ax.get_yscale() == "symlog"
    assert ax.get_ylim()[0] < 0
    figure.draw_without_rendering()
    with pytest.raises(DataError, match="'forgotten' must be a number for each of 3 epochs"):
        learning([0, 1, 2], series[0], series[1], series[2, :2], series[3])


@pytest.mark.parametrize(("filters", "blocks"), [(1, 1), (16, 1), (20, 2), (32, 2), (64, 2)])
def test_filters_stand_a_row_an_epoch(filters: int, blocks: int) -> None:
    weights = np.random.default_rng(0).normal(size=(3, filters, 5, 4))
    figure = filters_over_time(weights, [0, 1, 9], "conv1")
    pictures = [ax for ax in figure.axes if ax.images]
    assert len(pictures) == blocks
    shown = min(filters, 32)
    bound = np.abs(weights[:, :shown]).max()
    columns = min(filters, 16)
    for number in range(shown):
        ax = pictures[number // columns]
        canvas, left = ax.images[0].get_array(), number % columns * 5
        for epoch in range(3):
            tile = canvas[epoch * 6 : epoch * 6 + 5, left : left + 4]
            assert np.array_equal(tile, weights[epoch, number])
        assert ax.images[0].get_clim() == pytest.approx((-bound, bound))
        assert [t.get_text() for t in ax.get_yticklabels()] == ["0", "1", "9"]
    assert pictures[-1].get_xticklabels()[-1].get_text() == str(shown - 1)
    assert ("of 64" in pictures[0].get_title()) == (filters == 64)
    figure.draw_without_rendering()


def test_filters_of_several_channels_are_told() -> None:
    with pytest.raises(DataError, match=r"\(2, 8, 3, 5, 5\): of a layer of several input channels"):
        filters_over_time(np.zeros((2, 8, 3, 5, 5)), [0, 1], "conv2")
    with pytest.raises(DataError, match="for 1 epochs"):
        filters_over_time(np.zeros((2, 8, 5, 5)), [0], "conv2")


def test_movement_shows_each_filter_and_their_median() -> None:
    distance, cosine, step = np.random.default_rng(0).random((3, 4, 7))
    cosine[2, 1], cosine[3] = np.nan, np.nan
    figure = filter_movement([0, 1, 2, 3], distance, cosine, step, "conv1")
    for ax, values in zip(figure.axes, (distance, step[1:], cosine), strict=True):
        lines = ax.get_lines()
        assert len(lines) == 8
        for line, expected in zip(lines, values.T, strict=False):
            assert np.array_equal(line.get_ydata(), expected, equal_nan=True)
    assert np.allclose(figure.axes[0].get_lines()[-1].get_ydata(), np.median(distance, axis=1))
    medians = figure.axes[2].get_lines()[-1].get_ydata()
    assert medians[2] == pytest.approx(np.nanmedian(cosine[2]))
    assert np.isnan(medians[3])
    figure.draw_without_rendering()
    alone = filter_movement([0], distance[:1], -cosine[:1], step[:1], "conv1")
    assert alone.axes[2].get_ylim()[0] < -1
    with pytest.raises(DataError, match="'moved in one epoch' must be"):
        filter_movement([0, 1, 2, 3], distance, cosine, step[:2], "conv1")
