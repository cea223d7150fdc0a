"""Filters and outputs of layers: their size, what their colours mean, their titles."""

import numpy as np
import pytest
import torch

from lenetscope import plots
from lenetscope.errors import DataError
from lenetscope.plots import style


@pytest.mark.parametrize(
    "shape", [(1, 1, 3, 3), (32, 1, 3, 3), (64, 32, 3, 3), (8, 3, 7, 7), (512, 256, 3, 3)]
)
def test_filters_fit_on_a_screen_and_zero_is_white(shape: tuple[int, ...]) -> None:
    weights = np.random.default_rng(0).normal(size=shape)
    figure = plots.filters(weights, "conv")
    assert (figure.get_size_inches() <= style.MAX_SIDE + 2).all()
    picture = figure.axes[0].images[0]
    low, high = picture.get_clim()
    assert low == -high == -np.abs(weights).max()
    assert picture.cmap(picture.norm(0.0))[:3] == pytest.approx((1, 1, 1), abs=0.05)
    assert str(shape[0]) in figure.axes[0].get_title()
    drawn = picture.get_array()
    assert np.isclose(drawn[: shape[2], : shape[3]], weights[0, 0]).all()
    figure.draw_without_rendering()


def test_outputs_have_a_column_an_image_and_a_scale_a_row() -> None:
    maps = np.random.default_rng(0).random((3, 5, 4, 4))
    vector = np.random.default_rng(0).normal(size=(3, 10))
    figure = plots.outputs({"maps": maps, "vector": vector}, [7, 2, 1], np.array([7, 3, 1]))
    pictures = [ax for ax in figure.axes if ax.images]
    assert len(pictures) == 6
    titles = [ax.title for ax in pictures[:3]]
    assert [t.get_text() for t in titles] == [
        "true 7\npredicted 7",
        "true 2\npredicted 3",
        "true 1\npredicted 1",
    ]
    assert [t.get_color() == style.WRONG for t in titles] == [False, True, False]
    assert {ax.images[0].get_clim() for ax in pictures[:3]} == {(0, maps.max())}
    assert pictures[3].images[0].get_clim()[0] == -np.abs(vector).max()
    first = pictures[0].images[0].get_array()
    assert np.isclose(first[:4, 5:9], maps[0, 1]).all()
    assert np.isclose(pictures[3].images[0].get_array(), vector[0]).all()
    assert pictures[0].get_ylabel() == "maps\n5x4x4"
    figure.draw_without_rendering()


def test_outputs_of_any_shape_and_with_few_labels() -> None:
    values = {
        "scalar": np.ones(2),
        "long": np.ones((2, 3136)),
        "plane": np.ones((2, 5, 6)),
        "deep": np.ones((2, 2, 2, 2, 2)),
    }
    figure = plots.outputs(values, labels=["a"])
    assert [ax.get_title() for ax in figure.axes[:2]] == ["true a", "image 1"]
    assert (figure.get_size_inches() <= style.MAX_SIDE).all()
    figure.draw_without_rendering()
    binary = plots.outputs(
        {"a": np.ones((3, 2))}, torch.tensor([[1.0], [0.0], [1.0]]), np.array([1, 1, 1])
    )
    titles = [ax.get_title() for ax in binary.axes[:3]]
    assert titles == ["true 1\npredicted 1", "true 0\npredicted 1", "true 1\npredicted 1"]
    for nothing in ({}, {"a": np.ones((0, 3))}):
        with pytest.raises(DataError, match="nothing to draw"):
            plots.outputs(nothing)
