"""Runs that go on: resumed with more epochs, stopped early, or kept at the best epoch."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from conftest import same_weights
from lenetscope import Architecture, Recipe, Run
from lenetscope.errors import UsageError
from lenetscope.runs import RunWriter
from lenetscope.training.callbacks import best_epoch, epochs_waited

Begin = Callable[..., tuple[Architecture, Run]]


@pytest.fixture
def begin(recipe: Recipe, idx_folder: Path, tmp_path: Path) -> Begin:
    """Return a function that starts a run of the recipe, with some fields changed."""

    def make(name: str, **overrides: Any) -> tuple[Architecture, Run]:
        arch = Architecture.from_recipe(recipe, **{"model": "mlp", "holdout": 20} | overrides)
        return arch, arch.start_run(tmp_path / name)

    return make


def trained(arch: Architecture, run: Run, **options: Any) -> Architecture:
    arch.train(callbacks=[RunWriter(run)], progress=False, **options)
    return arch


def kept(run: Run) -> dict[str, Any]:
    """Return what must come out the same, bit for bit; of the history all but the seconds."""
    rows = [{k: v for k, v in row.items() if "seconds" not in k} for row in run.history()]
    files = [run.weights_file, run.updates_file, *sorted(run.snapshots.iterdir())]
    return {"history": rows} | {str(f.relative_to(run.path)): f.read_bytes() for f in files}


def test_a_finished_run_goes_on_to_more_epochs(begin: Begin, capsys: pytest.CaptureFixture) -> None:
    arch, run = begin("run", schedule="one-cycle", epochs=2)
    run.save_scores(trained(arch, run).evaluate())
    assert run.planned_epochs() == 2
    assert run.is_finished()

    arch = trained(Architecture.resume_run(run, epochs=4, threads=2), run)
    assert arch.total_epochs == 4
    assert arch.state.schedule_ends == [2, 4]
    assert run.scores() is None  # they were of two epochs
    assert run.is_finished()
    assert [row["planned"] for row in run.history()] == [2, 2, 4, 4]
    (resumed,) = run.environment()["resumed"]
    assert (resumed["after_epoch"], resumed["epochs"], resumed["threads"]) == (2, 4, 2)
    assert run.recipe().epochs == 2
    assert run.planned_epochs() == 4

    again = Architecture.resume_run(run, epochs=4)
    again.train(callbacks=[RunWriter(run)])
    assert "nothing to train: the 4 epochs are done" in capsys.readouterr().err
    assert same_weights(again.model, arch.model)
    assert len(run.history()) == 4


def test_a_run_that_was_extended_is_resumed_with_the_same_bits(begin: Begin) -> None:
    arch, whole = begin("whole", schedule="one-cycle", epochs=2)
    trained(arch, whole)
    trained(Architecture.resume_run(whole, epochs=4), whole)
    for until in range(1, 7):  # of two epochs of three steps
        arch, run = begin(f"run{until}", schedule="one-cycle", epochs=2)
        trained(arch, run)
        steps = iter(range(1, 99))
        arch = Architecture.resume_run(run, epochs=4)
        trained(arch, run, stop=lambda steps=steps, until=until: next(steps) == until)
        assert run.is_finished() == (arch.total_epochs == 4)
        trained(Architecture.resume_run(run), run)
        assert kept(run) == kept(whole), f"stopped after step {until}"


def test_a_run_with_workers_is_resumed_with_another_number_with_the_same_bits(begin: Begin) -> None:
    options = {"augmentation": "shift", "epochs": 2, "dropout": 0.2}
    kinds = {}
    for workers in (0, 2):
        arch, whole = begin(f"whole{workers}", workers=workers, **options)
        trained(arch, whole)
        kinds[workers] = kept(whole)
    assert kinds[0] != kinds[2]  # other random numbers
    for until in (2, 3, 4):  # of two epochs of three steps
        arch, run = begin(f"run{until}", workers=1, **options)
        steps = iter(range(1, 99))
        trained(arch, run, stop=lambda steps=steps, until=until: next(steps) == until)
        trained(Architecture.resume_run(run, workers=2), run)
        assert kept(run) == kinds[2], f"stopped after step {until}"


def test_what_cannot_change_when_a_run_is_resumed(begin: Begin) -> None:
    arch, run = begin("run", epochs=3)
    trained(arch, run, stop=lambda: arch.total_epochs == 2)
    before = kept(run), run.environment()
    with pytest.raises(
        UsageError, match="a run keeps its lr; epochs, threads, workers, device can change"
    ):
        Architecture.resume_run(run, epochs=4, lr=0.1)
    with pytest.raises(UsageError, match=r"has 2 epochs already: 'epochs' must be at least 2\.$"):
        Architecture.resume_run(run, epochs=1)
    assert (kept(run), run.environment()) == before
    assert Architecture.resume_run(run, epochs=2).recipe.epochs == run.planned_epochs() == 2
    assert run.is_finished()


def test_a_run_is_resumed_with_the_threads_it_began_with(begin: Begin) -> None:
    _, run = begin("run", threads=0)
    facts = run.environment()
    run.environment_file.write_text(json.dumps(facts | {"threads": 3}))
    assert Architecture.resume_run(run).recipe.threads == 3
    assert Architecture.resume_run(run, threads=1).recipe.threads == 1


@pytest.mark.parametrize(
    "overrides",
    [
        {"patience": 2},
        {"keep": "best"},
        {"clip_grad_norm": 0.05},
        {"patience": 1, "keep": "best", "warmup": 1.5},
    ],
    ids=str,
)
def test_each_choice_is_resumed_with_the_same_bits(begin: Begin, overrides: dict[str, Any]) -> None:
    # a rate at which the validation loss goes up and down
    fixed = {"lr": 0.3, "dropout": 0, "epochs": 7} | overrides
    arch, whole = begin("whole", **fixed)
    trained(arch, whole)
    losses = [row["valid_loss"] for row in whole.history()]
    if "clip_grad_norm" not in overrides:
        assert losses.index(min(losses)) < len(losses) - 1
    assert (len(losses) < 7) == ("patience" in overrides)
    for until in range(1, 3 * len(losses), 4):  # each step of an epoch of three, in turn
        broken, run = begin(f"run{until}", **fixed)
        steps = iter(range(1, 99))
        trained(broken, run, stop=lambda steps=steps, until=until: next(steps) == until)
        again = trained(Architecture.resume_run(run), run)
        assert kept(run) == kept(whole), f"stopped after step {until}"
        assert same_weights(again.model, arch.model)


def test_the_best_weights_are_kept_and_training_goes_on_from_the_last(
    begin: Begin, tmp_path: Path
) -> None:
    fixed = {"lr": 0.3, "dropout": 0, "epochs": 7}
    arch, run = begin("run", keep="best", **fixed)
    run.save_scores(trained(arch, run).evaluate())
    best = best_epoch(arch.history)
    assert best < 7
    assert run.weights_epoch() == run.scores()["epoch"] == best
    assert run.weights_file.read_bytes() == run.snapshot_file(best).read_bytes()
    assert same_weights(arch.model, run.load_model(best))
    assert same_weights(arch.model, run.load_model())

    plain, other = begin("plain", **fixed)
    trained(plain, other)
    assert same_weights(plain.model, run.load_model(7))
    plain.train(1, progress=False)
    arch.save_checkpoint(tmp_path / "ended.pt")
    loaded = Architecture.from_recipe(run.recipe(), data_dir=run.data_dir())
    loaded.load_checkpoint(tmp_path / "ended.pt")
    assert same_weights(loaded.model, arch.model)
    for each in (arch, loaded):
        each.train(1, progress=False)
        assert each.losses == plain.losses
        assert same_weights(each.model, plain.model) == (best_epoch(each.history) == 8)
    extended = trained(Architecture.resume_run(run, epochs=8), run)
    assert extended.losses == plain.losses
    assert same_weights(extended.model, arch.model)


def test_weights_that_were_changed_by_hand_are_trained_on(begin: Begin) -> None:
    arch, _ = begin("run", keep="best", lr=0.3, dropout=0, epochs=7)
    arch.train(progress=False)
    with torch.no_grad():
        for parameter in arch.model.parameters():
            parameter.zero_()
    arch.state.take_last()
    assert not any(parameter.any() for parameter in arch.model.parameters())


def test_a_run_that_stopped_early_is_finished_until_it_is_asked_for_more(begin: Begin) -> None:
    arch, run = begin("run", patience=2, lr=1e-30, dropout=0, epochs=9)
    trained(arch, run)  # the loss stays what it is after the first epoch
    assert arch.total_epochs == 3
    assert run.is_finished()
    arch = trained(Architecture.resume_run(run), run)
    assert arch.total_epochs == 3
    arch = trained(Architecture.resume_run(run, epochs=20), run)
    assert arch.total_epochs == 5  # patience begins anew
    assert run.is_finished()
    arch.train(1, progress=False)
    assert arch.total_epochs == 6


def test_a_run_is_logged_to_tensorboard_in_its_folder(
    begin: Begin, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arch, run = begin("run", logger="tensorboard", epochs=1)
    trained(arch, run)
    trained(Architecture.resume_run(run, epochs=2), run)
    logs = sorted(run.path.glob("tensorboard_*/events.out.*"))
    text = b"".join(log.read_bytes() for log in logs)
    assert text.count(b"\n\x02lr") == 2  # the tag and its length
    assert not (tmp_path / "runs").exists()

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard.writer", None)
    with pytest.raises(UsageError, match=r"pip install 'lenetscope\[tensorboard\]'"):
        begin("other", logger="tensorboard")
    assert not (run.path.parent / "other").exists()


def test_a_training_without_a_run_is_logged_beside_the_runs(
    recipe: Recipe, idx_folder: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arch = Architecture.from_recipe(recipe, logger="tensorboard", model="mlp")
    arch.train(1, progress=False)
    assert list(tmp_path.glob("runs/reference_*/events.out.*"))


def test_epochs_waited_by_hand() -> None:
    losses = [0.5, 0.4, None, 0.45, float("nan"), 0.39]
    rows = [{"epoch": n + 1, "valid_loss": loss, "planned": 9} for n, loss in enumerate(losses)]
    assert best_epoch(rows) == 6
    assert best_epoch(rows, min_delta=0.05) == 2
    assert best_epoch([]) == 0
    assert epochs_waited(rows[:5], 9) == 3
    assert epochs_waited(rows[:5], 12) == 0  # just extended
    assert epochs_waited([*rows[:4], rows[4] | {"planned": 12}], 12) == 1


def test_the_best_epoch_needs_a_validation_loader(begin: Begin) -> None:
    arch, _ = begin("run", keep="best")
    arch.set_loaders(arch.train_loader)
    with pytest.raises(UsageError, match="give a validation loader"):
        arch.train(progress=False)
    assert arch.total_epochs == 0
