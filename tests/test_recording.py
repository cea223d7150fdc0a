"""Recording: what is kept is what the model computed, within a budget, and nothing is left behind."""

import contextlib

import numpy as np
import pytest
import torch
from torch import nn

from conftest import SmallCNN
from lenetscope.errors import DataError, LayerError, UsageError
from lenetscope.recording import ParameterRecord, capture


def hooks_on(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def traces(model: nn.Module) -> tuple:
    """What must be the same before and after looking."""
    return (
        hooks_on(model),
        [m.training for m in model.modules()],
        [None if p.grad is None else p.grad.clone() for p in model.parameters()],
        torch.get_rng_state(),
        np.random.get_state()[1].tolist(),
    )


def same(first: tuple, second: tuple) -> bool:
    gradients = zip(first[2], second[2], strict=True)
    return (
        first[:2] == second[:2]
        and all((a is None and b is None) or torch.equal(a, b) for a, b in gradients)
        and torch.equal(first[3], second[3])
        and first[4] == second[4]
    )


class Residual(nn.Module):
    """conv, relu, conv, relu with a shortcut: the same ReLU twice, as in a ResNet."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 1, 3, padding=1)
        self.conv2 = nn.Conv2d(1, 1, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.norm = nn.BatchNorm2d(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(x + self.norm(self.conv2(self.relu(self.conv1(x)))))


class TwoInputs(nn.Module):
    """Two inputs, one by name, and a dictionary as output."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(2, 3), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor, *, other: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"logits": self.left(x) + self.right(input=other), "other": other}


def test_outputs_are_those_of_the_layers_over_all_batches() -> None:
    model = SmallCNN().eval()
    images = torch.rand(7, 1, 10, 10)
    with capture(model, ["conv1", "fc"]) as seen:
        assert len(seen) == 0
        for batch in images.split(3):
            model(batch)
    assert torch.equal(seen["fc"], torch.cat([model(b) for b in images.split(3)]))
    assert seen["conv1"].shape == (7, 4, 10, 10)
    assert {name: tuple(v.shape) for name, v in seen.items()} == {
        "conv1": (7, 4, 10, 10),
        "fc": (7, 3),
    }
    assert repr(seen).splitlines()[1:] == ["conv1    outputs (7, 4, 10, 10)", "fc       outputs (7, 3)"]
    assert ">outputs (7, 3)<" in seen._repr_html_()
    assert hooks_on(model) == 0
    model(images)
    assert len(seen["fc"]) == 7


def test_inputs_are_what_layers_are_given_before_they_change_it() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(inplace=True), nn.Linear(2, 1))
    x = torch.tensor([[1.0, -3.0]])
    with capture(model, what="inputs") as seen:
        model(x)
    before = model[0](x)
    assert torch.equal(seen["0"], x)
    assert torch.equal(seen["1"], before)
    assert torch.equal(seen["2"], before.relu())


def test_gradients_are_those_of_autograd() -> None:
    model = Residual()
    x = torch.rand(2, 1, 5, 5)
    with capture(model, ["conv1", "relu"], what="gradients") as seen:
        model(x).square().sum().backward()
    hidden = model.conv1(x)
    first = hidden.relu()
    last = (x + model.norm(model.conv2(first))).relu()
    wanted = torch.autograd.grad(last.square().sum(), [hidden, first, last])
    for name, gradient in zip(["conv1", "relu", "relu:1"], wanted, strict=True):
        assert torch.allclose(seen[name], gradient, atol=1e-6), name

    with capture(model, "conv1", what="gradients") as none, torch.no_grad():
        model(x)
    with pytest.raises(DataError, match="no gradient has come back"):
        none["conv1"]


@pytest.mark.parametrize("what", ["outputs", "inputs", "gradients"])
@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_left_behind_whatever_happens_inside(what: str, fails: bool) -> None:
    model = Residual().train()
    model.norm.eval()
    model(torch.rand(1, 1, 4, 4)).sum().backward()
    before = traces(model)

    class StopError(Exception):
        pass

    with contextlib.suppress(StopError), capture(model, what=what) as seen:
        model.eval()
        model(torch.rand(3, 1, 4, 4)).sum().backward()
        np.random.rand()
        model.zero_grad()
        if fails:
            raise StopError
    assert same(before, traces(model))
    assert set(seen) == {"conv1", "conv2", "relu", "relu:1", "norm"}


def test_hooks_go_also_when_the_model_raises() -> None:
    model = SmallCNN()
    with pytest.raises(RuntimeError), capture(model, ["conv1", "fc"]) as seen:
        model(torch.rand(1, 1, 3, 3))
    assert hooks_on(model) == 0
    assert seen["conv1"].shape == (1, 4, 3, 3)


def test_what_was_recorded_is_a_copy() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(inplace=True))
    with capture(model, ["0"]) as seen:
        model(torch.tensor([[1.0, -3.0]]))
    assert torch.equal(seen["0"], model[0](torch.tensor([[1.0, -3.0]])))
    assert not seen["0"].requires_grad


def test_half_precision_is_recorded_as_float32() -> None:
    wrapped = nn.Sequential(nn.Linear(2, 2))
    with capture(wrapped, ["0"]) as seen, torch.autocast("cpu", dtype=torch.bfloat16):
        wrapped(torch.rand(3, 2))
    assert seen["0"].dtype == torch.float32


def test_an_alias_of_a_shared_layer_is_a_name() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu1 = nn.ReLU()
            self.relu2 = self.relu1

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.relu2(self.relu1(x) - 1)

    model = Shared()
    with capture(model, ["relu2"]) as seen:
        model(torch.tensor([[3.0]]))
    assert seen.names == ["relu2", "relu2:1"]
    assert [seen[n].item() for n in seen.names] == [3, 2]


def test_a_model_of_two_inputs_and_a_dictionary_is_recorded() -> None:
    model = TwoInputs()
    x, other = torch.rand(5, 2), torch.rand(5, 4)
    with capture(model, what="inputs") as inputs, capture(model) as outputs:
        found = model(x, other=other)
    assert torch.equal(inputs["right"], other)
    assert torch.equal(outputs["left"] + outputs["right"], found["logits"])


def test_what_cannot_be_recorded_is_told() -> None:
    lstm = nn.Sequential(nn.LSTM(2, 3))
    with capture(lstm, ["0"]) as seen:
        lstm(torch.rand(4, 1, 2))
    assert seen["0"].shape == (4, 1, 3)  # the first of what it puts out
    with pytest.raises(LayerError, match="unknown recorded layer"):
        seen["1"]

    wrapped = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1))
    with capture(wrapped, ["0"]) as seen:
        wrapped(torch.rand(1, 1, 3, 3))
        wrapped(torch.rand(1, 1, 4, 4))
    with pytest.raises(LayerError, match="differ in shape between batches"):
        seen["0"]

    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"x": x}

    odd = nn.Sequential(Odd())
    with capture(odd, ["0"]), pytest.raises(LayerError, match="returns dict, not a tensor"):
        odd(torch.rand(1))
    assert hooks_on(odd) == 0
    with pytest.raises(DataError, match="nothing has gone through layer '0'"):
        capture(odd, "0")["0"]
    with pytest.raises(UsageError, match="'weights' is not one of"):
        capture(odd, what="weights")


def test_the_budget_counts_bytes_and_says_so_once() -> None:
    model = nn.Sequential(nn.Linear(2, 8))
    with (
        pytest.warns(UserWarning, match="recording stopped") as warned,
        capture(model, "0", max_bytes=100) as seen,
    ):
        for _ in range(5):
            model(torch.rand(1, 2))
    assert len(seen["0"]) == 3  # of 32 bytes each
    assert len(warned) == 1


def test_a_recording_that_stops_has_the_same_images_of_every_layer() -> None:
    model = nn.Sequential(nn.Linear(2, 8), nn.Linear(8, 4))
    with pytest.warns(UserWarning, match="recording stopped"), capture(model, max_bytes=300) as seen:
        for _ in range(5):  # 2 images are 64 and 32 bytes: the fourth pass fits in half
            model(torch.rand(2, 2))
    assert len(seen["0"]) == len(seen["1"]) == 6


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_a_sample_is_even_and_of_the_same_rows_in_every_layer(batch: int) -> None:
    model = nn.Sequential(nn.Linear(1, 8), nn.Linear(8, 4))
    numbers = torch.arange(100.0)[:, None]
    with capture(model, ["0", "1"], max_bytes=1200, when_full="sample", what="inputs") as seen:
        for part in numbers.split(batch):
            model(part)
    assert seen["0"].flatten().tolist() == numbers.flatten()[:: seen.stride].tolist()
    assert torch.allclose(seen["1"], model[0](numbers[:: seen.stride]), atol=1e-5)
    assert seen.stride > 1
    assert sum(4 * v.numel() for v in seen.values()) == seen.used <= 1200


def test_a_budget_below_one_row_stops() -> None:
    model = nn.Sequential(nn.Linear(1, 8))
    with (
        pytest.warns(UserWarning, match="recording stopped"),
        capture(model, max_bytes=10, when_full="sample") as seen,
    ):
        model(torch.rand(3, 1))
    assert len(seen) == 0


def test_gradients_and_parameters_are_those_of_plain_torch() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    model[0].bias.requires_grad_(False)
    x = torch.rand(4, 2)
    g, p = (ParameterRecord(model, ["0"], gradients=each) for each in (True, False))
    model(x).sum().backward()
    g.remove()
    p.remove()
    assert list(g.values["0"]) == ["weight"]
    assert torch.equal(torch.from_numpy(g.values["0"]["weight"][0]), model[0].weight.grad)
    assert torch.equal(torch.from_numpy(p.values["0"]["weight"][0]), model[0].weight.detach())
    model(x).sum().backward()
    assert len(g.values["0"]["weight"]) == len(p.values["0"]["bias"]) == 1
