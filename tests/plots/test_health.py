"""Health over the epochs: a line a layer in each of four panels."""

import numpy as np
import pytest

from lenetscope.errors import DataError
from lenetscope.plots.health import health


@pytest.mark.parametrize("layers", [1, 4, 23])
def test_each_panel_has_a_line_a_layer(layers: int) -> None:
    generator = np.random.default_rng(0)
    dead, norms, gradients, updates = generator.random((4, 3, layers))
    updates[0] = np.nan
    names = [f"layer{n}" for n in range(layers)]
    figure = health([0, 1, 5], names, dead, norms, gradients, updates)
    for ax, values in zip(figure.axes, (100 * dead, norms, gradients, updates), strict=True):
        lines = ax.get_lines()
        assert [line.get_label() for line in lines] == names
        for line, expected in zip(lines, values.T, strict=True):
            assert list(line.get_xdata()) == [0, 1, 5]
            assert np.allclose(line.get_ydata(), expected, equal_nan=True)
    assert [ax.get_yscale() for ax in figure.axes] == ["linear", "log", "log", "log"]
    colours = {line.get_color() if isinstance(line.get_color(), str) else tuple(line.get_color())
               for line in figure.axes[0].get_lines()}  # fmt: skip
    assert len(colours) == layers
    figure.draw_without_rendering()


def test_what_was_not_measured_says_so_and_what_is_unusual_is_shaded() -> None:
    ones, nothing = np.ones((2, 1)), np.full((2, 1), np.nan)
    figure = health([0, 1], ["fc"], 0 * ones, ones, nothing, 0.3 * ones)
    assert [text.get_text() for text in figure.axes[2].texts] == ["not measured"]
    update = figure.axes[3]
    assert len(update.patches) == 1
    assert update.patches[0].get_y() == pytest.approx(0.1)
    assert len(health([0, 1], ["fc"], ones, ones, ones, 1e-3 * ones).axes[3].patches) == 0
    figure.draw_without_rendering()


def test_arrays_of_another_shape_are_told() -> None:
    ones = np.ones((2, 1))
    with pytest.raises(DataError, match=r"norm of the gradient must be .* = \(2, 1\), not \(1, 2\)"):
        health([0, 1], ["fc"], ones, ones, ones.T, ones)
    with pytest.raises(DataError, match="dead units"):
        health([], [], *[np.ones((0, 0))] * 4)
