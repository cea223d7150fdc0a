"""Loss and accuracy over the epochs, and the learning rate range test."""

import pytest
from matplotlib.figure import Figure

from lenetscope.questions.curves import plot_curves, plot_lr_range


def history(**changes: object) -> list[dict]:
    row = {"train_loss": 1.0, "valid_loss": 2.0, "train_accuracy": 0.5, "valid_accuracy": 0.4}
    return [row | {"epoch": e} | changes for e in (1, 2, 3)]


def test_curves_show_what_there_is() -> None:
    loss, accuracy = plot_curves(history()).axes
    assert loss.get_yscale() == "log"
    assert [line.get_label() for line in loss.lines] == ["training", "validation"]
    assert list(loss.lines[0].get_xdata()) == [1, 2, 3]
    assert list(accuracy.lines[0].get_ydata()) == [50, 50, 50]
    none = {"valid_loss": None, "train_accuracy": None, "valid_accuracy": None}
    (only,) = plot_curves(history(**none)).axes
    assert [line.get_label() for line in only.lines] == ["training"]
    assert plot_curves(history(train_loss=-1.0, valid_loss=0.0)).axes[0].get_yscale() == "linear"
    assert plot_curves([], figsize=(3, 2)).get_size_inches().tolist() == [3, 2]


@pytest.mark.parametrize(("mode", "scale"), [("exp", "log"), ("linear", "linear")])
def test_the_range_test_is_drawn_on_a_scale_that_suits_its_steps(mode: str, scale: str) -> None:
    mine = Figure()
    tracking = {"lr": [0.1, 1], "loss": [2, 1]}
    for figure in (plot_lr_range(tracking, mode), plot_lr_range(tracking, mode, mine.subplots())):
        assert figure.axes[0].get_xscale() == scale
        assert list(figure.axes[0].lines[0].get_ydata()) == [2, 1]
    assert figure is mine


def test_marked_rates_are_lines_of_their_own_and_what_exploded_is_cut_off() -> None:
    tracking = {"lr": [0.1, 1, 10], "loss": [2, 1, 90]}
    (ax,) = plot_lr_range(tracking, marks={"lowest": 1.0, "diverges": None}).axes
    curve, line = ax.lines
    assert list(curve.get_ydata()) == [2, 1, 90]
    assert (line.get_label(), list(line.get_xdata())) == ("lowest: 1", [1, 1])
    assert ax.get_ylim() == (0, 3)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["lowest: 1"]
