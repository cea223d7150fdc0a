"""Checkpoints: safe to open, exact, and named for what is wrong with them."""

import pickle
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn, optim
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler

from conftest import SmallCNN, same_weights
from lenetscope import Architecture, Callback
from lenetscope.errors import CheckpointError
from lenetscope.training.checkpoint import dumps, load_into
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
    state.epoch = 1
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
        assert state.epoch == 0
    else:  # in the padding between records
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
    with pytest.raises(CheckpointError, match="has checkpoint format 99; .* reads format 1"):
        load_into(fresh(), path)


def test_another_network_is_compared_tensor_by_tensor_and_nothing_is_changed(saved: Path) -> None:
    state = fresh()
    state.model.fc, state.model.extra = nn.Linear(100, 5), nn.Linear(1, 1)
    del state.model.conv1
    before = {name: value.clone() for name, value in state.model.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        load_into(state, saved)
    message = str(caught.value)
    assert "fc.weight is [3, 100] in the file and [5, 100] in the network" in message
    assert "extra.bias is missing" in message
    assert "conv1.weight is not in the network" in message
    assert all(torch.equal(before[name], value) for name, value in state.model.state_dict().items())
    assert state.epoch == 0

    state = fresh()
    state.model.double()
    with pytest.raises(CheckpointError, match="torch.float32 in the file and torch.float64"):
        load_into(state, saved)


def test_another_optimizer_or_schedule_is_named_and_nothing_is_changed(saved: Path) -> None:
    state = fresh()
    state.optimizer = optim.Adam(state.model.parameters())
    with pytest.raises(CheckpointError, match="is of optimizer SGD, the training of Adam"):
        load_into(state, saved)
    state.optimizer = optim.SGD([{"params": [p]} for p in state.model.parameters()], lr=0.1)
    with pytest.raises(CheckpointError, match="is of another optimizer"):
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
