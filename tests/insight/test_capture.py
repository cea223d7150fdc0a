"""Recording: what hooks see is what the model computed, and nothing is left behind."""

import pytest
import torch
from torch import nn

from conftest import SmallCNN
from lenetscope.errors import DataError, LayerError
from lenetscope.insight import (
    Capture,
    ParameterRecord,
    filters_of,
    find_layers,
    recorded,
    summarize,
)
from lenetscope.models import LeNet


def hooks_on(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def test_outputs_are_those_of_the_layers_over_all_batches() -> None:
    model = SmallCNN().eval()
    images = torch.rand(7, 1, 10, 10)
    with Capture(model, ["conv1", "fc"]) as seen:
        assert seen.outputs("fc") is None
        for batch in images.split(3):
            model(batch)
    assert torch.equal(
        torch.from_numpy(seen.outputs("fc")), torch.cat([model(b) for b in images.split(3)])
    )
    assert seen.outputs("conv1").shape == (7, 4, 10, 10)
    assert hooks_on(model) == 0
    model(images)
    assert len(seen.outputs("fc")) == 7


def test_hooks_go_also_when_the_model_raises() -> None:
    model = SmallCNN()
    with pytest.raises(RuntimeError), Capture(model, ["conv1", "fc"]) as seen:
        model(torch.rand(1, 1, 3, 3))
    assert hooks_on(model) == 0
    assert seen.outputs("conv1").shape == (1, 4, 3, 3)


def test_what_was_recorded_is_a_copy() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(inplace=True))
    with Capture(model, ["0"]) as seen:
        model(torch.tensor([[1.0, -3.0]]))
    before = seen.outputs("0").copy()
    assert (before == model[0](torch.tensor([[1.0, -3.0]])).detach().numpy()).all()


def test_half_precision_is_recorded_as_float32() -> None:
    wrapped = nn.Sequential(nn.Linear(2, 2))
    with Capture(wrapped, ["0"]) as seen, torch.autocast("cpu", dtype=torch.bfloat16):
        wrapped(torch.rand(3, 2))
    assert seen.outputs("0").dtype == "float32"


def test_an_alias_of_a_shared_layer_is_a_name() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu1 = nn.ReLU()
            self.relu2 = self.relu1

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.relu2(self.relu1(x) - 1)

    model = Shared()
    with Capture(model, ["relu2"]) as seen:
        model(torch.tensor([[3.0]]))
    assert seen.names == ["relu2", "relu2:1"]
    assert [seen.outputs(n).item() for n in seen.names] == [3, 2]


def test_what_cannot_be_recorded_is_told() -> None:
    lstm = nn.Sequential(nn.LSTM(2, 3))
    with Capture(lstm, ["0"]) as seen:
        lstm(torch.rand(4, 1, 2))
    assert seen.outputs("0").shape == (4, 1, 3)  # the first of what it puts out
    with pytest.raises(LayerError, match="unknown recorded layer"):
        seen.outputs("1")

    wrapped = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1))
    with Capture(wrapped, ["0"]) as seen:
        wrapped(torch.rand(1, 1, 3, 3))
        wrapped(torch.rand(1, 1, 4, 4))
    with pytest.raises(LayerError, match="differ in shape between batches"):
        seen.outputs("0")

    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"x": x}

    odd = nn.Sequential(Odd())
    with Capture(odd, ["0"]), pytest.raises(LayerError, match="puts out dict, not a tensor"):
        odd(torch.rand(1))
    assert hooks_on(odd) == 0
    with pytest.raises(DataError, match="nothing has gone through"):
        recorded({"a": None}, "a")


def test_the_budget_counts_bytes_and_says_so_once() -> None:
    model = nn.Sequential(nn.Linear(2, 8))
    with (
        pytest.warns(UserWarning, match="recording stopped") as warned,
        Capture(model, "0", 100) as seen,
    ):
        for _ in range(5):
            model(torch.rand(1, 2))
    assert len(seen.outputs("0")) == 3  # of 32 bytes each
    assert len(warned) == 1


def test_gradients_and_parameters_are_those_of_plain_torch() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    model[0].bias.requires_grad_(False)
    x = torch.rand(4, 2)
    with ParameterRecord(model, ["0"], gradients=True) as g, ParameterRecord(model, ["0"]) as p:
        model(x).sum().backward()
    assert list(g.values["0"]) == ["weight"]
    assert torch.equal(torch.from_numpy(g.values["0"]["weight"][0]), model[0].weight.grad)
    assert torch.equal(torch.from_numpy(p.values["0"]["weight"][0]), model[0].weight.detach())
    model(x).sum().backward()
    assert len(g.values["0"]["weight"]) == len(p.values["0"]["bias"]) == 1


def test_layers_are_found_by_exact_name_only() -> None:
    model = nn.Sequential(nn.Sequential(nn.Linear(2, 2)))
    assert list(find_layers(model, "0.0")) == ["0.0"]
    for name in ("", "0.0.0", "Linear"):
        with pytest.raises(LayerError, match="unknown layer"):
            find_layers(model, [name])


def test_filters_are_the_weights_of_a_convolution() -> None:
    model = LeNet()
    assert (filters_of(model, "conv2") == model.conv2.weight.detach().numpy()).all()
    with pytest.raises(
        LayerError, match="is a Linear and has no filters; those that have some: 'conv1' or"
    ):
        filters_of(model, "fc1")
    with pytest.raises(LayerError, match="has no filters.$"):
        filters_of(nn.Sequential(nn.ReLU()), "0")


def test_the_summary_lists_layers_as_they_run() -> None:
    model = LeNet().train()
    rows = summarize(model, (1, 28, 28))
    assert [row.name for row in rows] == [name for name, _ in model.named_children()]
    assert sum(row.parameters for row in rows) == 421_642
    assert (rows[0].kind, rows[0].shape, rows[0].parameters) == ("Conv2d", (32, 28, 28), 320)
    assert model.training
    assert hooks_on(model) == 0
    relu = nn.ReLU()
    twice = summarize(nn.Sequential(nn.Linear(2, 2), relu, relu), (2,))
    assert [row.name for row in twice] == ["0", "1", "1"]
