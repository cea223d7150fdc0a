"""Checkpoints: safe to open, exact, and named for what is wrong with them."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn, optim

from conftest import SmallCNN, same_weights
from lenetscope import Architecture
from lenetscope.errors import CheckpointError

Make = Callable[..., Architecture]


@pytest.fixture
def saved(make_arch: Make, tmp_path: Path) -> Path:
    arch = make_arch()
    arch.train(1, progress=False)
    arch.save_checkpoint(tmp_path / "c.pt")
    return tmp_path / "c.pt"


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("evil"),))


@pytest.mark.parametrize("protocol", ["zip", "legacy", "pickle"])
def test_code_is_refused_and_not_run(
    make_arch: Make, tmp_path: Path, monkeypatch, protocol: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if protocol == "pickle":
        Path("c.pt").write_bytes(pickle.dumps(Evil()))
    else:
        torch.save({"format": Evil()}, "c.pt", _use_new_zipfile_serialization=protocol == "zip")
    with pytest.raises(CheckpointError, match="holds code besides numbers and is not opened"):
        make_arch().load_checkpoint("c.pt")
    assert not Path("evil").exists()


@pytest.mark.parametrize("size", [0, 1, 2, 100, 0.3, 0.9, -1])
def test_a_truncated_file_is_named_as_such(make_arch: Make, saved: Path, size: float) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(size * len(content)) if isinstance(size, float) else size])
    with pytest.raises(CheckpointError, match="is truncated or damaged"):
        make_arch().load_checkpoint(saved)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_found_or_does_no_harm(
    make_arch: Make, saved: Path, place: float, bit: int
) -> None:
    content = bytearray(saved.read_bytes())
    spot = int(place * len(content))
    content[spot] ^= 1 << bit
    damaged = saved.with_name("damaged.pt")
    damaged.write_bytes(content)
    arch, clean, untouched = make_arch(), make_arch(), make_arch()
    clean.load_checkpoint(saved)
    try:
        arch.load_checkpoint(damaged)
    except CheckpointError:
        assert same_weights(arch.model, untouched.model)
    else:  # in the padding between records
        assert same_weights(arch.model, clean.model)


def test_other_files_are_no_checkpoints(make_arch: Make, tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        make_arch().load_checkpoint(path)
    path.write_text("a text")
    with pytest.raises(CheckpointError, match="is truncated or damaged"):
        make_arch().load_checkpoint(path)
    torch.save({"model_state_dict": {}}, path)
    with pytest.raises(CheckpointError, match="is no checkpoint of lenetscope"):
        make_arch().load_checkpoint(path)
    torch.save({"format": 99}, path)
    with pytest.raises(
        CheckpointError, match="has checkpoint format 99; this version .* reads format 1"
    ):
        make_arch().load_checkpoint(path)
    with pytest.raises(CheckpointError, match="Is a directory"):
        make_arch().load_checkpoint(tmp_path)


def test_another_network_is_compared_tensor_by_tensor_and_nothing_is_changed(saved: Path) -> None:
    model = SmallCNN(outputs=5)
    model.extra = nn.Linear(1, 1)
    del model.conv1
    arch = Architecture(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), 0.1))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        arch.load_checkpoint(saved)
    message = str(caught.value)
    assert "fc.weight is [3, 100] in the file and [5, 100] in the network" in message
    assert "extra.bias is missing" in message
    assert "conv1.weight is not in the network" in message
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert arch.total_epochs == 0

    double = SmallCNN().double()
    arch = Architecture(double, nn.CrossEntropyLoss(), optim.SGD(double.parameters(), 0.1))
    with pytest.raises(CheckpointError, match="torch.float32 in the file and torch.float64"):
        arch.load_checkpoint(saved)


def test_another_optimizer_or_schedule_is_told_and_nothing_is_changed(
    make_arch: Make, saved: Path
) -> None:
    arch, untouched = make_arch(), make_arch()
    arch.set_optimizer(optim.Adam(arch.model.parameters()))
    with pytest.raises(CheckpointError, match="is of optimizer SGD, the training of Adam"):
        arch.load_checkpoint(saved)
    arch.set_optimizer(optim.SGD([{"params": [p]} for p in arch.model.parameters()], lr=0.1))
    with pytest.raises(CheckpointError, match="is of another optimizer"):
        arch.load_checkpoint(saved)
    arch = make_arch()
    arch.set_lr_scheduler(optim.lr_scheduler.StepLR(arch.optimizer, 1))
    with pytest.raises(CheckpointError, match="the training has a learning rate schedule"):
        arch.load_checkpoint(saved)
    assert same_weights(arch.model, untouched.model)


def test_all_streams_go_on_as_they_would_have(make_arch: Make, tmp_path: Path) -> None:
    """Dropout of torch, and noise that the loss draws from NumPy and Python."""
    import random

    import numpy as np

    def noisy(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(outputs * (1 + np.random.rand() + random.random()), labels)

    def make() -> Architecture:
        arch = make_arch()
        arch.loss_fn = noisy
        return arch

    whole, first = make(), make()
    whole.train(4, progress=False)
    first.train(2, progress=False)
    first.save_checkpoint(tmp_path / "c.pt")
    second = make()
    second.load_checkpoint(tmp_path / "c.pt")
    second.train(2, progress=False)
    assert same_weights(second.model, whole.model)
    assert second.losses == whole.losses
