"""Dead units, gradients and update ratios: by hand, against plain PyTorch, and on sick networks."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from conftest import SmallCNN
from lenetscope import Recipe
from lenetscope.data.preprocess import Preprocess
from lenetscope.data.splits import load
from lenetscope.errors import DataError, LayerError, UsageError
from lenetscope.models.lenet import LeNet
from lenetscope.questions import health
from lenetscope.questions.health import LayerHealth, health_warnings, layer_health, plot_health
from lenetscope.table import Table
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
    updates = {"0.weight": 0.5, "0.bias": 0.1}
    first, last = layer_health(by_hand(), x, labels, CE, updates=updates, batch_size=7)
    assert (first.layer, first.kind, first.judged_by, first.units) == ("0", "Linear", "1", 4)
    assert first.dead == 2  # -5 is never above zero, 7 never anything else
    assert first.rarely_active == 0  # 2 of 200 images are 1 %, not less
    assert layer_health(by_hand(), x[:-1], labels[:-1], CE)[0].rarely_active == 1  # 1 of 199
    lengths = [math.hypot(1 - v, max(v - 0.985, 0), 7) for v in x.flatten().tolist()]
    assert first.norm == pytest.approx(sum(lengths) / 200)
    assert first.update == 0.5  # of the weight; the bias is smaller
    assert first.gradient == 0.0  # the later weights are zero
    assert (last.judged_by, last.dead, last.rarely_active, last.update) == ("2", 2, None, None)
    assert last.images == 200


def test_counts_and_gradients_are_those_of_plain_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    model = LeNet()
    with torch.no_grad():
        model.conv1.bias[:3] = -100.0
        model.conv2.bias[5] = -100.0
        model.fc1.bias[:20] -= 0.6
    x, labels = torch.rand(300, 1, 28, 28) * 2 - 1, torch.arange(300) % 10
    monkeypatch.setattr(health, "GRADIENT_IMAGES", 130)
    table = layer_health(model, x, labels, CE, batch_size=64)
    model.eval()
    CE(model(x[::3]), labels[::3]).backward()
    with torch.no_grad():
        # ReLU before the pooling, as is usual
        a1 = functional.relu(model.conv1(x))
        p1 = functional.max_pool2d(a1, 2)
        p2 = functional.max_pool2d(functional.relu(model.conv2(p1)), 2)
        a3 = functional.relu(model.fc1(p2.flatten(1)))
    for name, judge, units in (("conv1", "relu1", p1), ("conv2", "relu2", p2), ("fc1", "relu3", a3)):
        on = units.flatten(2).amax(2) > 0 if units.ndim == 4 else units > 0
        found, layer = row(table, name), model.get_submodule(name)
        assert found.judged_by == judge
        assert found.dead == int((on.sum(0) == 0).sum())
        assert found.rarely_active == int(((on.sum(0) > 0) & (on.sum(0) < 3)).sum())
        assert found.norm == pytest.approx(units.flatten(1).norm(dim=1).mean().item(), rel=1e-5)
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
    whole = layer_health(model, x, labels, CE)
    parts = layer_health(model, x, labels, CE, batch_size=batch)
    assert whole[0].dead >= 1
    for one, other in zip(whole, parts, strict=True):
        assert (one.dead, one.rarely_active) == (other.dead, other.rarely_active)
        assert (one.units, one.images) == (other.units, other.images)
        assert one.norm == pytest.approx(other.norm, rel=1e-5)
        assert one.gradient == pytest.approx(other.gradient, rel=1e-4)


class Functional(nn.Module):
    """Two layers whose activations are functions, before and after a pooling."""

    def __init__(self, conv: nn.Module, middle: nn.Module, fc: nn.Module) -> None:
        super().__init__()
        self.conv, self.middle, self.fc = conv, middle, fc

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu_(self.conv(x)), 2)
        x = functional.max_pool2d(self.middle(x), 2).relu()
        return self.fc(x.flatten(1))


def test_an_activation_that_is_a_function_is_seen_by_the_next_layer() -> None:
    torch.manual_seed(0)
    conv, middle, fc = nn.Conv2d(1, 5, 3), nn.Conv2d(5, 4, 3), nn.Linear(16, 3)
    with torch.no_grad():
        conv.bias[:2], middle.bias[1] = -99.0, -99.0
    modules = nn.Sequential(
        conv, nn.ReLU(), nn.MaxPool2d(2), middle, nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(), fc
    )
    x, labels = torch.randn(40, 1, 16, 16), torch.arange(40) % 3
    seen, known = (layer_health(m, x, labels, CE) for m in (Functional(conv, middle, fc), modules))
    assert [r.judged_by for r in seen] == ["middle", "fc", "fc"]
    assert [r.judged_by for r in known] == ["1", "5", "7"]
    for found, expected in zip(seen, known, strict=True):
        assert found.gradient == pytest.approx(expected.gradient)
        for name in ("units", "dead", "rarely_active"):
            assert getattr(found, name) == getattr(expected, name)
    assert seen[1].norm == pytest.approx(known[1].norm)  # the last step is ReLU in both
    assert [r.dead for r in seen] == [2, 1, 0]


class Branches(nn.Module):
    """Normalisation, a layer that runs twice, a branch beside it, a sum, two outputs joined."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.twice, self.side = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.left, self.right = nn.Linear(3, 2), nn.Linear(3, 2)
        self.never, self.last = nn.Linear(2, 2), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = functional.max_pool2d(functional.relu_(self.norm(self.first(x))), 2)
        x = self.twice(self.twice(x).relu()).clamp(min=0) + self.side(x)
        x = functional.gelu(x).mean(dim=(2, 3))
        return {"logits": self.last(torch.cat([self.left(x), self.right(x)], dim=1))}


def test_units_of_other_branches_are_left_alone() -> None:
    torch.manual_seed(0)
    model = Branches()
    with torch.no_grad():
        model.norm.bias.copy_(torch.tensor([-99.0, 0.0, 0.0]))
    x, labels = torch.randn(20, 1, 8, 8), torch.arange(20) % 2
    table = layer_health(model, x, labels, CE)
    assert {r.layer: r.judged_by for r in table} == {
        "first": "twice",
        "norm": "twice",
        "twice": "twice",
        "side": "left",  # by the sum
        "left": "left",  # what comes next was there before
        "right": "right",  # joined with others
        "last": "last",
    }
    assert row(table, "first").dead == row(table, "norm").dead == 1
    with torch.no_grad():
        model.eval()
        a = functional.max_pool2d(model.norm(model.first(x)).relu(), 2)
        b = model.twice(a).relu()
        c = model.twice(b)  # its second run is followed by a branch: judged by its outputs
    lengths = [v.flatten(1).norm(dim=1).mean().item() for v in (b, c)]
    assert row(table, "twice").norm == pytest.approx(sum(lengths) / 2, rel=1e-5)
    assert row(table, "twice").images == 40


def test_units_of_sequences_are_the_last_dimension() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Flatten(), nn.Linear(30, 2))
    with torch.no_grad():
        model[0].bias[0] = -99.0
    table = layer_health(model, torch.rand(9, 5, 4), torch.arange(9) % 2, CE)
    assert (table[0].units, table[0].judged_by, table[0].dead >= 1) == (6, "1", True)
    bare = nn.Sequential(model[0], nn.Flatten(), model[3])
    assert layer_health(bare, torch.rand(9, 5, 4), torch.arange(9) % 2, CE)[0].judged_by == "0"


def test_an_activation_in_place_does_not_spoil_what_was_seen() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(4, 30), nn.ReLU(), nn.Linear(30, 3))
    odd = nn.Sequential(plain[0], nn.ReLU(inplace=True), plain[2])
    x, labels = torch.randn(40, 4) - 1, torch.arange(40) % 3
    before = x.clone()
    assert layer_health(plain, x, labels, CE) == layer_health(odd, x, labels, CE)
    layer_health(nn.Sequential(nn.ReLU(inplace=True), nn.Linear(4, 3)), x, labels, CE)
    assert torch.equal(x, before)


def test_few_images_give_no_warning_of_dead_units() -> None:
    rows = [LayerHealth("fc1", "Linear", "relu", 100, 90, 5, 1.0, 1.0, 1e-3, 14)]
    assert health_warnings(rows) == ["14 images are too few to tell whether a unit is dead."]
    assert health_warnings([replace(rows[0], dead=0, rarely_active=0)]) == []
    assert "90 of 100 units" in health_warnings([replace(rows[0], images=300)])[0]


def test_shared_layers_have_one_row_and_frozen_layers_no_gradient() -> None:
    model = SmallCNN()
    model.alias = model.conv1
    model.conv1.requires_grad_(False)
    table = layer_health(model, torch.rand(9, 1, 10, 10), torch.arange(9) % 3, CE)
    assert [(r.layer, r.gradient is None, r.images) for r in table] == [
        ("conv1", True, 9),
        ("fc", False, 9),
    ]
    model.requires_grad_(False)
    frozen = layer_health(model, torch.rand(9, 1, 10, 10), torch.arange(9) % 3, CE)
    assert [r.gradient for r in frozen] == [None, None]
    assert not any("gradient" in text for text in health_warnings(frozen))


def test_the_model_is_as_before_also_when_it_fails(untouched_by: Callable) -> None:
    untouched_by(lambda model, x, labels: layer_health(model, x, labels, CE, batch_size=4))

    def broken(*_given: object) -> Tensor:
        raise ZeroDivisionError

    def ask(model: nn.Module, x: Tensor, labels: Tensor) -> None:
        with pytest.raises(ZeroDivisionError):
            layer_health(model, x, labels, broken)

    untouched_by(ask)


def test_what_cannot_be_judged_is_an_error() -> None:
    x, labels = torch.rand(4, 1, 10, 10), torch.arange(4) % 3
    for images, truth in ((x[:1], labels[:1]), (x, labels[:3])):
        with pytest.raises(DataError, match="labelled images"):
            layer_health(SmallCNN(), images, truth, CE)
    with pytest.raises(DataError, match="out of range"):
        layer_health(SmallCNN(), x, labels + 3, CE)
    for model in (nn.Sequential(nn.Flatten()), nn.Linear(10, 10)):
        with pytest.raises(LayerError, match="no layer inside the model has parameters"):
            layer_health(model, x, labels, CE)

    class Two(SmallCNN):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return x + y

    with pytest.raises(UsageError, match="takes 2 inputs"):
        layer_health(Two(), x, labels, CE)

    class Nothing(SmallCNN):
        def forward(self, x: Tensor) -> None:
            super().forward(x)

    with pytest.raises(UsageError, match="returns no tensor"):
        layer_health(Nothing(), x, labels, CE)


def trained(make_arch: Callable, lr: float, epochs: int = 4) -> tuple[nn.Module, dict]:
    arch, updates = make_arch(lr=lr), UpdateRatios()
    arch.train(epochs, callbacks=[updates], progress=False)
    return arch.model, updates.rows[-1].typical()


def test_a_healthy_network_has_no_warnings(make_arch: Callable, digits: tuple) -> None:
    model, updates = trained(make_arch, lr=0.01)
    assert health_warnings(layer_health(model, *digits, CE, updates=updates)) == []
    test = load(Recipe.load("reference")).test
    images, labels = Preprocess((0.5,), (0.5,))(test.images[:1000]), test.labels[:1000]
    torch.manual_seed(0)
    before = layer_health(LeNet(), images, labels, CE)
    assert health_warnings(before, trained=False) == []
    assert row(before, "fc1").dead > 12.8  # a tenth: after training there would be a warning
    assert [text.split(":")[0] for text in health_warnings(before)] == ["fc1"]


def test_dead_filters_and_weights_of_zero_are_found(digits: tuple) -> None:
    torch.manual_seed(0)  # of other weights a third filter may be zero
    model, many = SmallCNN(), (digits[0].repeat(6, 1, 1, 1), digits[1].repeat(6))
    with torch.no_grad():
        model.conv1.bias[:2] = -100.0
    (text,) = health_warnings(layer_health(model, *many, CE))
    assert text.startswith("conv1: 2 of 4 filters are zero for all 300 images")
    with torch.no_grad():
        model.conv1.bias.fill_(-100.0)
        model.fc.bias.copy_(torch.tensor([0.1, 0.2, 0.3]))  # constant, and never zero
    texts = health_warnings(layer_health(model, *many, CE))
    assert texts[0].startswith("conv1: 4 of 4 filters are zero")
    assert texts[1].startswith("fc: 3 of 3 units are one and the same number")
    assert texts[2].startswith("conv1: the gradient is zero")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    texts = health_warnings(layer_health(model, *many, CE))
    assert texts[0].startswith("conv1: 4 of 4 filters are zero")
    assert texts[-1].startswith("conv1: the gradient is zero")


@pytest.mark.parametrize(("lr", "layers", "word"), [(20.0, 1, "Lower"), (1e-8, 2, "Raise")])
def test_a_learning_rate_too_high_or_too_low_is_found(
    make_arch: Callable, digits: tuple, lr: float, layers: int, word: str
) -> None:
    model, updates = trained(make_arch, lr=lr, epochs=1)
    texts = health_warnings(layer_health(model, *digits, CE, updates=updates))
    found = [text for text in texts if f"{word} the learning rate" in text and "one step" in text]
    assert len(found) >= layers


def deep(activation: type[nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    layers = [layer for _ in range(8) for layer in (nn.Linear(30, 30), activation())]
    return nn.Sequential(*layers, nn.Linear(30, 3))


class Exploding(nn.Module):
    """Makes the gradient grow on its way back, and the signal shrink on its way there."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(30, 30), nn.Linear(30, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(1e-4 * (1e8 * self.first(1e-2 * x)).sin())


def test_gradients_that_vanish_or_explode_are_found() -> None:
    x, labels = torch.randn(60, 30), torch.arange(60) % 3
    for model, smallest, word in (
        (deep(nn.Sigmoid), "0", "vanishes"),
        (Exploding(), "last", "explodes"),
    ):
        texts = health_warnings(layer_health(model, x, labels, CE))
        assert [
            word in text for text in texts if text.startswith(f"the gradient of {smallest} is")
        ] == [True]


def test_numbers_that_are_not_finite_are_found() -> None:
    model = SmallCNN()
    with torch.no_grad():
        model.conv1.weight[0] = float("nan")
    texts = health_warnings(layer_health(model, torch.rand(9, 1, 10, 10), torch.arange(9) % 3, CE))
    assert texts[0].startswith("conv1: its outputs are not finite.")
    assert "the gradient is not finite" in texts[-1]


@pytest.mark.parametrize(("dead", "rare", "count"), [(8, 20, 1), (10, 15, 0)])
def test_units_that_are_rarely_active_are_found(dead: int, rare: int, count: int) -> None:
    rows = [LayerHealth("fc1", "Linear", "relu", 100, dead, rare, 1.0, 1.0, 1e-3, 10_000)]
    texts = health_warnings(rows)
    assert [text.split(" active")[0] for text in texts] == ["fc1: 28 of 100 units are"] * count
    assert health_warnings(rows, trained=False) == []


def tables(layers: int, **changes: object) -> dict[int, Table[LayerHealth]]:
    """Return health at epochs 0, 1 and 5, with numbers that differ everywhere."""
    generator = np.random.default_rng(0)
    rows = {}
    for epoch in (0, 1, 5):
        numbers = generator.random((layers, 3)).tolist()
        rows[epoch] = Table(
            LayerHealth(
                **{
                    "layer": f"layer{k}", "kind": "Linear", "judged_by": "", "units": 20,
                    "dead": int(generator.integers(20)), "rarely_active": None, "norm": norm,
                    "gradient": gradient, "update": update if epoch else None, "images": 9,
                } | changes
            )
            for k, (norm, gradient, update) in enumerate(numbers)
        )  # fmt: skip
    return rows


@pytest.mark.parametrize("layers", [1, 4, 23])
def test_each_panel_has_one_line_per_layer(layers: int) -> None:
    found = tables(layers)
    figure = plot_health(found)
    values = (
        lambda r: 100 * r.dead / r.units,
        lambda r: r.norm,
        lambda r: r.gradient,
        lambda r: np.nan if r.update is None else r.update,
    )
    for ax, value in zip(figure.axes, values, strict=True):
        lines = ax.get_lines()
        assert [line.get_label() for line in lines] == [f"layer{k}" for k in range(layers)]
        for k, line in enumerate(lines):
            assert list(line.get_xdata()) == [0, 1, 5]
            expected = [value(table[k]) for table in found.values()]
            assert np.allclose(line.get_ydata(), expected, equal_nan=True)
    assert [ax.get_yscale() for ax in figure.axes] == ["linear", "log", "log", "log"]
    assert len({tuple(line.get_color()) for line in figure.axes[0].get_lines()}) == layers
    figure.draw_without_rendering()


def test_what_was_not_measured_says_so_and_what_is_unusual_is_shaded() -> None:
    figure = plot_health(tables(1, gradient=None, update=0.3))
    assert [text.get_text() for text in figure.axes[2].texts] == ["not measured"]
    (shade,) = figure.axes[3].patches
    assert shade.get_y() == pytest.approx(0.1)
    assert len(plot_health(tables(1, update=1e-3)).axes[3].patches) == 0
    figure.draw_without_rendering()
