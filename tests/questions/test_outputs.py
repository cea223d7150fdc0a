"""Outputs of layers: what stands where, on which scale, under which title."""

import numpy as np
import pytest
import torch

from lenetscope.errors import DataError
from lenetscope.plots import style
from lenetscope.questions.outputs import plot_outputs


def test_there_is_a_column_per_image_and_a_scale_per_layer() -> None:
    maps = np.random.default_rng(0).random((3, 5, 4, 4))
    vector = np.random.default_rng(0).normal(size=(3, 10))
    figure = plot_outputs({"maps": maps, "vector": vector}, [7, 2, 1], np.array([7, 3, 1]))
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
    figure = plot_outputs(values, labels=["a"])
    assert [ax.get_title() for ax in figure.axes[:2]] == ["true a", "image 1"]
    assert (figure.get_size_inches() <= style.MAX_SIDE).all()
    figure.draw_without_rendering()
    long = figure.axes[2].images[0].get_array()
    assert long.shape == (25, 128)  # 3,136 values in rows of 128, the last half empty
    assert np.ma.filled(long, np.nan)[-1, 64:].tolist() == pytest.approx([np.nan] * 64, nan_ok=True)
    binary = plot_outputs(
        {"a": np.ones((3, 2))}, torch.tensor([[1.0], [0.0], [1.0]]), np.array([1, 1, 1])
    )
    titles = [ax.get_title() for ax in binary.axes[:3]]
    assert titles == ["true 1\npredicted 1", "true 0\npredicted 1", "true 1\npredicted 1"]


def test_pixels_are_grey_and_nothing_is_an_error() -> None:
    figure = plot_outputs({"image": np.full((1, 1, 4, 4), 200, np.uint8)}, figsize=(3, 2))
    assert figure.axes[0].images[0].get_cmap().name == style.PIXELS
    assert figure.get_size_inches().tolist() == [3, 2]
    for nothing in ({}, {"a": np.ones((0, 3))}):
        with pytest.raises(DataError, match="nothing to draw"):
            plot_outputs(nothing)


@pytest.mark.parametrize(("maps", "columns"), [(1, 1), (6, 3), (32, 8), (64, 16), (13, 6), (128, 16)])
def test_maps_are_laid_out_about_twice_as_wide_as_high(maps: int, columns: int) -> None:
    drawn = plot_outputs({"a": np.ones((1, maps, 3, 3))}).axes[0].images[0].get_array()
    gap = 0 if maps == 1 else 1
    assert drawn.shape[1] == columns * (3 + gap) - gap
    assert np.ma.count(drawn) == maps * 9
