"""Ablation: bars ranked by errors added, and beside each the damage to the classes."""

import numpy as np
import pytest

from lenetscope.errors import DataError
from lenetscope.plots import style
from lenetscope.plots.ablation import ablation


def test_bars_are_ranked_and_rows_of_the_map_go_with_them() -> None:
    errors = np.array([[3, 0], [1, 1], [9, 4], [0, 0]])
    figure = ablation(errors, np.array([2, 1]), np.array([50, 10]), ["a", "b"], "conv1")
    left, right = figure.axes
    assert [t.get_text() for t in left.get_yticklabels()] == ["2", "0", "1", "3"]
    assert [bar.get_width() for bar in left.patches] == [10, 0, -1, -3]
    expected = 100 * (errors - [2, 1])[[2, 0, 1, 3]] / [50, 10]
    assert np.isclose(right.images[0].get_array(), expected).all()
    low, high = right.images[0].get_clim()
    assert low == -high == -30
    assert "3 errors in 60 with all" in figure.get_suptitle()
    assert "4 units, most missed first" in figure.get_suptitle()
    figure.draw_without_rendering()


def test_many_units_and_long_names_fit_on_a_screen() -> None:
    errors = np.random.default_rng(0).integers(0, 9, (512, 10))
    names = [f"class number {k}" for k in range(10)]
    figure = ablation(errors, np.zeros(10, int), np.full(10, 20), names, "conv")
    assert "32 of 512 units" in figure.get_suptitle()
    assert (figure.get_size_inches() <= style.MAX_SIDE).all()
    most = [bar.get_width() for bar in figure.axes[0].patches]
    assert most == sorted(errors.sum(axis=1).tolist(), reverse=True)[:32]


def test_shapes_that_do_not_fit_are_told() -> None:
    with pytest.raises(DataError, match="and 2 classes must be"):
        ablation(np.ones((3, 3)), np.ones(3), np.ones(3), ["a", "b"], "conv")
