"""Curves and the learning rate range test."""

from matplotlib.figure import Figure

from lenetscope import plots


def history(**changes: object) -> list[dict]:
    row = {"train_loss": 1.0, "valid_loss": 2.0, "train_accuracy": 0.5, "valid_accuracy": 0.4}
    return [row | {"epoch": e} | changes for e in (1, 2, 3)]


def test_curves_show_what_there_is() -> None:
    loss, accuracy = plots.curves(history()).axes
    assert loss.get_yscale() == "log"
    assert [line.get_label() for line in loss.lines] == ["training", "validation"]
    assert list(accuracy.lines[0].get_ydata()) == [50, 50, 50]
    none = {"valid_loss": None, "train_accuracy": None, "valid_accuracy": None}
    (only,) = plots.curves(history(**none)).axes
    assert [line.get_label() for line in only.lines] == ["training"]
    assert plots.curves(history(train_loss=-1.0, valid_loss=0.0)).axes[0].get_yscale() == "linear"
    assert plots.curves([]).axes


def test_the_range_test_is_drawn_on_a_scale_that_suits_its_steps() -> None:
    figure = plots.lr_range({"lr": [0.1, 1], "loss": [2, 1]}, "exp")
    assert figure.axes[0].get_xscale() == "log"
    assert plots.lr_range({"lr": [1], "loss": [1]}, "linear").axes[0].get_xscale() == "linear"


def test_the_range_test_is_drawn_on_axes_of_ones_own() -> None:
    mine = Figure()
    ax = mine.subplots()
    assert plots.lr_range({"lr": [0.1, 1], "loss": [2, 1]}, "exp", ax) is mine
    assert list(ax.lines[0].get_ydata()) == [2, 1]
