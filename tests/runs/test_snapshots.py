"""Weights of every epoch: kept while training, read safely, the same if training is interrupted."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from conftest import same_weights
from lenetscope import Architecture, Callback, Recipe, Run
from lenetscope.errors import CheckpointError, RunError
from lenetscope.runs import RunWriter, writer
from lenetscope.training import TrainState


@pytest.fixture
def start(idx_folder: Path) -> Callable[[Path], tuple[Architecture, Run]]:
    """Return a function that starts the same run of three epochs of four steps in any folder."""
    recipe = Recipe.load("seed", dataset="idx", epochs=3, batch_size=16, device="cpu", threads=1)

    def make(path: Path) -> tuple[Architecture, Run]:
        arch = Architecture.from_recipe(recipe, data_dir=idx_folder)
        return arch, arch.start_run(path, data_dir=idx_folder)

    return make


class Keeps(Callback):
    """Keeps a copy of the weights at the start and after each epoch."""

    def __init__(self) -> None:
        self.seen: list[dict[str, torch.Tensor]] = []

    def on_start(self, state: TrainState, epochs: int, steps: int) -> None:
        self.on_epoch(state)

    def on_epoch(self, state: TrainState) -> None:
        self.seen.append({k: v.clone() for k, v in state.model.state_dict().items()})


def test_the_weights_before_training_and_after_each_epoch(start, tmp_path: Path) -> None:
    arch, run = start(tmp_path / "run")
    assert run.snapshot_epochs() == []
    keeps = Keeps()
    arch.train(3, callbacks=[RunWriter(run), keeps], progress=False)
    assert run.snapshot_epochs() == [0, 1, 2, 3]
    assert sorted(p.name for p in run.snapshots.iterdir()) == [
        f"epoch-00{n}.safetensors" for n in range(4)
    ]
    for epoch, weights in enumerate(keeps.seen):
        found = run.load_model(epoch).state_dict()
        assert found.keys() == weights.keys()
        assert all(torch.equal(found[name], weights[name]) for name in weights)
    assert same_weights(run.load_model(), run.load_model(3))
    assert run.snapshot_file(3).read_bytes() == run.weights_file.read_bytes()
    assert [(row.epoch, row.steps) for row in run.updates()] == [(n, [1, 2, 3, 4]) for n in (1, 2, 3)]
    assert set(run.updates()[0].ratios) == {name for name, _ in arch.model.named_parameters()}


def test_training_on_goes_on_with_snapshots(start, tmp_path: Path) -> None:
    arch, run = start(tmp_path / "run")
    for _ in range(3):  # as in a notebook, each time with a new writer
        arch.train(1, callbacks=[RunWriter(run)], progress=False)
    once, other = start(tmp_path / "once")
    once.train(3, callbacks=[RunWriter(other)], progress=False)
    for epoch in range(4):
        assert run.snapshot_file(epoch).read_bytes() == other.snapshot_file(epoch).read_bytes()
    assert run.updates() == other.updates()


class Killed(BaseException):
    """Stands for the end of the process."""


def files_of(run: Run) -> dict[str, bytes]:
    """Return the files that must not depend on interruptions."""
    files = [*run.snapshots.iterdir(), run.updates_file, run.weights_file, run.checkpoint_file]
    told = {str(p.relative_to(run.path)): p.read_bytes() for p in files}
    del told["checkpoint.pt"]  # holds seconds
    return told


def test_killed_before_any_write_the_files_end_the_same(
    start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, idx_folder: Path
) -> None:
    real = {name: getattr(writer, name) for name in ("write_bytes", "write_text")}
    count = die_at = 0

    def dying(name: str) -> Callable[..., None]:
        def write(*args: object) -> None:
            nonlocal count
            count += 1
            if count == die_at:
                raise Killed
            real[name](*args)

        return write

    for name in real:
        monkeypatch.setattr(writer, name, dying(name))
    arch, run = start(tmp_path / "whole")
    arch.train(3, callbacks=[RunWriter(run)], checkpoint_steps=2, progress=False)
    expected, writes = files_of(run), count
    assert writes == 1 + 3 * (2 + 2 + 3)  # epoch 0; checkpoints with ratios; history, weights, snapshot
    for die_at in range(1, writes + 1):
        count = 0
        arch, run = start(tmp_path / str(die_at))
        with pytest.raises(Killed):
            arch.train(3, callbacks=[RunWriter(run)], checkpoint_steps=2, progress=False)
        run.snapshots.mkdir(exist_ok=True)
        (run.snapshots / ".epoch-001.safetensors.0123.tmp").write_text("half")
        count = -1000  # this time it lives
        again = Architecture.resume_run(run, data_dir=idx_folder)
        left = 3 - again.total_epochs
        again.train(left, callbacks=[RunWriter(run)], checkpoint_steps=2, progress=False)
        assert files_of(run) == expected


def test_snapshots_ahead_of_the_checkpoint_are_written_anew(start, tmp_path: Path) -> None:
    arch, run = start(tmp_path / "run")
    arch.train(2, callbacks=[RunWriter(run)], progress=False)
    good = run.snapshot_file(2).read_bytes()
    older, other = start(tmp_path / "older")
    older.train(1, callbacks=[RunWriter(other)], progress=False)
    run.checkpoint_file.write_bytes(other.checkpoint_file.read_bytes())  # a backup was put back
    run.snapshot_file(1).unlink()
    run.snapshot_file(2).write_bytes(other.snapshot_file(1).read_bytes())
    again = Architecture.resume_run(run)
    again.train(1, callbacks=[RunWriter(run)], progress=False)
    assert run.snapshot_epochs() == [0, 1, 2]
    assert run.snapshot_file(2).read_bytes() == good
    assert run.snapshot_file(1).read_bytes() == other.snapshot_file(1).read_bytes()
    assert [row.epoch for row in run.updates()] == [1, 2]


def test_only_the_main_process_writes(start, tmp_path: Path) -> None:
    arch, run = start(tmp_path / "run")
    arch.state.is_main = False
    before = sorted(p.name for p in run.path.iterdir())
    arch.train(1, callbacks=[RunWriter(run)], checkpoint_steps=2, progress=False)
    assert sorted(p.name for p in run.path.iterdir()) == before


def test_what_is_not_there_or_damaged_is_told(start, tmp_path: Path) -> None:
    arch, run = start(tmp_path / "run")
    with pytest.raises(RunError, match=r"has no snapshot of epoch 0; it has none at all\.$"):
        run.load_model(0)
    arch.train(1, callbacks=[RunWriter(run)], progress=False)
    for epoch in (2, -1, 1000):
        with pytest.raises(
            RunError, match=rf"no snapshot of epoch {epoch}; there are those of: 0, 1\.$"
        ):
            run.load_model(epoch)
    content = run.snapshot_file(1).read_bytes()
    run.snapshot_file(1).write_bytes(content[:-5])
    with pytest.raises(RunError, match="epoch-001.safetensors is truncated or damaged"):
        run.load_model(1)
    run.load_model()
    run.recipe().replace(model="mlp").save(run.recipe_file)
    with pytest.raises(CheckpointError, match=r"epoch-000.safetensors is of another network: .*conv1"):
        run.load_model(0)
    for text in ("{", '{"epoch": 1}\n', "[1]\n", json.dumps({"epoch": 1, "steps": [], "more": 0})):
        run.updates_file.write_text(text)
        with pytest.raises(RunError, match=r"updates.jsonl"):
            run.updates()


def test_epochs_are_in_the_order_of_their_numbers(start, tmp_path: Path) -> None:
    _, run = start(tmp_path / "run")
    run.snapshots.mkdir()
    for epoch in (1000, 2, 999):
        run.snapshot_file(epoch).write_bytes(b"")
    (run.snapshots / "epoch-3.safetensors").write_bytes(b"")
    (run.snapshots / "notes.txt").write_bytes(b"")
    assert run.snapshot_epochs() == [2, 999, 1000]
