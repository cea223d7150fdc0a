"""Statistics of layer outputs: against NumPy on everything at once, and by hand."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from conftest import SmallCNN
from lenetscope.errors import DataError, LayerError, UsageError
from lenetscope.models.lenet import LeNet
from lenetscope.questions.activations import (
    ActivationRow,
    activation_statistics,
    plot_activations,
    saturation,
)


@pytest.mark.parametrize("batch_size", [1, 7, 250])
def test_the_figures_are_those_of_numpy_over_all_images(batch_size: int) -> None:
    torch.manual_seed(0)
    model, images = LeNet().eval(), torch.rand(23, 1, 28, 28)
    table = activation_statistics(model, images, batch_size=batch_size)
    assert [row.layer for row in table] == [name for name, _ in model.named_children()]
    x = images
    for row, layer in zip(table, model.children(), strict=True):
        x = layer(x)
        values = x.detach().double().numpy()
        assert row.kind == type(layer).__name__
        assert row.mean == pytest.approx(values.mean(), abs=1e-6)
        assert row.std == pytest.approx(values.std(), rel=1e-5)
        assert row.zeros == pytest.approx((values == 0).mean())
        assert row.min == pytest.approx(values.min(), rel=1e-5)
        assert row.max == pytest.approx(values.max(), rel=1e-5)
        assert row.norm == pytest.approx(
            np.linalg.norm(values.reshape(23, -1), axis=1).mean(), rel=1e-5
        )
        assert row.saturated is None
        places = tuple(range(2, values.ndim))
        assert row.dead == (values == 0).all(axis=(0, *places)).sum()


def test_a_unit_is_dead_if_no_batch_activates_it() -> None:
    images = torch.tensor([[0.0, 0, 2], [0, 1, 0], [0, 0, 0]])
    (row,) = activation_statistics(nn.Sequential(nn.Identity()), images, batch_size=1)
    assert (row.dead, row.zeros) == (1, pytest.approx(7 / 9))


def test_a_large_mean_does_not_drown_the_standard_deviation() -> None:
    images = torch.tensor([[4.0], [7.0], [13.0], [16.0]]) + 1e6
    row = activation_statistics(nn.Sequential(nn.Identity()), images, batch_size=1)[0]
    assert row.mean == 1e6 + 10
    assert row.std == pytest.approx(22.5**0.5, rel=1e-9)


def test_saturation_by_hand() -> None:
    values = torch.tensor([-1.0, -0.98, -0.97, 0.0, 0.02, 0.03, 0.97, 0.98, 1.0, 6.0])
    bits = {
        nn.Tanh(): "1100000111",
        nn.Softsign(): "1100000111",
        nn.Sigmoid(): "1111100111",
        nn.Hardtanh(): "1000000011",
        nn.ReLU6(): "0000000001",
        nn.Hardsigmoid(): "1111000011",
    }
    for layer, expected in bits.items():
        assert "".join(str(int(b)) for b in saturation(layer, values)) == expected, layer
    for layer in (nn.ReLU(), nn.LeakyReLU(), nn.Linear(1, 1), nn.Softmax(dim=0)):
        assert saturation(layer, values) is None
    model = nn.Sequential(nn.Identity(), nn.Tanh())
    row = activation_statistics(model, torch.tensor([[0.0, 3.0, -3.0, 1.0]]), "1")[0]
    assert (row.saturated, row.zeros) == (0.5, 0.25)
    assert "50.0 %" in str(activation_statistics(model, torch.tensor([[0.0, 3.0, -3.0, 1.0]])))


def test_layers_are_listed_as_they_run_and_calls_are_counted() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.act = nn.ReLU(inplace=True)
            self.last = nn.Linear(2, 2)
            self.first = nn.Linear(2, 2)
            self.alias = self.first

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"logits": self.act(self.last(self.act(self.first(x))))}

    torch.manual_seed(0)
    model, x = Block(), torch.rand(3, 2)
    table = activation_statistics(model, x, batch_size=2)
    assert [row.layer for row in table] == ["first", "act", "last", "act:1"]
    assert table[0].mean == pytest.approx(model.first(x).mean().item())  # before ReLU overwrote it
    assert [row.layer for row in activation_statistics(model, x, "alias")] == ["alias"]
    assert [row.layer for row in activation_statistics(model, x, ["a*t"])] == ["act", "act:1"]


def test_a_first_layer_in_place_leaves_the_images_alone() -> None:
    images = torch.tensor([[-1.0, 2.0]])
    row = activation_statistics(nn.Sequential(nn.ReLU(inplace=True)), images)[0]
    assert row.zeros == 0.5
    assert images.tolist() == [[-1, 2]]


def test_nothing_is_left_behind(untouched_by: object) -> None:
    untouched_by(lambda model, images, labels: activation_statistics(model, images))


class Odd(nn.Module):
    """Returns what a function makes of the inputs."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> object:
        return self.function(x)


def test_what_has_no_statistics_is_an_error() -> None:
    model, images = SmallCNN(), torch.rand(2, 1, 10, 10)
    with pytest.raises(DataError, match="N of at least 1"):
        activation_statistics(model, images[:0])
    with pytest.raises(LayerError, match="unknown layer"):
        activation_statistics(model, images, "conv7")
    for function, said in (
        (lambda x: {"x": x}, "returns dict, not a tensor"),
        (lambda x: x.sum(), "one number for all images"),
        (lambda x: x * 1j, "complex numbers"),
    ):
        with pytest.raises(LayerError, match=said):
            activation_statistics(nn.Sequential(Odd(function)), images)
    assert len(activation_statistics(nn.Sequential(Odd(lambda x: x[:, :0])), images)) == 0
    with pytest.raises(UsageError, match="takes 2 inputs"):
        activation_statistics(nn.Bilinear(2, 2, 1), torch.rand(2, 2))


ROWS = [
    ActivationRow("fc1", "Linear", 1.0, 2.0, 0.25, 0, None, -4.0, 6.0, 1.0),
    ActivationRow("tanh", "Tanh", 0.1, 0.7, 0.0, 0, 0.5, -1.0, 1.0, 1.0),
]


def test_lines_and_bars_have_the_values_given() -> None:
    figure = plot_activations(ROWS)
    left, right = figure.axes
    assert [t.get_text() for t in left.get_yticklabels()] == ["fc1  (Linear)", "tanh  (Tanh)"]
    assert left.get_ylim()[0] > left.get_ylim()[1]  # the first at the top
    assert [(b.get_x(), b.get_width()) for b in left.patches] == [
        (-1.0, 4.0),
        (pytest.approx(-0.6), pytest.approx(1.4)),
    ]
    assert left.collections[0].get_segments()[0][:, 0].tolist() == [-4, 6]
    assert left.lines[0].get_xdata().tolist() == [1.0, 0.1]
    assert [b.get_width() for b in right.patches] == [25, 0, 50]
    middles = [b.get_y() + b.get_height() / 2 for b in right.patches]
    assert middles == pytest.approx([0, 0.85, 1.15])  # a layer that saturates has two bars
    assert [t.get_text() for t in right.texts] == ["25.0", "0.0", "50.0"]
    names = [t.get_text() for t in figure.legends[0].get_texts()]
    assert names[-2:] == ["zeros", "saturated"]
    figure.draw_without_rendering()
    assert [t.get_text() for t in plot_activations(ROWS[:1]).legends[0].get_texts()][-1] == "zeros"


def test_no_rows_are_an_error() -> None:
    with pytest.raises(DataError, match="no layer has run"):
        plot_activations([])
