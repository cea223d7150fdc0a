"""Units switched off: by hand, and against a model whose unit really puts out zero."""

import copy

import pytest
import torch
from torch import Tensor, nn

from conftest import SmallCNN
from lenetscope.errors import DataError, LayerError, UsageError
from lenetscope.insight.ablation import ablate
from lenetscope.insight.replay import Replay
from lenetscope.insight.stream import find_layer
from lenetscope.models import LeNet


def errors_of(model: nn.Module, images: Tensor, labels: Tensor, classes: int) -> list[int]:
    with torch.no_grad():
        outputs = model(images)
    wrong = (outputs["logits"] if isinstance(outputs, dict) else outputs).argmax(1) != labels
    return [int((wrong & (labels == k)).sum()) for k in range(classes)]


def test_by_hand() -> None:
    # hidden units are the two inputs; class 0 if the first is larger
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    with torch.no_grad():
        for layer in model:
            layer.weight.copy_(torch.eye(2))
            layer.bias.zero_()
    images = torch.tensor([[3.0, 1.0], [1.9, 1.0], [1.0, 2.0], [0.5, 4.0]])
    labels = torch.tensor([0, 0, 1, 1])
    found = ablate(model, images, labels, "0", batch_size=3)
    assert found.errors["0"].tolist() == [[2, 0], [0, 2]]
    assert (found.baseline.tolist(), found.totals.tolist()) == ([0, 0], [2, 2])
    assert found.damage("0").tolist() == [[1, 0], [0, 1]]
    row = found.rows[0]
    assert (row.unit, row.errors, row.added, row.accuracy_drop) == (0, 2, 2, 0.5)
    assert (row.worst_class, row.worst_damage) == (0, 1.0)
    # the second image is 1.9 to 1, and wrong once its second input is the mean of all, 2
    assert ablate(model, images, labels, "0", fill="mean").errors["0"].tolist() == [[0, 0], [1, 0]]


@pytest.mark.parametrize("layer", ["conv1", "conv2"])
@pytest.mark.parametrize("batch_size", [9, 16])
def test_errors_are_those_of_a_network_without_the_unit(layer: str, batch_size: int) -> None:
    torch.manual_seed(0)
    model, images = LeNet((1, 8, 8), classes=4).eval(), torch.rand(16, 1, 8, 8)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)  # so that single units count
        model.fc2.bias.sub_(model(images).mean(0))  # so that it does not say the same of all
        labels = model(images).argmax(1)
    labels[:4] = (labels[:4] + 1) % 4
    found = ablate(model, images, labels, layer, batch_size=batch_size)
    assert found.baseline.tolist() == errors_of(model, images, labels, 4)
    for unit in range(0, len(found.errors[layer]), 5):
        without = copy.deepcopy(model)
        part = without.get_submodule(layer)
        with torch.no_grad():
            part.weight[unit], part.bias[unit] = 0, 0
        assert found.errors[layer][unit].tolist() == errors_of(without, images, labels, 4)
    ranked = [row.errors for row in found.rows]
    assert ranked == sorted(ranked, reverse=True)
    assert len(set(ranked)) > 1
    assert sorted(row.unit for row in found.rows) == list(range(len(found.errors[layer])))


class Residual(nn.Module):
    """Reuses its convolution and ReLU, works in place, and puts out a dictionary."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode
        self.stem = nn.Conv2d(1, 3, 3, padding=1)
        self.block = nn.ModuleDict({"conv": nn.Conv2d(3, 3, 3, padding=1)})
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(3, 4)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.stem(x)
        if self.mode == "in place":
            self.relu(x)  # for what it does to x alone
        elif self.mode == "method":
            x = self.stem.forward(x.mean(1, keepdim=True))
        for _ in range(2):
            x = x + self.relu(self.block["conv"](x))
        return {"logits": self.head(x.mean(dim=(2, 3)))}


@pytest.mark.parametrize("mode", ["plain", "in place", "method"])
@pytest.mark.parametrize("name", ["stem", "block.conv", "block.conv:1", "relu:1"])
@pytest.mark.parametrize("fill", ["zero", "mean"])
def test_any_model_answers_as_with_a_plain_hook(mode: str, name: str, fill: str) -> None:
    torch.manual_seed(3)
    model, images, labels = Residual(mode).eval(), torch.rand(12, 1, 6, 6), torch.arange(12) % 4
    base, _, call = name.partition(":")
    # relu runs once before the blocks in the mode "in place"
    wanted = int(call or 0)
    found = ablate(model, images, labels, name, fill=fill, batch_size=5)
    for unit in range(3):
        seen: list[Tensor] = []

        def off(_m: nn.Module, _i: object, out: Tensor, unit: int = unit, seen: list = seen) -> Tensor:
            seen.append(out.clone())
            if len(seen) - 1 == wanted:
                out = out.clone()
                out[:, unit] = out[:, unit].mean(0) if fill == "mean" else 0
            return out

        handle = model.get_submodule(base).register_forward_hook(off)
        expected = errors_of(model, images, labels, 4)
        handle.remove()
        assert found.errors[name][unit].tolist() == expected, unit


def test_what_comes_before_is_computed_once_where_it_can_be() -> None:
    torch.manual_seed(0)
    model, images = LeNet().eval(), torch.rand(3, 1, 28, 28)
    runs = []
    forward = nn.Conv2d._conv_forward
    counting = nn.Conv2d(1, 32, 3, padding=1)
    counting._conv_forward = lambda *a: runs.append(1) or forward(counting, *a)
    model.conv1 = counting
    with torch.no_grad():
        replay = Replay(model, find_layer(model, "conv2"), images)
        assert replay.from_memory
        assert len(runs) == 1
        assert torch.equal(replay.run(replay.values.clone()), model(images))
        assert len(runs) == 2  # of the line above
        in_place = Residual("in place").eval()
        assert not Replay(
            in_place, find_layer(in_place, "block.conv"), torch.rand(2, 1, 6, 6)
        ).from_memory
    assert not any("forward" in vars(m) for m in model.modules())


def test_a_forward_of_its_own_is_put_back() -> None:
    model = SmallCNN().eval()
    mine = model.conv1.forward
    model.conv1.forward = mine
    ablate(model, torch.rand(3, 1, 10, 10), torch.arange(3), "relu1")
    assert vars(model.conv1)["forward"] is mine


def test_all_convolutions_are_ranked_together_and_progress_is_shown() -> None:
    torch.manual_seed(0)
    model, images, labels = LeNet((1, 4, 4)), torch.rand(4, 1, 4, 4), torch.arange(4)
    steps: list[int] = []

    def track(items: list) -> list:
        steps.append(len(items))
        return items

    found = ablate(model, images, labels, batch_size=2, track=track)
    assert list(found.errors) == ["conv1", "conv2"]
    assert len(found.rows) == 96
    assert steps == [4]
    assert found.rows._repr_html_() == found._repr_html_()
    assert str(found) == str(found.rows)


def test_nothing_is_left_behind(untouched_by: object) -> None:
    untouched_by(lambda model, images, labels: ablate(model, images, labels, ["conv1", "fc"]))
    untouched_by(lambda model, images, labels: ablate(model, images, labels, "relu1", fill="mean"))


def test_it_refuses_what_it_cannot_answer() -> None:
    model, images, labels = SmallCNN(), torch.rand(3, 1, 10, 10), torch.arange(3)
    with pytest.raises(UsageError, match="'median' is none of 'zero' or 'mean'"):
        ablate(model, images, labels, fill="median")
    with pytest.raises(DataError, match=r"labels must be \(3,\) integers"):
        ablate(model, images, labels[:2])
    with pytest.raises(
        DataError, match="labels go from 0 to 3, and the network has outputs for 0 to 2"
    ):
        ablate(model, images, torch.tensor([0, 3, 1]))
    with pytest.raises(UsageError, match=r"puts out \(3, 1\); errors of classes"):
        ablate(SmallCNN(outputs=1), images, labels)
    with pytest.raises(LayerError, match="has no convolution"):
        ablate(nn.Linear(2, 2), torch.rand(3, 2), labels)
    with pytest.raises(LayerError, match="the layer runs 1 times"):
        ablate(model, images, labels, "relu1:1")
    with pytest.raises(LayerError, match="unknown layer 'conv3'"):
        ablate(model, images, labels, "conv3")

    class Flat(SmallCNN):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * self.relu1(x.flatten(1).sum(1))[:, None]

    with pytest.raises(LayerError, match="no units"):
        ablate(Flat(), images, labels, "relu1:1")
