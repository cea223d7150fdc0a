"""Statistics of what layers put out: against NumPy on everything at once, and by hand."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from conftest import SmallCNN
from lenetscope.errors import DataError, LayerError, UsageError
from lenetscope.insight.activations import activations, saturation
from lenetscope.models import LeNet


@pytest.mark.parametrize("batch_size", [1, 7, 250])
def test_the_figures_are_those_of_numpy_over_all_images(batch_size: int) -> None:
    torch.manual_seed(0)
    model, images = LeNet().eval(), torch.rand(23, 1, 28, 28)
    table = activations(model, images, batch_size=batch_size)
    assert [row.layer for row in table] == [name for name, _ in model.named_children()]
    x = images
    for row, layer in zip(table, model.children(), strict=True):
        x = layer(x)
        values = x.detach().double().numpy()
        assert row.kind == type(layer).__name__
        assert row.mean == pytest.approx(values.mean(), abs=1e-6)
        assert row.deviation == pytest.approx(values.std(), rel=1e-5)
        assert row.zeros == pytest.approx((values == 0).mean())
        assert row.lowest == pytest.approx(values.min(), rel=1e-5)
        assert row.highest == pytest.approx(values.max(), rel=1e-5)
        assert row.norm == pytest.approx(
            np.linalg.norm(values.reshape(23, -1), axis=1).mean(), rel=1e-5
        )
        assert row.saturated is None
        places = tuple(range(2, values.ndim))
        assert row.silent == (values == 0).all(axis=(0, *places)).sum()


def test_a_large_mean_does_not_drown_the_deviation() -> None:
    images = torch.tensor([[4.0], [7.0], [13.0], [16.0]]) + 1e6
    row = activations(nn.Sequential(nn.Identity()), images, batch_size=1)[0]
    assert row.mean == 1e6 + 10
    assert row.deviation == pytest.approx(22.5**0.5, rel=1e-9)


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
    row = activations(model, torch.tensor([[0.0, 3.0, -3.0, 1.0]]), "1")[0]
    assert (row.saturated, row.zeros) == (0.5, 0.25)
    assert "50.0%" in str(activations(model, torch.tensor([[0.0, 3.0, -3.0, 1.0]])))


def test_layers_stand_as_they_run_and_calls_are_counted() -> None:
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
    table = activations(model, x, batch_size=2)
    assert [row.layer for row in table] == ["first", "act", "last", "act:1"]
    assert table[0].mean == pytest.approx(model.first(x).mean().item())  # before ReLU overwrote it
    assert [row.layer for row in activations(model, x, "alias")] == ["alias"]
    assert [row.layer for row in activations(model, x, ["a*t"])] == ["act", "act:1"]


def test_images_and_first_layers_in_place() -> None:
    images = torch.tensor([[-1.0, 2.0]])
    row = activations(nn.Sequential(nn.ReLU(inplace=True)), images)[0]
    assert row.zeros == 0.5
    assert images.tolist() == [[-1, 2]]


def test_nothing_is_left_behind(untouched_by: object) -> None:
    untouched_by(lambda model, images, labels: activations(model, images))


def test_it_refuses_what_it_cannot_answer() -> None:
    model = SmallCNN()
    with pytest.raises(DataError, match="N of at least 1"):
        activations(model, torch.rand(0, 1, 10, 10))
    with pytest.raises(LayerError, match="unknown layer"):
        activations(model, torch.rand(1, 1, 10, 10), "conv7")

    class Odd(nn.Module):
        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"x": x}

    with pytest.raises(LayerError, match="puts out dict, not a tensor"):
        activations(nn.Sequential(Odd()), torch.rand(2, 2))

    class Total(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.sum()

    with pytest.raises(LayerError, match="one number for all images"):
        activations(nn.Sequential(Total()), torch.rand(2, 2))
    with pytest.raises(UsageError, match="takes 2 inputs"):
        activations(nn.Bilinear(2, 2, 1), torch.rand(2, 2))
