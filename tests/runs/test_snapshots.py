"""Weights of every epoch: kept while training, read safely, the same if training is interrupted."""

import json
from pathlib import Path

import pytest
import torch

from conftest import same_weights
from lenetscope import Architecture, Run
from lenetscope.errors import RunError
from lenetscope.runs import RunWriter


def test_the_weights_before_training_and_after_each_epoch(run: Run, trained) -> None:
    assert run.snapshot_epochs() == [0, 1, 2, 3]
    names = [f"epoch-00{number}.safetensors" for number in range(4)]
    assert sorted(p.name for p in run.snapshots.iterdir()) == names
    assert len(trained.weights) == 4
    for epoch, weights in enumerate(trained.weights):
        found = run.load_model(epoch).state_dict()
        assert found.keys() == weights.keys()
        assert all(torch.equal(found[name], weights[name]) for name in weights)
    assert same_weights(run.load_model(), run.load_model(3))
    assert run.snapshot_file(3).read_bytes() == run.weights_file.read_bytes()
    assert [(row.epoch, row.steps) for row in run.updates()] == [(n, [1, 2, 3, 4]) for n in (1, 2, 3)]
    assert list(run.updates()[0].ratios) == trained.parameters


def files_of(run: Run) -> dict[str, bytes]:
    """Return the files that must not depend on interruptions."""
    files = [*run.snapshots.iterdir(), run.updates_file, run.weights_file]
    return {str(path.relative_to(run.path)): path.read_bytes() for path in files}


def test_training_on_continues_the_snapshots(start, trained, tmp_path: Path) -> None:
    arch, run = start(tmp_path / "run")
    for _ in range(3):  # as in a notebook, each time with a new writer
        arch.train(1, callbacks=[RunWriter(run)], progress=False)
    assert files_of(run) == files_of(Run(trained.path))


def test_what_is_ahead_of_the_checkpoint_or_half_written_is_written_anew(
    start, trained, tmp_path: Path
) -> None:
    arch, run = start(tmp_path / "run")
    arch.train(1, callbacks=[RunWriter(run)], progress=False)
    backup = run.checkpoint_file.read_bytes()
    arch.train(1, callbacks=[RunWriter(run)], progress=False)
    run.checkpoint_file.write_bytes(backup)
    run.snapshot_file(2).write_bytes(run.snapshot_file(1).read_bytes())
    run.snapshot_file(1).unlink()
    (run.snapshots / ".epoch-001.safetensors.0123.tmp").write_text("half")
    again = Architecture.resume_run(run)
    assert again.total_epochs == 1
    again.train(2, callbacks=[RunWriter(run)], progress=False)
    assert files_of(run) == files_of(Run(trained.path))


def test_only_the_main_process_writes(start, tmp_path: Path) -> None:
    arch, run = start(tmp_path / "run")
    arch.state.is_main = False
    before = sorted(p.name for p in run.path.iterdir())
    arch.train(1, callbacks=[RunWriter(run)], checkpoint_steps=2, progress=False)
    assert sorted(p.name for p in run.path.iterdir()) == before


def test_what_is_not_there_or_damaged_is_named(run: Run) -> None:
    for epoch in (4, -1, 1000):
        with pytest.raises(RunError, match=rf"no snapshot of epoch {epoch}; it has: 0, 1, 2, 3\.$"):
            run.load_model(epoch)
    content = run.snapshot_file(1).read_bytes()
    run.snapshot_file(1).write_bytes(content[:-5])
    with pytest.raises(RunError, match="epoch-001.safetensors is truncated or damaged"):
        run.load_model(1)
    run.load_model()
    for text in ("{", '{"epoch": 1}\n', "[1]\n", json.dumps({"epoch": 1, "steps": [], "more": 0})):
        run.updates_file.write_text(text)
        with pytest.raises(RunError, match=r"updates.jsonl"):
            run.updates()
    for snapshot in run.snapshots.iterdir():
        snapshot.unlink()
    with pytest.raises(RunError, match=r"has no snapshot of epoch 0; it has: none at all\.$"):
        run.load_model(0)


def test_epochs_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert run.snapshot_epochs() == []
    run.snapshots.mkdir()
    for epoch in (1000, 2, 999):
        run.snapshot_file(epoch).write_bytes(b"")
    (run.snapshots / "epoch-3.safetensors").write_bytes(b"")
    (run.snapshots / "notes.txt").write_bytes(b"")
    assert run.snapshot_epochs() == [2, 999, 1000]
