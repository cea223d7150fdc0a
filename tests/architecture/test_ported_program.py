"""Programs in the manner of the ancestor's book: only the import differs."""

import inspect
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn, optim
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from lenetscope import Architecture as StepByStep
from lenetscope.errors import LenetscopeError, UsageError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An ImageFolder of unbalanced classes: 18 pictures of bars across, 6 of bars down."""
    generator = np.random.default_rng(0)
    for name, count in (("across", 18), ("down", 6)):
        (tmp_path / name).mkdir()
        for number in range(count):
            pixels = generator.integers(0, 80, (12, 12, 3), dtype=np.uint8)
            place = int(generator.integers(1, 10))
            pixels[(slice(place, place + 2), slice(None)) if name == "across" else
                   (slice(None), slice(place, place + 2))] = 250  # fmt: skip
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    return tmp_path


def binary_model() -> nn.Sequential:
    torch.manual_seed(13)
    model = nn.Sequential()
    model.add_module("conv1", nn.Conv2d(3, 4, 3))
    model.add_module("relu1", nn.ReLU())
    model.add_module("maxp1", nn.MaxPool2d(2))
    model.add_module("flatten", nn.Flatten())
    model.add_module("output", nn.Linear(100, 1))
    return model


def test_binary_model_on_an_image_folder_with_a_weighted_sampler(folder: Path, tmp_path: Path) -> None:
    to_tensor = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
    as_target = lambda label: torch.tensor([float(label)])  # noqa: E731
    plain = ImageFolder(folder, transform=to_tensor, target_transform=as_target)
    normalizer = StepByStep.make_normalizer(DataLoader(plain, batch_size=7))
    composer = v2.Compose([to_tensor, normalizer])
    data = ImageFolder(folder, transform=composer, target_transform=as_target)
    weights = [1 / 18 if label == 0 else 1 / 6 for label in data.targets]
    sampler = WeightedRandomSampler(
        weights, len(weights), generator=torch.Generator(), replacement=True
    )
    train_loader = DataLoader(data, batch_size=8, sampler=sampler)
    val_loader = DataLoader(data, batch_size=8)

    model = binary_model()
    loss_fn = nn.BCEWithLogitsLoss(reduction="mean")
    sbs = StepByStep(model, loss_fn, optim.Adam(model.parameters(), lr=0.01))
    sbs.set_loaders(train_loader, val_loader)
    sbs.set_tensorboard("classy", folder=tmp_path / "board")
    sbs.add_graph()
    sbs.train(8)

    assert len(sbs.losses) == len(sbs.val_losses) == sbs.total_epochs == 8
    assert sbs.val_losses[-1] < sbs.val_losses[0]
    counts = StepByStep.loader_apply(val_loader, sbs.correct)
    assert counts[:, 1].tolist() == [18, 6]
    assert counts[:, 0].sum() >= 20
    assert sbs.evaluate().confusion.sum(axis=1).tolist() == [18, 6]
    logits = sbs.predict(next(iter(val_loader))[0])
    assert logits.shape == (8, 1)
    assert list((tmp_path / "board").glob("classy_*/events*"))
    assert sbs.plot_losses().axes


@pytest.fixture
def regression() -> tuple[DataLoader, DataLoader]:
    torch.manual_seed(42)
    x = torch.rand(100, 1)
    y = 1 + 2 * x + 0.1 * torch.randn(100, 1)
    train, valid = TensorDataset(x[:80], y[:80]), TensorDataset(x[80:], y[80:])
    return DataLoader(train, batch_size=16, shuffle=True), DataLoader(valid, batch_size=16)


def linear(regression: tuple[DataLoader, DataLoader], lr: float = 0.1) -> StepByStep:
    torch.manual_seed(42)
    model = nn.Sequential(nn.Linear(1, 1))
    sbs = StepByStep(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=lr))
    sbs.set_loaders(*regression)
    return sbs


def test_a_regression_finds_the_line_and_goes_on_from_a_checkpoint(
    regression: tuple[DataLoader, DataLoader], tmp_path: Path
) -> None:
    sbs = linear(regression)
    sbs.train(n_epochs=100, seed=42)
    assert sbs.model.state_dict()["0.weight"].item() == pytest.approx(2, abs=0.15)
    assert sbs.model.state_dict()["0.bias"].item() == pytest.approx(1, abs=0.1)
    assert sbs.history[-1]["train_accuracy"] is None
    sbs.save_checkpoint(str(tmp_path / "model_checkpoint.pth"))
    predictions = sbs.predict(np.array([0.20, 0.34, 0.57]).reshape(-1, 1))
    assert predictions.shape == (3, 1)
    with pytest.raises(LenetscopeError, match="scores are for classification"):
        sbs.evaluate()

    new = linear(regression)
    new.load_checkpoint(str(tmp_path / "model_checkpoint.pth"))
    assert new.total_epochs == 100
    assert np.array_equal(new.predict(np.array([[0.5]])), sbs.predict(np.array([[0.5]])))
    new.train(n_epochs=5)
    assert len(new.losses) == 105


@pytest.mark.parametrize(
    ("make", "each_batch"),
    [
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=1), False),
        (lambda o: lr_scheduler.StepLR(o, step_size=2), False),
        (lambda o: lr_scheduler.LambdaLR(o, lambda epoch: 0.9**epoch), False),
        (lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=4), False),
        (lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1, step_size_up=4, mode="triangular2"), True),
        (lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=60), True),
        (lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=2), True),
    ],
    ids=["plateau", "step", "lambda", "cosine", "cyclic", "one-cycle", "warm-restarts"],
)
def test_schedulers(
    regression: tuple[DataLoader, DataLoader], make, each_batch: bool, tmp_path
) -> None:
    sbs = linear(regression)
    sbs.set_lr_scheduler(make(sbs.optimizer))
    assert sbs.is_batch_lr_scheduler is each_batch
    sbs.train(4)
    assert len(sbs.learning_rates) == 4 * (5 if each_batch else 1)
    assert all(len(rates) == 1 for rates in sbs.learning_rates)
    sbs.save_checkpoint(tmp_path / "c.pt")  # with a plateau's infinities and a cycle's functions
    again = linear(regression)
    again.set_lr_scheduler(make(again.optimizer))
    again.load_checkpoint(tmp_path / "c.pt")
    for each in (sbs, again):
        each.train(3)
    assert again.learning_rates == sbs.learning_rates
    assert again.losses == sbs.losses


def test_rates_of_warm_restarts_are_those_of_the_formula(regression) -> None:
    sbs = linear(regression, lr=1.0)
    sbs.set_lr_scheduler(lr_scheduler.CosineAnnealingWarmRestarts(sbs.optimizer, T_0=2))
    sbs.train(2)
    batches = np.arange(1, 11) / 5  # epochs done after each of five batches of two epochs
    expected = (1 + np.cos(np.pi * (batches % 2) / 2)) / 2
    assert np.array(sbs.learning_rates)[:, 0] == pytest.approx(expected, abs=1e-12)


def test_a_plateau_without_validation_and_a_foreign_scheduler_are_told(regression) -> None:
    sbs = linear(regression)
    with pytest.raises(UsageError, match="another optimizer"):
        sbs.set_lr_scheduler(lr_scheduler.StepLR(linear(regression).optimizer, 1))
    sbs.set_lr_scheduler(lr_scheduler.ReduceLROnPlateau(sbs.optimizer))
    sbs.set_loaders(regression[0])
    with pytest.raises(UsageError, match="give a validation loader"):
        sbs.train(1)


def test_gradient_clipping_in_its_three_ways(regression) -> None:
    sbs = linear(regression)
    sbs.capture_gradients("0")
    sbs.set_clip_grad_value(1e-3)
    sbs.train(1)
    moved = sbs.model[0].weight.item()
    sbs.remove_clip()
    sbs.remove_hooks()
    start = linear(regression).model[0].weight.item()
    assert abs(moved - start) <= 0.1 * 5 * 1e-3 * 1.001  # lr, steps, bound
    assert max(abs(g).max() for g in sbs.gradients["0"]["weight"]) > 1e-3  # seen before clipping

    sbs = linear(regression)
    sbs.set_clip_grad_norm(1e-3)
    sbs.train(1)
    assert abs(sbs.model[0].weight.item() - start) <= 0.1 * 5 * 1e-3 * 1.001

    sbs = linear(regression)
    sbs.set_clip_backprop(1e-3)
    sbs.capture_gradients(["0"])
    sbs.train(1)
    assert max(abs(g).max() for g in sbs._gradients["0"]["weight"]) <= 1e-3 * 1.001
    sbs.remove_clip()
    sbs.train(1)
    assert max(abs(g).max() for g in sbs._gradients["0"]["weight"]) > 1e-3
    sbs.remove_hooks()


def test_parameters_are_recorded_at_each_forward_pass(regression) -> None:
    sbs = linear(regression)
    sbs.set_loaders(regression[0])
    start = sbs.model[0].weight.item()
    sbs.capture_parameters("0")
    sbs.train(2)
    sbs.remove_hooks()
    weights = np.array(sbs._parameters["0"]["weight"]).squeeze()
    assert len(weights) == 2 * 5
    assert weights[0] == pytest.approx(start)
    assert len(set(weights.tolist())) == 10
    assert sbs.val_losses == [None, None]


def test_changing_the_optimizer_and_a_range_test_on_given_axes(regression) -> None:
    from matplotlib.figure import Figure

    sbs = linear(regression, lr=1e-3)
    ax = Figure().subplots()
    tracking, figure = sbs.lr_range_test(regression[0], end_lr=1e-1, num_iter=20, ax=ax)
    assert figure is ax.get_figure()
    assert len(tracking["lr"]) == len(tracking["loss"]) == 20
    sbs.set_optimizer(optim.Adam(sbs.model.parameters(), lr=0.05))
    sbs.train(2)
    assert sbs.losses[1] < sbs.losses[0]


def test_hooks_filters_and_outputs() -> None:
    model = binary_model()
    sbs = StepByStep(model, nn.BCEWithLogitsLoss(), optim.SGD(model.parameters(), lr=0.1))
    seen: list[str] = []
    sbs.attach_hooks(
        ["conv1"], hook_fn=lambda layer, inputs, outputs: seen.append(type(layer).__name__)
    )
    sbs.predict(np.random.default_rng(0).random((2, 3, 12, 12)))
    assert seen == ["Conv2d"]
    assert sbs.visualization == {"conv1": None}
    sbs.attach_hooks(layers_to_hook=["conv1", "relu1", "flatten", "output"])
    assert sbs.visualization["relu1"] is None
    sbs.predict(np.random.default_rng(0).random((3, 3, 12, 12)))
    sbs.remove_hooks()
    assert {k: v.shape for k, v in sbs.visualization.items()} == {
        "conv1": (3, 4, 10, 10), "relu1": (3, 4, 10, 10), "flatten": (3, 100), "output": (3, 1),
    }  # fmt: skip
    figure = sbs.visualize_outputs(["conv1", "output"], n_images=2, y=[1, 0], yhat=np.array([1, 1]))
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert titles == ["true 1\npredicted 1", "true 0\npredicted 1"]
    assert sbs.visualize_filters("conv1").axes
    assert sbs.count_parameters() == 4 * 27 + 4 + 101


def test_statistics_per_channel() -> None:
    images = torch.tensor([[[[0.0, 2.0]]], [[[4.0, 4.0]]]])  # means 1 and 4
    stats = StepByStep.statistics_per_channel(images, torch.zeros(2))
    assert stats.shape == (3, 1)
    assert stats[:2, 0].tolist() == [2, 5]
    assert stats[2, 0].item() == pytest.approx(2**0.5)  # of the first image; the second has none
    loader = DataLoader(TensorDataset(images, torch.zeros(2)), batch_size=1)
    assert StepByStep.loader_apply(loader, StepByStep.statistics_per_channel)[0, 0] == 2
    assert StepByStep.loader_apply(loader, lambda x, y: x.sum(), reduce="mean").item() == 5
    assert StepByStep.loader_apply(loader, lambda x, y: x.sum(), reduce=None).shape == (2,)
    with pytest.raises(UsageError, match="reduce must be"):
        StepByStep.loader_apply(loader, lambda x, y: x.sum(), reduce="max")


def test_tensorboard_that_is_not_installed_is_told(regression, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard.writer", None)
    with pytest.raises(UsageError, match=r"pip install 'lenetscope\[tensorboard\]'"):
        linear(regression).set_tensorboard("x")


def test_set_seed_seeds_the_sampler_too(regression) -> None:
    def losses(seed: int) -> list[float]:
        sampler = WeightedRandomSampler([1.0] * 80, 80, generator=torch.Generator())
        loader = DataLoader(regression[0].dataset, batch_size=16, sampler=sampler)
        sbs = linear(regression)
        sbs.set_loaders(loader)
        sbs.set_seed(seed)
        sbs.train(2)
        return sbs.losses

    assert losses(1) == losses(1)
    assert losses(1) != losses(2)


class Auxiliary(nn.Module):
    """Two outputs in training, one in evaluation, as Inception has."""

    def __init__(self) -> None:
        super().__init__()
        self.main, self.side = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor):
        return (self.main(x), self.side(x)) if self.training else self.main(x)


def test_a_model_with_auxiliary_outputs() -> None:
    def loss_fn(outputs, labels):
        if isinstance(outputs, tuple):
            main, side = (nn.functional.cross_entropy(o, labels) for o in outputs)
            return main + 0.4 * side
        return nn.functional.cross_entropy(outputs, labels)

    torch.manual_seed(0)
    labels = torch.arange(30) % 3
    data = TensorDataset(nn.functional.one_hot(labels, 4).float(), labels)
    model = Auxiliary()
    sbs = StepByStep(model, loss_fn, optim.Adam(model.parameters(), lr=0.1))
    sbs.set_loaders(DataLoader(data, batch_size=10, shuffle=True), DataLoader(data, batch_size=10))
    sbs.train(10)
    assert sbs.history[-1]["train_accuracy"] == sbs.history[-1]["valid_accuracy"] == 1


INTERFACE = {
    "set_loaders": "train_loader, val_loader=None",
    "set_tensorboard": "name, folder='runs'",
    "set_seed": "seed=42",
    "set_optimizer": "optimizer",
    "to": "device",
    "train": "n_epochs, seed=42",
    "save_checkpoint": "filename",
    "load_checkpoint": "filename",
    "predict": "x",
    "plot_losses": "",
    "add_graph": "",
    "count_parameters": "",
    "visualize_filters": "layer_name",
    "attach_hooks": "layers_to_hook, hook_fn=None",
    "remove_hooks": "",
    "visualize_outputs": "layers, n_images=10, y=None, yhat=None",
    "correct": "x, y, threshold=0.5",
    "loader_apply": "loader, func, reduce='sum'",
    "statistics_per_channel": "images, labels",
    "make_normalizer": "loader",
    "lr_range_test": "data_loader, end_lr, num_iter=100, step_mode='exp', alpha=0.05, ax=None",
    "capture_gradients": "layers_to_hook",
    "capture_parameters": "layers_to_hook",
    "set_lr_scheduler": "scheduler",
    "set_clip_grad_value": "clip_value",
    "set_clip_grad_norm": "max_norm, norm_type=2",
    "set_clip_backprop": "clip_value",
    "remove_clip": "",
}
"""Every method of the ancestor, and its arguments."""


@pytest.mark.parametrize("name", INTERFACE)
def test_every_method_has_the_ancestors_arguments(name: str) -> None:
    mine = [
        parameter
        for parameter in inspect.signature(getattr(StepByStep, name)).parameters.values()
        if parameter.name != "self" and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    theirs = [argument.partition("=") for argument in INTERFACE[name].split(", ") if argument]
    assert [p.name for p in mine] == [argument for argument, _, _ in theirs]
    for parameter, (_, _, default) in zip(mine, theirs, strict=True):
        if default:
            assert repr(parameter.default) == default


def test_moving_to_a_device_takes_the_optimizers_moments_along(regression) -> None:
    sbs = linear(regression)
    sbs.set_optimizer(optim.Adam(sbs.model.parameters(), lr=0.05))
    sbs.train(1)
    sbs.to("cpu")
    sbs.train(1)
    assert sbs.device.type == "cpu"
    assert len(sbs.losses) == 2


def test_looking_and_assigning_as_the_book_does(regression) -> None:
    """Filters in grey, handles looked at, an optimizer assigned in place of the former."""
    model = binary_model()
    sbs = StepByStep(model, nn.BCEWithLogitsLoss(), optim.SGD(model.parameters(), lr=0.1))
    figure = sbs.visualize_filters("conv1", cmap="gray", figsize=(7, 5))
    (image,) = figure.axes[0].images
    assert image.get_cmap().name == "gray"
    assert figure.get_size_inches().tolist() == [7, 5]

    assert sbs.handles == {}
    sbs.attach_hooks(["conv1", "relu1"])
    assert list(sbs.handles) == ["conv1", "relu1"]
    sbs.attach_hooks(["output"])
    sbs.capture_gradients("conv1")
    assert list(sbs.handles) == ["output", "conv1.gradients"]
    for handle in sbs.handles.values():
        handle.remove()
    sbs.predict(np.zeros((1, 3, 12, 12)))
    assert sbs.visualization["output"] is None
    sbs.remove_hooks()
    assert sbs.handles == {}

    sbs = linear(regression)
    sbs.set_lr_scheduler(lr_scheduler.StepLR(sbs.optimizer, step_size=2))
    sbs.optimizer = optim.Adam(sbs.model.parameters(), lr=0.05)
    sbs.train(2)
    assert sbs.losses[1] < sbs.losses[0]
    assert sbs.learning_rates == []


def my_attach_hooks(self, layers_to_hook, hook_fn=None):
    self.visualization = {}
    names = {layer: name for name, layer in self.model.named_modules() if name in layers_to_hook}

    def keep(layer, inputs, outputs):
        self.visualization[names[layer]] = outputs.detach().cpu().numpy()

    for layer, name in names.items():
        self.visualization[name] = None
        self.handles[name] = layer.register_forward_hook(hook_fn or keep)


def my_remove_hooks(self):
    for handle in self.handles.values():
        handle.remove()
    self.handles = {}


def my_set_optimizer(self, optimizer):
    self.optimizer = optimizer


def my_set_lr_scheduler(self, scheduler):
    if scheduler.optimizer == self.optimizer:
        self.scheduler = scheduler
        self.is_batch_lr_scheduler = isinstance(scheduler, lr_scheduler.OneCycleLR)


def my_set_clip_grad_value(self, clip_value):
    parameters = self.model.parameters
    self.clipping = lambda: nn.utils.clip_grad_value_(parameters(), clip_value=clip_value)


def my_capture_gradients(self, layers_to_hook):
    self._gradients = {}
    for name, layer in self.model.named_modules():
        if name in layers_to_hook:
            self._gradients[name] = {key: [] for key, _ in layer.named_parameters()}
            for key, parameter in layer.named_parameters():
                keep = self._gradients[name][key].append
                self.handles[f"{name}.{key}.grad"] = parameter.register_hook(
                    lambda grad, keep=keep: keep(grad.tolist())
                )


MINE = (
    my_attach_hooks,
    my_remove_hooks,
    my_set_optimizer,
    my_set_lr_scheduler,
    my_set_clip_grad_value,
    my_capture_gradients,
)


def test_methods_put_on_the_class_take_the_place_of_its_own(regression, monkeypatch) -> None:
    """As the book's chapters do, which build the class up with setattr as they go."""
    for function in MINE:
        monkeypatch.setattr(StepByStep, function.__name__.removeprefix("my_"), function)
    monkeypatch.setattr(StepByStep, "mean_loss", lambda self: np.mean(self.losses), raising=False)
    sbs = linear(regression)
    sbs.attach_hooks(["0"])
    assert sbs.visualization == {"0": None}
    sbs.capture_gradients(["0"])
    sbs.set_optimizer(optim.SGD(sbs.model.parameters(), lr=0.1))
    schedule = lr_scheduler.OneCycleLR(sbs.optimizer, 0.1, total_steps=20, cycle_momentum=False)
    sbs.set_lr_scheduler(schedule)
    sbs.set_clip_grad_value(1e-3)
    start = sbs.model[0].weight.item()
    sbs.train(2)
    assert sbs.mean_loss() == pytest.approx(np.mean(sbs.losses))
    assert abs(sbs.model[0].weight.item() - start) <= 0.1 * 10 * 1e-3 * 1.001  # lr, steps, bound
    assert len(sbs.learning_rates) == 10
    assert len(sbs._gradients["0"]["weight"]) == 10
    sbs.predict(np.zeros((3, 1)))
    assert sbs.visualize_outputs(["0"]).axes
    assert sbs.visualization["0"].shape == (3, 1)
    assert list(sbs.handles) == ["0", "0.weight.grad", "0.bias.grad"]
    sbs.remove_hooks()
    assert sbs.handles == {}
    assert not sbs.model[0]._forward_hooks
    assert not sbs.model[0].weight._backward_hooks
