"""How filters moved: against plain torch, and drawn as they were."""

import numpy as np
import pytest
import torch

from lenetscope.errors import DataError
from lenetscope.questions import spread
from lenetscope.questions.snapshots import (
    FilterMovement,
    filter_movement,
    plot_filter_movement,
    plot_filter_snapshots,
)


def test_movement_is_that_of_plain_torch() -> None:
    weights = torch.randn(4, 5, 2, 3, 3, dtype=torch.float64)
    weights[1, 0] = 0.0
    moved = filter_movement(weights.numpy(), [0, 1, 2, 5])
    for epoch in range(4):
        for unit in range(5):
            now, first = weights[epoch, unit].flatten(), weights[0, unit].flatten()
            before = weights[max(epoch - 1, 0), unit].flatten()
            assert moved.distance[epoch, unit] == pytest.approx((now - first).norm().item())
            assert moved.step[epoch, unit] == pytest.approx((now - before).norm().item())
            for found, other in ((moved.cosine, first), (moved.step_cosine, before)):
                if now.norm() and other.norm():
                    expected = torch.cosine_similarity(now, other, dim=0).item()
                    assert found[epoch, unit] == pytest.approx(expected)
                else:
                    assert np.isnan(found[epoch, unit])
    assert np.isnan(moved.cosine).sum() == 1
    assert np.isnan(moved.step_cosine).sum() == 2
    assert moved.epochs.tolist() == [0, 1, 2, 5]


def test_weights_of_another_shape_are_an_error() -> None:
    for weights in (np.zeros((2, 3)), np.zeros((3, 3, 3)), np.zeros((2, 0, 3))):
        with pytest.raises(DataError, match="weights must be .* for 2 epochs"):
            filter_movement(weights, [0, 1])


def test_the_figure_of_movement_has_each_filter_and_their_median() -> None:
    distance, cosine, step = np.random.default_rng(0).random((3, 4, 7))
    cosine[2, 1], cosine[3] = np.nan, np.nan
    moved = FilterMovement(np.arange(4), distance, cosine, step, cosine)
    figure = plot_filter_movement(moved, "conv1")
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
    first = FilterMovement(np.arange(1), distance[:1], -cosine[:1], step[:1], cosine[:1])
    assert plot_filter_movement(first, "conv1").axes[2].get_ylim()[0] < -1


@pytest.mark.parametrize(("filters", "blocks"), [(1, 1), (16, 1), (20, 2), (32, 2), (64, 2)])
def test_the_figure_of_snapshots_has_one_row_per_epoch(filters: int, blocks: int) -> None:
    weights = np.random.default_rng(0).normal(size=(3, filters, 5, 4))
    figure = plot_filter_snapshots(weights, [0, 1, 9], "conv1")
    drawn = [ax for ax in figure.axes if ax.images]
    assert len(drawn) == blocks
    shown, columns = min(filters, 32), min(filters, 16)
    bound = np.abs(weights[:, :shown]).max()
    for number in range(shown):
        ax = drawn[number // columns]
        canvas, left = ax.images[0].get_array(), number % columns * 5
        for epoch in range(3):
            tile = canvas[epoch * 6 : epoch * 6 + 5, left : left + 4]
            assert np.array_equal(tile, weights[epoch, number])
        assert ax.images[0].get_clim() == pytest.approx((-bound, bound))
        assert [t.get_text() for t in ax.get_yticklabels()] == ["0", "1", "9"]
    assert drawn[-1].get_xticklabels()[-1].get_text() == str(shown - 1)
    assert ("of 64" in drawn[0].get_title()) == (filters == 64)
    figure.draw_without_rendering()


def test_filters_of_several_channels_are_an_error() -> None:
    for shape in ((2, 8, 3, 5, 5), (1, 8, 5, 5)):
        with pytest.raises(DataError, match="weights must be .* for 2 epochs"):
            plot_filter_snapshots(np.zeros(shape), [0, 1], "conv2")


def test_epochs_are_left_out_evenly() -> None:
    assert spread([0, 1, 2, 3, 4, 5, 6], 4) == [0, 2, 4, 6]
    assert spread([0, 3, 4], 8) == [0, 3, 4]
