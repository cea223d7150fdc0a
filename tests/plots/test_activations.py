"""Statistics of layers: a line a layer, in order, at the values given."""

import pytest

from lenetscope.errors import DataError
from lenetscope.plots.activations import activations

ROWS = [
    {"layer": "fc1", "kind": "Linear", "mean": 1.0, "deviation": 2.0, "zeros": 0.25,
     "saturated": None, "lowest": -4.0, "highest": 6.0},
    {"layer": "tanh", "kind": "Tanh", "mean": 0.1, "deviation": 0.7, "zeros": 0.0,
     "saturated": 0.5, "lowest": -1.0, "highest": 1.0},
]  # fmt: skip


def test_lines_and_bars_have_the_values_given() -> None:
    figure = activations(ROWS)
    left, right = figure.axes
    assert [t.get_text() for t in left.get_yticklabels()] == ["fc1  (Linear)", "tanh  (Tanh)"]
    assert left.get_ylim()[0] > left.get_ylim()[1]  # the first at the top
    assert [(b.get_x(), b.get_width()) for b in left.patches] == [
        (-1.0, 4.0),
        (pytest.approx(-0.6), pytest.approx(1.4)),
    ]
    assert left.collections[0].get_segments()[0][:, 0].tolist() == [-4, 6]
    assert [b.get_width() for b in right.patches] == [25, 0, 50]
    assert [t.get_text() for t in right.texts] == ["25.0", "0.0", "50.0"]
    names = [t.get_text() for t in figure.legends[0].get_texts()]
    assert names[-2:] == ["zeros", "saturated"]
    figure.draw_without_rendering()
    assert [t.get_text() for t in activations(ROWS[:1]).legends[0].get_texts()][-1] == "zeros"


def test_nothing_to_draw_is_told() -> None:
    with pytest.raises(DataError, match="no layer has run"):
        activations([])
