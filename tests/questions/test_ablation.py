"""Units switched off: by hand, against a model whose unit really returns zero, against a plain hook."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from torch import Tensor, nn

from conftest import SmallCNN
from lenetscope.errors import DataError, LayerError, UsageError
from lenetscope.models.lenet import LeNet
from lenetscope.plots import style
from lenetscope.questions import ablation
from lenetscope.questions.ablation import CHANCE, Ablation, ablate, plot_ablation


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
    assert found.added("0").tolist() == [[1, 0], [0, 1]]
    row = found.rows[0]
    assert (row.unit, row.errors, row.added, row.accuracy_drop) == (0, 2, 2, 0.5)
    assert (row.worst_class, row.worst_added) == (0, 1.0)
    # the second image is 1.9 to 1, and wrong once its second input is the mean of all, 2
    assert ablate(model, images, labels, "0", fill="mean").errors["0"].tolist() == [[0, 0], [1, 0]]


@pytest.fixture(scope="module")
def sensitive() -> tuple[nn.Module, Tensor, Tensor]:
    """A LeNet of which single units count, images and labels of four classes."""
    torch.manual_seed(0)
    model, images = LeNet((1, 8, 8), classes=4).eval(), torch.rand(16, 1, 8, 8)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)
        model.fc2.bias.sub_(model(images).mean(0))  # so that it predicts several classes
        labels = model(images).argmax(1)
    labels[:4] = (labels[:4] + 1) % 4
    return model, images, labels


@pytest.mark.parametrize("layer", ["conv1", "conv2"])
@pytest.mark.parametrize("batch_size", [9, 16, 40, 250])
def test_errors_are_those_of_a_network_without_the_unit(
    layer: str, batch_size: int, sensitive: tuple[nn.Module, Tensor, Tensor]
) -> None:
    model, images, labels = sensitive
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


class Split(nn.Module):
    """Returns a tuple, of which the model uses both."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x.mean(dim=(2, 3))


class Strange(nn.Module):
    """Reuses its convolution and ReLU, works in place, returns a dictionary; and more, by its mode."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode
        self.stem = nn.Conv2d(1, 3, 3, padding=1)
        self.block = nn.ModuleDict({"conv": nn.Conv2d(3, 3, 3, padding=1)})
        self.relu = nn.ReLU(inplace=True)
        self.norm = nn.BatchNorm2d(3, track_running_stats=False)
        self.split = Split()
        self.head = nn.Linear(6 if mode == "concatenated" else 3, 4)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        count = len(x)
        x = self.stem(x)
        if self.mode == "in place":
            self.relu(x)  # for what it does to x alone
        elif self.mode == "method":
            x = self.stem.forward(x.mean(1, keepdim=True))
        for call in range(2):
            y = self.relu(self.block["conv"](x))
            if self.mode == "shortcut":
                y = x + y
            elif self.mode == "mixed":  # even in evaluation mode by the statistics of the batch
                y = self.norm(y)
            x = torch.cat([x, y], 1) if self.mode == "concatenated" and call else y
        x, means = self.split(x)
        if self.mode == "tuple":
            return {"logits": self.head(x.mean(dim=(2, 3)) + means)}
        if self.mode == "counted":
            x = x.view(count, -1, 36)[:, :3, :, None]  # wrong but possible with more images than it saw
        return {"logits": self.head(x.mean(dim=(2, 3)))}


def with_a_plain_hook(
    model: nn.Module, images: Tensor, labels: Tensor, name: str, unit: int, fill: str
) -> list[int]:
    """Return the errors of a pass over all images in which one call of a layer is without a unit."""
    base, _, call = name.partition(":")
    seen: list[object] = []

    def off(_layer: nn.Module, _inputs: object, outputs: object) -> object:
        seen.append(outputs)
        if len(seen) - 1 != int(call or 0):
            return None
        first = (outputs[0] if isinstance(outputs, tuple) else outputs).clone()
        first[:, unit] = first[:, unit].mean(0) if fill == "mean" else 0
        return (first, *outputs[1:]) if isinstance(outputs, tuple) else first

    handle = model.get_submodule(base).register_forward_hook(off)
    errors = errors_of(model, images, labels, 4)
    handle.remove()
    return errors


MODES = ["plain", "shortcut", "concatenated", "in place", "method", "mixed", "tuple", "counted"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["stem", "block.conv", "block.conv:1", "relu:1", "split"])
@pytest.mark.parametrize("fill", ["zero", "mean"])
def test_any_model_answers_as_with_a_plain_hook(mode: str, name: str, fill: str) -> None:
    torch.manual_seed(3)
    model, images, labels = Strange(mode).eval(), torch.rand(12, 1, 6, 6), torch.arange(12) % 4
    with torch.no_grad():
        model.head.weight.mul_(20)
        # so that it predicts several classes; and where logits are alike, rounding does not decide
        model.head.bias.sub_(model(images)["logits"].mean(0) - 1e-3 * torch.arange(4))
    # images that a layer mixes must be in one batch, as they are for the plain hook
    for batch_size in (250,) if mode == "mixed" else (1, 5, 50, 250):
        found = ablate(model, images, labels, name, fill=fill, batch_size=batch_size)
        assert found.baseline.tolist() == errors_of(model, images, labels, 4)
        for unit in range(found.errors[name].shape[0]):
            expected = with_a_plain_hook(model, images, labels, name, unit, fill)
            assert found.errors[name][unit].tolist() == expected, (batch_size, unit)


@pytest.mark.parametrize(("mode", "passes"), [("plain", 1), ("shortcut", 4), ("mixed", 4)])
def test_a_batch_is_repeated_behind_the_layer_where_that_changes_nothing(
    mode: str, passes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(3)
    model, images, labels = Strange(mode).eval(), torch.rand(12, 1, 6, 6), torch.arange(12) % 4
    sizes: list[int] = []
    logits = ablation._logits
    monkeypatch.setattr(
        ablation, "_logits", lambda *given: sizes.append(len(given[3])) or logits(*given)
    )
    ablate(model, images, labels, "block.conv")
    # first the number of classes; then a check: all units and none, one at a time and together
    assert sizes[:6] == [1, 1, 1, 1, 1, 4]
    assert len(sizes[6:]) == passes
    assert sum(sizes[6:]) == 4


def test_all_convolutions_are_ranked_together_and_progress_is_shown() -> None:
    torch.manual_seed(0)
    model, images, labels = LeNet((1, 4, 4)), torch.rand(4, 1, 4, 4), torch.arange(4)
    steps: list[int] = []

    def progress(items: list) -> list:
        steps.append(len(items))
        return items

    found = ablate(model, images, labels, batch_size=20, progress=progress)
    assert list(found.errors) == ["conv1", "conv2"]
    assert len(found.rows) == 96
    assert steps == [4]
    assert found.rows._repr_html_() == found._repr_html_()
    assert str(found) == str(found.rows)


def test_a_layer_of_two_names_is_asked_once_and_a_compiled_model_runs_uncompiled() -> None:
    model, images, labels = SmallCNN(), torch.rand(3, 1, 10, 10), torch.arange(3)
    model.alias = model.conv1
    found = ablate(model, images, labels)
    assert list(found.errors) == ["conv1"]
    assert ablate(torch.compile(model), images, labels).rows == found.rows
    assert list(ablate(model, images, labels, "alias").errors) == ["alias"]


def test_nothing_is_left_behind(untouched_by: Callable[..., None]) -> None:
    untouched_by(lambda model, images, labels: ablate(model, images, labels, ["conv1", "fc"]))
    untouched_by(lambda model, images, labels: ablate(model, images, labels, "relu1", fill="mean"))


def test_what_cannot_be_answered_is_an_error() -> None:
    model, images, labels = SmallCNN(), torch.rand(3, 1, 10, 10), torch.arange(3)
    with pytest.raises(UsageError, match="fill 'median' is not one of 'zero' or 'mean'"):
        ablate(model, images, labels, fill="median")
    for wrong in (labels[:2], torch.tensor([0, 3, 1]), labels.float()):
        with pytest.raises(DataError, match="label"):
            ablate(model, images, wrong)
    with pytest.raises(DataError, match="images"):
        ablate(model, images[:0], labels[:0])
    with pytest.raises(UsageError, match="logits"):
        ablate(SmallCNN(outputs=1), images, labels)
    with pytest.raises(UsageError, match="batch_size"):
        ablate(model, images, labels, batch_size=0)
    with pytest.raises(LayerError, match="has no convolution"):
        ablate(nn.Linear(2, 2), torch.rand(2, 2), labels[:2])
    with pytest.raises(LayerError, match="'relu1:1' does not run"):
        ablate(model, images, labels, "relu1:1")
    with pytest.raises(LayerError, match="unknown layer 'conv3'"):
        ablate(model, images, labels, "conv3")

    class Flat(SmallCNN):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * self.relu1(x.flatten(1).sum(1))[:, None]

    with pytest.raises(LayerError, match="real numbers"):
        ablate(Flat(), images, labels, "relu1:1")


def answer(errors: np.ndarray, baseline: np.ndarray, totals: np.ndarray) -> Ablation:
    by_unit, made, images = (torch.from_numpy(np.asarray(v)) for v in (errors, baseline, totals))
    return Ablation({"conv1": by_unit}, made, images)


def test_bars_are_ranked_and_rows_of_the_map_go_with_them() -> None:
    errors = np.array([[3, 0], [1, 1], [9, 4], [0, 0]])
    figure = plot_ablation(answer(errors, [2, 1], [50, 10]), "conv1", ["a", "b"])
    left, right = figure.axes
    assert [t.get_text() for t in left.get_yticklabels()] == ["2", "0", "1", "3"]
    assert [bar.get_width() for bar in left.patches] == [10, 0, -1, -3]
    assert (right.images[0].get_array() == (errors - [2, 1])[[2, 0, 1, 3]]).all()
    low, high = right.images[0].get_clim()
    assert low == -high == -7
    assert [text.get_text() for text in right.texts] == ["+7", "+3", "+1", "-1", "-1", "-2", "-1"]
    assert "10 to 50 images each" in right.get_xlabel()
    assert "with all units 3 errors in 60 images" in figure.get_suptitle()
    assert "4 units, most errors first" in figure.get_suptitle()
    figure.draw_without_rendering()


def test_few_errors_look_like_few() -> None:
    figure = plot_ablation(answer(np.array([[1, 0], [6, 1]]), [0, 0], [50, 50]), "conv1", ["a", "b"])
    left, right = figure.axes
    assert right.images[0].get_clim() == (-CHANCE, CHANCE)  # one error is no dark cell
    assert [to_hex(bar.get_facecolor()) for bar in left.patches] == [style.WRONG, "#999999"]


def test_many_units_and_long_names_fit_on_a_screen() -> None:
    errors = np.random.default_rng(0).integers(0, 9, (512, 10))
    names = [f"class number {k}" for k in range(10)]
    figure = plot_ablation(answer(errors, [0] * 10, [20] * 10), "conv1", names)
    assert "32 of 512 units" in figure.get_suptitle()
    assert (figure.get_size_inches() <= style.MAX_SIDE).all()
    most = [bar.get_width() for bar in figure.axes[0].patches]
    assert most == sorted(errors.sum(axis=1).tolist(), reverse=True)[:32]


def test_names_that_do_not_fit_are_an_error() -> None:
    with pytest.raises(DataError, match="there are 3 classes, and 2 names"):
        plot_ablation(answer(np.ones((3, 3)), [1] * 3, [1] * 3), "conv1", ["a", "b"])
