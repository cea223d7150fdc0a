"""Checkpoints: safe to open, exact, and named for what is wrong with them."""

import pickle
import random
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn, optim
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler

from conftest import SmallCNN, same_weights
from lenetscope import Architecture, Callback
from lenetscope.errors import CheckpointError
from lenetscope.training.checkpoint import dumps, load_into
from lenetscope.training.muon import Muon
from lenetscope.training.state import TrainState

Make = Callable[..., Architecture]


def fresh(seed: int = 3) -> TrainState:
    torch.manual_seed(seed)
    model = SmallCNN()
    return TrainState(model, optim.SGD(model.parameters(), lr=0.1, momentum=0.9))


@pytest.fixture(scope="module")
def content() -> bytes:
    """A checkpoint of weights that no fresh state has."""
    state = fresh(seed=4)
    state.begin_stream(1)
    return dumps(state)


@pytest.fixture
def saved(content: bytes, tmp_path: Path) -> Path:
    (tmp_path / "c.pt").write_bytes(content)
    return tmp_path / "c.pt"


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("evil"),))


@pytest.mark.parametrize("protocol", ["zip", "legacy", "pickle"])
def test_code_is_refused_and_not_run(tmp_path: Path, monkeypatch, protocol: str) -> None:
    monkeypatch.chdir(tmp_path)
    if protocol == "pickle":
        Path("c.pt").write_bytes(pickle.dumps(Evil()))
    else:
        torch.save({"format": Evil()}, "c.pt", _use_new_zipfile_serialization=protocol == "zip")
    with pytest.raises(CheckpointError, match="holds code besides numbers and is not opened"):
        load_into(fresh(), Path("c.pt"))
    assert not Path("evil").exists()


@pytest.mark.parametrize("size", [0, 1, 2, 100, 0.3, 0.9, -1])
def test_a_truncated_file_is_named_as_such(saved: Path, content: bytes, size: float) -> None:
    saved.write_bytes(content[: int(size * len(content)) if isinstance(size, float) else size])
    with pytest.raises(CheckpointError, match="is truncated or damaged"):
        load_into(fresh(), saved)


@settings(max_examples=60)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_found_or_does_no_harm(
    content: bytes, tmp_path_factory: pytest.TempPathFactory, place: float, bit: int
) -> None:
    flipped = bytearray(content)
    flipped[int(place * len(content))] ^= 1 << bit
    damaged = tmp_path_factory.getbasetemp() / "damaged.pt"
    damaged.write_bytes(flipped)
    state = fresh()
    try:
        load_into(state, damaged)
    except CheckpointError:
        assert same_weights(state.model, fresh().model)
        assert state.seed is None
    else:  # in the padding between records
        assert state.seed == 1
        assert same_weights(state.model, fresh(seed=4).model)


def test_other_files_are_not_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    with pytest.raises(CheckpointError, match="No such file"):
        load_into(fresh(), path)
    with pytest.raises(CheckpointError, match="Is a directory"):
        load_into(fresh(), tmp_path)
    path.write_text("a text")
    with pytest.raises(CheckpointError, match="is truncated or damaged"):
        load_into(fresh(), path)
    torch.save({"model_state_dict": {}}, path)
    with pytest.raises(CheckpointError, match="is not a checkpoint of lenetscope"):
        load_into(fresh(), path)
    torch.save({"format": 99}, path)
    with pytest.raises(CheckpointError, match="has checkpoint format 99; .* reads format 2"):
        load_into(fresh(), path)


def test_another_network_is_compared_tensor_by_tensor_and_nothing_is_changed(saved: Path) -> None:
    state = fresh()
    state.model.fc, state.model.extra = nn.Linear(100, 5), nn.Linear(1, 1)
    del state.model.conv1
    before = {name: value.clone() for name, value in state.model.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        load_into(state, saved)
    message = str(caught.value)
    assert "fc.weight must be a tensor [5, 100] of float32, not a tensor [3, 100] of float32" in message
    assert "extra.bias is missing" in message
    assert "conv1.weight is not in the network" in message
    assert all(torch.equal(before[name], value) for name, value in state.model.state_dict().items())
    assert state.seed is None

    state = fresh()
    state.model.double()
    with pytest.raises(CheckpointError, match="of float64, not a tensor .* of float32"):
        load_into(state, saved)


def test_another_optimizer_or_schedule_is_named_and_nothing_is_changed(saved: Path) -> None:
    state = fresh()
    state.optimizer = optim.Adam(state.model.parameters())
    with pytest.raises(CheckpointError, match="is of optimizer SGD, the training of Adam"):
        load_into(state, saved)
    state.optimizer = optim.SGD([{"params": [p]} for p in state.model.parameters()], lr=0.1)
    with pytest.raises(CheckpointError, match="param_groups must be a list of 4, not a list of 1"):
        load_into(state, saved)
    state = fresh()
    state.scheduler = optim.lr_scheduler.StepLR(state.optimizer, 1)
    with pytest.raises(CheckpointError, match="only the training has a learning rate schedule"):
        load_into(state, saved)
    scheduled = saved.with_name("scheduled.pt")
    scheduled.write_bytes(dumps(state))
    with pytest.raises(CheckpointError, match="only the checkpoint has"):
        load_into(fresh(), scheduled)
    assert same_weights(state.model, fresh().model)


class SavesInTheMiddle(Callback):
    """Saves after the second step of the second epoch."""

    def __init__(self, arch: Architecture, path: Path) -> None:
        self.arch, self.path = arch, path

    def on_checkpoint(self, state: TrainState) -> None:
        if (state.epoch, state.step) == (1, 2):
            self.arch.save_checkpoint(self.path)


def resumed_in_the_middle(make: Callable[[], Architecture], path: Path) -> tuple[Architecture, ...]:
    """Return a training of three epochs, and one that resumed it in the middle of the second."""
    whole, again = make(), make()
    callbacks = [SavesInTheMiddle(whole, path)]
    whole.train(3, callbacks=callbacks, progress=False, checkpoint_steps=2)
    again.load_checkpoint(path)
    assert (again.total_epochs, again.state.step) == (1, 2)
    again.train(2, progress=False)
    return whole, again


def test_resuming_in_the_middle_of_an_epoch_is_exact(make_arch: Make, tmp_path: Path) -> None:
    """Order and dropout from torch, and noise that the loss draws from NumPy and Python."""

    def noisy(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(outputs * (1 + np.random.rand() + random.random()), labels)

    def make() -> Architecture:
        arch = make_arch()
        arch.loss_fn = noisy
        arch.set_lr_scheduler(optim.lr_scheduler.OneCycleLR(arch.optimizer, 0.1, total_steps=9))
        return arch

    whole, again = resumed_in_the_middle(make, tmp_path / "middle.pt")
    assert same_weights(again.model, whole.model)
    assert again.losses == whole.losses
    assert again.learning_rates == whole.learning_rates
    accuracies = [[row["train_accuracy"] for row in arch.history] for arch in (whole, again)]
    assert accuracies[0] == accuracies[1]


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_random_transforms_continue_exactly_too(make_arch, digits, tmp_path, workers: int) -> None:
    """Noise drawn while images are read: in this process, or in worker processes."""

    class Noisy(Dataset):
        def __len__(self) -> int:
            return 40

        def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
            return digits[0][index] + torch.rand(1, 10, 10), digits[1][index]

    def make() -> Architecture:
        arch = make_arch()
        sampler = WeightedRandomSampler([1.0] * 40, 40, generator=torch.Generator())
        options = {"multiprocessing_context": "fork"} if workers else {}
        loader = DataLoader(Noisy(), batch_size=8, sampler=sampler, num_workers=workers, **options)
        arch.set_loaders(loader)
        return arch

    whole, again = resumed_in_the_middle(make, tmp_path / "middle.pt")
    assert same_weights(again.model, whole.model)
    assert again.losses == whole.losses


P = Iterable[nn.Parameter]
OPTIMIZERS: dict[str, Callable[[P], optim.Optimizer]] = {
    "sgd without momentum": lambda p: optim.SGD(p, lr=0.1),
    "nesterov": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "fused": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, fused=True),
    "adam": lambda p: optim.Adam(p, amsgrad=True),
    "muon": Muon,
    "whole rate": lambda p: optim.AdamW(p, lr=1),
    "tensor rate": lambda p: optim.AdamW(p, lr=torch.tensor(0.01)),
    **{
        name: getattr(optim, name)
        for name in ("Adadelta", "Adafactor", "Adagrad", "Adamax", "ASGD", "NAdam", "RAdam", "Rprop")
    },
    "RMSprop": lambda p: optim.RMSprop(p, momentum=0.9, centered=True),
    "SGD of one's own": lambda p: Counting(p, lr=0.1, momentum=0.9),
}
SCHEDULERS: dict[str, Callable[[optim.Optimizer], object]] = {
    "StepLR": lambda o: lr_scheduler.StepLR(o, 2),
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, [1, 2]),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=6),  # the end of it
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 0.1, 0.2),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, 2),
    "WarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 2),
    "ReduceLROnPlateau": lr_scheduler.ReduceLROnPlateau,
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda epoch: 0.9**epoch),
    "LinearLR": lambda o: lr_scheduler.LinearLR(o, 1, 0, 3),
    "PolynomialLR": lambda o: lr_scheduler.PolynomialLR(o, 3),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o), lr_scheduler.ExponentialLR(o, 0.9)], [1]
    ),
    "ChainedScheduler": lambda o: lr_scheduler.ChainedScheduler(
        [lr_scheduler.LinearLR(o), lr_scheduler.ExponentialLR(o, 0.9)]
    ),
}


class Counting(optim.SGD):
    """Has an attribute that torch does not know, and a hook that sees each real step."""

    def __init__(self, parameters: P, **options: float) -> None:
        super().__init__(parameters, **options)
        self.steps: list[int] = []
        self.register_step_post_hook(lambda *_: self.steps.append(1))

    def step(self, closure: None = None) -> None:
        assert self.steps is not None
        super().step(closure)


def assert_equal(first: object, second: object) -> None:
    """Compare nested values, tensors bit for bit and with their places in memory."""
    assert type(first) is type(second)
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second)
        assert (first.dtype, first.stride()) == (second.dtype, second.stride())
    elif isinstance(first, dict):
        assert_equal(list(first), list(second))
        assert_equal(list(first.values()), list(second.values()))
    elif isinstance(first, (list, tuple)):
        assert len(first) == len(second)
        for mine, theirs in zip(first, second, strict=True):
            assert_equal(mine, theirs)
    else:
        assert first == second


@pytest.mark.parametrize("name", [*OPTIMIZERS, *SCHEDULERS])
def test_each_optimizer_and_scheduler_is_restored_bit_for_bit(
    make_arch: Make, tmp_path: Path, name: str
) -> None:
    """Into a training that has not begun, and into one that is ahead."""

    def make() -> Architecture:
        arch = make_arch()
        if name in OPTIMIZERS:
            arch.optimizer = OPTIMIZERS[name](arch.model.parameters())
        else:
            arch.set_lr_scheduler(SCHEDULERS[name](arch.optimizer))
        return arch

    whole, again = make(), make()
    whole.save_checkpoint(tmp_path / "fresh.pt")
    whole.train(2, progress=False)
    whole.save_checkpoint(tmp_path / "c.pt")
    for path in ("c.pt", "fresh.pt", "c.pt"):
        again.load_checkpoint(tmp_path / path)
    assert_equal(again.state.state_dict(), whole.state.state_dict())
    assert again.total_epochs == 2
    if isinstance(again.optimizer, Counting):
        assert again.optimizer.steps == []


def of_the_book(arch: Architecture, path: Path, core: str = "_core", **changes: object) -> Path:
    """Write what StepByStep of the book writes, with the name that this or an older NumPy has."""
    arch.train(2, progress=False)
    content = {
        "epoch": arch.total_epochs,
        "model_state_dict": arch.model.state_dict(),
        "optimizer_state_dict": arch.optimizer.state_dict(),
        "loss": [np.mean(np.array([loss, loss])) for loss in arch.losses],
        "val_loss": [np.float32(0.5), None],
    }
    for group in content["optimizer_state_dict"]["param_groups"]:
        del group["fused"], group["differentiable"]  # older versions of torch did not have these
    torch.save(content | changes, path)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data.replace(b"numpy._core", f"numpy.{core}".encode()))
    return path


@pytest.mark.parametrize("core", ["_core", "core"])
def test_a_checkpoint_of_the_book_is_read_safely(make_arch: Make, tmp_path: Path, core: str) -> None:
    whole, again = make_arch(), make_arch()
    again.load_checkpoint(of_the_book(whole, tmp_path / "c.pth", core))
    assert same_weights(again.model, whole.model)
    assert again.total_epochs == 2
    assert again.losses == whole.losses
    assert again.val_losses == [0.5, None]
    assert all(type(loss) is float for loss in again.losses)
    assert [row["train_accuracy"] for row in again.history] == [None, None]
    buffers = [arch.optimizer.state_dict()["state"] for arch in (whole, again)]
    assert_equal(*buffers)
    again.train(1, progress=False)
    assert len(again.losses) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch": 3}, "history must have a row for each of 3 epochs"),
        ({"loss": None}, "loss must be a list, not None"),
        ({"loss": ["0.5", 0.5]}, r"history\[0\].train_loss must be a number, not '0.5'"),
        ({"loss": [np.complex128(1), 0.5]}, "is truncated or damaged"),
        ({"loss": [np.str_("a"), 0.5]}, "is truncated or damaged"),
        ({"loss": np.array([0.5, 0.5])}, "holds code besides numbers"),
        ({"optimizer_state_dict": {}}, "optimizer_state_dict.state is missing"),
        ({"model_state_dict": {}}, "conv1.bias is missing"),
    ],
)
def test_what_the_book_does_not_write_is_refused(
    make_arch: Make, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    arch = make_arch()
    with pytest.raises(CheckpointError, match=message):
        arch.load_checkpoint(of_the_book(make_arch(), tmp_path / "c.pth", **changes))
    assert same_weights(arch.model, make_arch().model)
    assert arch.total_epochs == 0
