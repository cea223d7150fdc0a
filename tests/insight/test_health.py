"""Dead units, gradients and update ratios: by hand, against plain PyTorch, and on networks made ill."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from conftest import SmallCNN
from lenetscope import Recipe
from lenetscope.datasets import Preprocess, load
from lenetscope.errors import DataError, LayerError, UsageError
from lenetscope.insight.health import LayerHealth, health, health_over_time
from lenetscope.insight.health_warnings import health_warnings
from lenetscope.models.lenet import LeNet
from lenetscope.tables import Table
from lenetscope.training.updates import UpdateRatios

CE = nn.CrossEntropyLoss()


def row(table: Table[LayerHealth], layer: str) -> LayerHealth:
    return next(r for r in table if r.layer == layer)


def by_hand() -> nn.Sequential:
    """Return a layer whose four units are 1-x, x-0.985, -5 and 7, cut off at zero, and a second one."""
    model = nn.Sequential(nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, 2))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[-1.0], [1.0], [0.0], [0.0]]))
        model[0].bias.copy_(torch.tensor([1.0, -0.985, -5.0, 7.0]))
        model[2].weight.zero_()
        model[2].bias.copy_(torch.tensor([-1.0, 2.0]))
    return model


def test_by_hand() -> None:
    x = torch.arange(200)[:, None] / 200  # 0 to 0.995: only the last two are above 0.985
    labels = torch.zeros(200, dtype=torch.long)
    table = health(by_hand(), x, labels, CE, updates={"0.weight": 0.5, "0.bias": 0.1}, batch_size=7)
    first, last = table
    assert (first.layer, first.kind, first.judged_by, first.units) == ("0", "Linear", "1", 4)
    assert first.dead == 2  # -5 is never above zero, 7 never anything else
    assert first.nearly_dead == 0  # 2 of 200 images are 1 %, not less
    assert row(health(by_hand(), x[:-1], labels[:-1], CE), "0").nearly_dead == 1  # 1 of 199
    lengths = [math.hypot(1 - v, max(v - 0.985, 0), 7) for v in x.flatten().tolist()]
    assert first.norm == pytest.approx(sum(lengths) / 200)
    assert first.update == 0.5  # of the weight; the bias is smaller
    assert first.gradient == 0.0  # the weights behind are zero
    assert (last.judged_by, last.dead, last.nearly_dead, last.update) == ("2", 2, None, None)
    assert last.images == 200


def test_counts_and_gradients_are_those_of_plain_torch() -> None:
    torch.manual_seed(1)
    model = LeNet()
    with torch.no_grad():
        model.conv1.bias[:3] = -100.0
        model.conv2.bias[5] = -100.0
        model.fc1.bias[:20] -= 0.6
    x, labels = torch.rand(300, 1, 28, 28) * 2 - 1, torch.arange(300) % 10
    table = health(model, x, labels, CE, gradient_images=130, batch_size=64)
    model.eval()
    CE(model(x[:130]), labels[:130]).backward()
    with torch.no_grad():
        # ReLU before the pooling, as everybody writes it
        a1 = functional.relu(model.conv1(x))
        p1 = functional.max_pool2d(a1, 2)
        p2 = functional.max_pool2d(functional.relu(model.conv2(p1)), 2)
        a3 = functional.relu(model.fc1(p2.flatten(1)))
    for name, judge, answers in (("conv1", "relu1", p1), ("conv2", "relu2", p2), ("fc1", "relu3", a3)):
        on = answers.flatten(2).amax(2) > 0 if answers.ndim == 4 else answers > 0
        found, layer = row(table, name), model.get_submodule(name)
        assert found.judged_by == judge
        assert found.dead == int((on.sum(0) == 0).sum())
        assert found.nearly_dead == int(((on.sum(0) > 0) & (on.sum(0) < 3)).sum())
        assert found.norm == pytest.approx(answers.flatten(1).norm(dim=1).mean().item(), rel=1e-5)
        both = torch.cat([layer.weight.grad.flatten(), layer.bias.grad])
        assert found.gradient == pytest.approx(both.norm().item(), rel=1e-4)
    assert row(table, "conv1").dead == 3
    assert row(table, "conv2").dead >= 1
    assert [r.layer for r in table] == ["conv1", "conv2", "fc1", "fc2"]


@pytest.mark.parametrize("batch", [1, 7, 50, 300])
def test_the_size_of_a_batch_changes_no_count(batch: int) -> None:
    torch.manual_seed(0)
    model, x, labels = SmallCNN(), torch.randn(50, 1, 10, 10), torch.arange(50) % 3
    with torch.no_grad():
        model.conv1.bias[:2] = torch.tensor([-9.0, -1.0])
    whole, parts = health(model, x, labels, CE), health(model, x, labels, CE, batch_size=batch)
    assert whole[0].dead >= 1
    for one, other in zip(whole, parts, strict=True):
        assert (one.dead, one.nearly_dead, one.units) == (other.dead, other.nearly_dead, other.units)
        assert one.norm == pytest.approx(other.norm, rel=1e-5)
        assert one.gradient == pytest.approx(other.gradient, rel=1e-4)


class Functions(nn.Module):
    """Activations as functions, one layer used twice, normalisation in between, a sum at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.twice, self.side = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.never, self.last = nn.Linear(2, 2), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = functional.max_pool2d(functional.relu_(self.norm(self.first(x))), 2)
        x = self.twice(self.twice(x).relu()).clamp(min=0) + self.side(x)
        return {"logits": self.last(functional.gelu(x).mean(dim=(2, 3)))}


def test_activations_are_found_however_they_are_written() -> None:
    torch.manual_seed(0)
    model = Functions()
    with torch.no_grad():
        model.norm.bias.copy_(torch.tensor([-99.0, 0.0, 0.0]))
    x, labels = torch.randn(20, 1, 8, 8), torch.arange(20) % 2
    table = health(model, x, labels, CE)
    judges = {r.layer: r.judged_by for r in table}
    assert judges == {
        "first": "relu()",
        "norm": "relu()",
        "twice": "relu()",
        "side": "side",
        "last": "last",
    }
    assert (
        row(table, "first").dead == row(table, "norm").dead == 1
    )  # both by what normalisation lets on
    with torch.no_grad():
        model.eval()
        a = functional.max_pool2d(model.norm(model.first(x)).relu(), 2)
        b = model.twice(a).relu()
        c = model.twice(b).relu()
    lengths = [v.flatten(1).norm(dim=1).mean().item() for v in (b, c)]
    assert row(table, "twice").norm == pytest.approx(sum(lengths) / 2, rel=1e-5)
    silent = (b.amax((0, 2, 3)) == 0) & (c.amax((0, 2, 3)) == 0)
    assert row(table, "twice").dead == int(silent.sum())


def test_units_of_sequences_are_the_last_dimension() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Flatten(), nn.Linear(30, 2))
    with torch.no_grad():
        model[0].bias[0] = -99.0
    table = health(model, torch.rand(9, 5, 4), torch.arange(9) % 2, CE)
    assert (table[0].units, table[0].dead >= 1) == (6, True)


def test_an_activation_in_place_does_not_spoil_what_was_seen() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(4, 30), nn.ReLU(), nn.Linear(30, 3))
    odd = nn.Sequential(plain[0], nn.ReLU(inplace=True), plain[2])
    x, labels = torch.randn(40, 4) - 1, torch.arange(40) % 3
    before = x.clone()
    assert health(plain, x, labels, CE) == health(odd, x, labels, CE)
    health(nn.Sequential(nn.ReLU(inplace=True), nn.Linear(4, 3)), x, labels, CE)
    assert torch.equal(x, before)


def test_frozen_layers_have_no_gradient() -> None:
    model = SmallCNN()
    model.conv1.requires_grad_(False)
    table = health(model, torch.rand(9, 1, 10, 10), torch.arange(9) % 3, CE)
    assert table[0].gradient is None
    assert table[1].gradient is not None


def state_of(model: nn.Module) -> tuple:
    hooks = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())
    gradients = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    modes = [m.training for m in model.modules()]
    return hooks, modes, [p.requires_grad for p in model.parameters()], gradients


@pytest.mark.parametrize("fails", [None, "forward", "loss"])
def test_the_model_is_as_before_also_when_it_fails(fails: str | None) -> None:
    model = SmallCNN().train()
    model.relu1.eval()
    model.conv1.weight.grad = torch.ones_like(model.conv1.weight)
    x, labels = torch.rand(10, 1, 10, 10), torch.arange(10) % 3
    passes = 0

    def breaks(*_given: object) -> None:
        nonlocal passes
        passes += 1
        torch.rand(3)
        if fails == "forward" and passes == 3:
            raise RuntimeError("broken")

    def loss(outputs: Tensor, truth: Tensor) -> Tensor:
        if fails == "loss":
            raise RuntimeError("broken")
        return CE(outputs, truth)

    handle = model.pool.register_forward_hook(breaks)
    hooks, modes, flags, gradients = state_of(model)
    weights = {k: v.clone() for k, v in model.state_dict().items()}
    stream = torch.get_rng_state()
    if fails:
        with pytest.raises(RuntimeError, match="broken"):
            health(model, x, labels, loss, batch_size=4)
    else:
        health(model, x, labels, loss, batch_size=4)
    now = state_of(model)
    assert now[:3] == (hooks, modes, flags)
    for mine, theirs in zip(now[3], gradients, strict=True):
        assert (mine is None and theirs is None) or torch.equal(mine, theirs)
    assert all(torch.equal(v, weights[k]) for k, v in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), stream)
    handle.remove()
    assert torch.overrides._get_current_function_mode_stack() == []


def test_what_cannot_be_looked_at_is_told() -> None:
    x, labels = torch.rand(4, 1, 10, 10), torch.arange(4) % 3
    for images, truth in ((x[:1], labels[:1]), (x, labels[:3])):
        with pytest.raises(DataError, match="at least two images, a label for each"):
            health(SmallCNN(), images, truth, CE)
    with pytest.raises(DataError, match="gradient_images=0"):
        health(SmallCNN(), x, labels, CE, gradient_images=0)
    with pytest.raises(DataError, match="a label is out of range"):
        health(SmallCNN(), x, labels + 3, CE)
    with pytest.raises(LayerError, match="no layer inside the model has parameters"):
        health(nn.Sequential(nn.Flatten()), x, labels, CE)

    class Two(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return x + y

    with pytest.raises(UsageError, match="takes 2 inputs"):
        health(Two(), x, labels, CE)


def test_over_time_is_one_table_an_epoch() -> None:
    models = {0: SmallCNN(), 3: SmallCNN()}
    x, labels = torch.rand(9, 1, 10, 10), torch.arange(9) % 3
    seen: list[int] = []

    def track(items: list[int]) -> list[int]:
        seen.extend(items)
        return items

    told = health_over_time(
        [0, 3], models.__getitem__, x, labels, CE, updates={3: {"fc.weight": 0.25}}, track=track
    )
    assert seen == list(told) == [0, 3]
    assert told[0] == health(models[0], x, labels, CE)
    assert [told[0][1].update, told[3][1].update] == [None, 0.25]
    assert "judged by" in str(told[0])


def trained(make_arch, lr: float, epochs: int = 4) -> tuple[nn.Module, dict[str, float | None]]:
    arch, updates = make_arch(lr=lr), UpdateRatios()
    arch.train(epochs, callbacks=[updates], progress=False)
    return arch.model, updates.rows[-1].typical()


def test_nothing_is_said_of_a_healthy_network(make_arch, digits) -> None:
    model, updates = trained(make_arch, lr=0.01)
    assert health_warnings(health(model, *digits, CE, updates=updates)) == []
    test = load(Recipe.load("seed")).test
    images, labels = Preprocess((0.5,), (0.5,))(test.images[:1000]), test.labels[:1000]
    torch.manual_seed(0)
    before = health(LeNet(), images, labels, CE)
    assert health_warnings(before, trained=False) == []
    assert row(before, "fc1").dead > 12.8  # a tenth: after training it would be told of
    assert [text.split(":")[0] for text in health_warnings(before)] == ["fc1"]


def test_dead_filters_are_told_of(make_arch, digits) -> None:
    model = make_arch().model
    with torch.no_grad():
        model.conv1.bias[:2] = -100.0
    (said,) = health_warnings(health(model, *digits, CE))
    assert said.startswith("conv1: 2 of 4 filters answered nothing in 50 images")
    with torch.no_grad():
        model.conv1.bias.fill_(-100.0)
    said = health_warnings(health(model, *digits, CE))
    assert [text.split(",")[0].split(" in ")[0] for text in said] == [
        "conv1: 4 of 4 filters answered nothing",
        "fc: 3 of 3 units put out one and the same number",
        "conv1: no gradient arrives",
    ]


def test_a_learning_rate_too_high_or_too_low_is_told_of(make_arch, digits) -> None:
    model, updates = trained(make_arch, lr=20.0, epochs=1)
    said = health_warnings(health(model, *digits, CE, updates=updates))
    assert any(
        "one step moves the weights by" in text and "Lower the learning" in text for text in said
    )
    model, updates = trained(make_arch, lr=1e-8, epochs=1)
    said = health_warnings(health(model, *digits, CE, updates=updates))
    assert [text.split(":")[0] for text in said] == ["conv1", "fc"]
    assert all("stands still" in text for text in said)


def test_weights_of_zero_are_told_of(make_arch, digits) -> None:
    model = make_arch().model
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    said = health_warnings(health(model, *digits, CE))
    assert said[0].startswith("conv1: 4 of 4 filters answered nothing")
    assert any("conv1: no gradient arrives" in text for text in said)


def deep(activation: type[nn.Module], gain: float) -> nn.Module:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for _ in range(8):
        layers += [nn.Linear(30, 30), activation()]
    model = nn.Sequential(*layers, nn.Linear(30, 3))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(gain)
    return model


def test_gradients_that_vanish_or_explode_are_told_of() -> None:
    x, labels = torch.randn(60, 30), torch.arange(60) % 3
    said = health_warnings(health(deep(nn.Sigmoid, 1.0), x, labels, CE))
    assert any(text.startswith("the gradient of 0 is ") and "vanish" in text for text in said)
    assert not any("explode" in text for text in said)

    class Shrinks(nn.Module):
        """Makes the signal larger on its way, so that the gradient grows on its way back."""

        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(30, 30), nn.Linear(30, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(1e-4 * (1e8 * self.first(1e-2 * x)).sin())

    said = health_warnings(health(Shrinks(), x, labels, CE))
    assert any("of last is" in text and "explode" in text for text in said)


def test_numbers_that_are_none_are_told_of() -> None:
    model = SmallCNN()
    with torch.no_grad():
        model.conv1.weight[0] = float("nan")
    said = health_warnings(health(model, torch.rand(9, 1, 10, 10), torch.arange(9) % 3, CE))
    assert said[0].startswith("conv1: its answers are not finite numbers.")
    assert "the gradient is not a finite number" in said[-1]


def test_units_that_hardly_answer_are_told_of() -> None:
    rows = [LayerHealth("fc1", "Linear", "relu", 100, 8, 20, 1.0, 1.0, 1e-3, 10_000)]
    (said,) = health_warnings(rows)
    assert said.startswith("fc1: 28 of 100 units answered on less than 1 % of 10,000 images.")
    assert health_warnings(rows, trained=False) == []
    rows = [LayerHealth("fc1", "Linear", "relu", 100, 10, 15, 1.0, 1.0, 1e-3, 10_000)]
    assert health_warnings(rows) == []
