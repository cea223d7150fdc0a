"""Trackers: what they are told of a training, with modules in place of the libraries that record it."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lenetscope import Architecture, Recipe, Run, RunWriter
from lenetscope.errors import TrainingError, UsageError
from lenetscope.training.trackers import COLUMNS, TRACKERS

Call = tuple[Any, ...]


def fake_wandb(calls: list[Call]) -> ModuleType:
    """Weights & Biases: `init`, and `log` and `finish` of what it returns."""

    class FakeRun:
        def __init__(self, key: str) -> None:
            self.id = key

        def log(self, values: dict[str, float], step: int) -> None:
            calls.append(("log", self.id, step, values))

        def finish(self, exit_code: int) -> None:
            calls.append(("end", self.id, exit_code))

    def init(**options: Any) -> FakeRun:
        key = options.pop("id")
        calls.append(("continue" if key else "begin", options["project"], options["config"]))
        return FakeRun(key or f"key-{len(calls)}")

    module: Any = ModuleType("wandb")
    module.init = init
    return module


def fake_mlflow(calls: list[Call]) -> ModuleType:
    """MLflow: the client's methods; the numbers of one step come as one call."""

    class Named:
        def __init__(self, **names: Any) -> None:
            vars(self).update(names)

    class MlflowClient:
        def get_experiment_by_name(self, name: str) -> None:
            self.project = name

        def create_experiment(self, name: str) -> str:
            assert name == self.project
            return "7"

        def create_run(self, experiment: str, run_name: str) -> Named:
            assert experiment == "7"
            calls.append(("begin", self.project, {}))
            return Named(info=Named(run_id=f"key-{len(calls)}"))

        def update_run(self, key: str, status: str) -> None:
            assert status == "RUNNING"
            calls.append(("continue", key, {}))

        def log_param(self, _key: str, name: str, value: Any) -> None:
            calls[-1][2][name] = value

        def log_metric(self, key: str, name: str, value: float, step: int) -> None:
            if calls[-1][:3] != ("log", key, step):
                calls.append(("log", key, step, {}))
            calls[-1][3][name] = value

        def set_terminated(self, key: str, status: str) -> None:
            calls.append(("end", key, {"FINISHED": 0, "FAILED": 1}[status]))

    module: Any = ModuleType("mlflow")
    module.MlflowClient = MlflowClient
    return module


FAKES: dict[str, Callable[[list[Call]], ModuleType]] = {"wandb": fake_wandb, "mlflow": fake_mlflow}


@pytest.fixture(params=FAKES)
def logger(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def calls(logger: str, monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """What the library was called for."""
    found: list[Call] = []
    monkeypatch.setitem(sys.modules, logger, FAKES[logger](found))
    for name in ("WANDB_PROJECT", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    return found


@pytest.fixture
def recipe(logger: str, idx_folder: Path) -> Recipe:
    quick = {"model": "mlp", "epochs": 2, "device": "cpu", "threads": 1, "holdout": 20}
    return Recipe.load("reference", data=idx_folder, logger=logger, **quick)


def logged(run: Run) -> list[dict[str, Any]]:
    return [{name: row[name] for name in COLUMNS} for row in run.history()]


def test_every_logger_of_the_recipe_is_a_tracker() -> None:
    from typing import get_args

    from lenetscope.recipe import Logger

    assert {"none", *TRACKERS.names()} == set(get_args(Logger))


def test_a_run_is_logged_and_goes_on_in_the_same_place(
    recipe: Recipe, calls: list[Call], tmp_path: Path
) -> None:
    arch = Architecture.from_recipe(recipe)
    run = arch.start_run(tmp_path / "run")
    assert not calls
    arch.train(callbacks=[RunWriter(run)], progress=False)
    Architecture.resume_run(run, epochs=3).train(callbacks=[RunWriter(run)], progress=False)
    begin, *first, end, again, last, _ = calls
    assert begin[:2] == ("begin", "lenetscope")
    assert begin[2] == recipe.as_dict()
    assert [call[2:] for call in [*first, last]] == list(enumerate(logged(run), start=1))
    assert len({call[1] for call in [*first, end, last]}) == 1  # one key
    assert end[0] == "end"
    assert end[2] == 0
    assert again[0] == "continue"
    assert (run.path / f"{recipe.logger}.txt").read_text() == f"{end[1]}\n"


def test_without_a_run_the_second_call_goes_on(
    recipe: Recipe, calls: list[Call], tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arch = Architecture.from_recipe(recipe)
    arch.val_loader = None
    arch.train(1, progress=False)
    arch.train(1, progress=False)
    assert [call[0] for call in calls] == ["begin", "log", "end", "continue", "log", "end"]
    assert set(calls[1][3]) == {"train_loss", "train_accuracy", "lr"}  # there is no validation
    assert not any(tmp_path.iterdir())


def test_a_training_that_fails_has_failed(recipe: Recipe, calls: list[Call]) -> None:
    arch = Architecture.from_recipe(recipe, lr=1e30)
    with pytest.raises(TrainingError):
        arch.train(progress=False)
    assert calls[-1][0] == "end"
    assert calls[-1][2] == 1


def test_a_library_that_is_missing_is_told_before_training(recipe: Recipe, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, recipe.logger, None)
    install = rf"cannot import {recipe.logger} \(.*\): pip install 'lenetscope\[{recipe.logger}\]'"
    with pytest.raises(UsageError, match=install):
        Architecture.from_recipe(recipe)


def test_a_library_that_refuses_is_told_in_one_line(
    recipe: Recipe, calls: list[Call], monkeypatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no key for the service")

    monkeypatch.setattr(TRACKERS.get(recipe.logger), "begin", refuse)
    arch = Architecture.from_recipe(recipe)
    with pytest.raises(TrainingError, match=f"{recipe.logger} cannot begin: no key for the service"):
        arch.train(progress=False)
    assert not calls
    assert arch.total_epochs == 0
