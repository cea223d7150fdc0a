"""A study: what is searched, how trials are judged, and that nothing is lost or done twice."""

import json
import math
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from conftest import bars
from lenetscope import Architecture, Recipe
from lenetscope.data.dataset import LabelledImages, RawDataset
from lenetscope.data.sources import DATASETS
from lenetscope.errors import RecipeError, RunError, UsageError
from lenetscope.tuning import space
from lenetscope.tuning.figures import plot_history, plot_importance, worst_shown
from lenetscope.tuning.study import Pruning, Study
from lenetscope.tuning.trials import Trial

optuna.logging.set_verbosity(optuna.logging.WARNING)

SPACE = "lr=log:1e-3..1,batch_size=8|16"


class Untouchable:
    """Has a shape, and anything else raises."""

    shape = (23, 1, 28, 28)

    def __len__(self) -> int:
        return 23

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the test images were read: {name}")

    __getitem__ = __iter__ = __array__ = __getattr__


@DATASETS.register("no-test")
def read(_folder: Path | None, _download: bool) -> RawDataset:
    """60 images with bars, and test images that raise when they are read."""
    images, labels = bars(60, 1)
    train = LabelledImages(torch.from_numpy(images.astype(np.uint8))[:, None], torch.from_numpy(labels))
    test: Any = LabelledImages(Untouchable(), Untouchable())
    return RawDataset(train, test, ("a", "b", "c"), {"no-test": "1"}, "no-test", None)


@pytest.fixture
def recipe() -> Recipe:
    quick = {"model": "mlp", "epochs": 2, "device": "cpu", "threads": 1, "holdout": 20}
    return Recipe.load("reference", data="no-test", **quick)


@pytest.fixture
def study(recipe: Recipe, tmp_path: Path) -> Study:
    return Study.create(recipe, SPACE, trials=4, path=tmp_path / "study")


def outcomes(study: Study) -> list[tuple[Any, ...]]:
    return [(trial.state, trial.value, trial.params) for trial in study.results()]


def test_each_kind_of_field_and_value() -> None:
    found = space.parse(
        "lr=log:1e-4..1, weight-decay=0...5,epochs=1..3,batch_size=log:8..64,"
        "dropout=0|0.5,optimizer=sgd|adam,keep=last|best,model=mlp|lean",
        Recipe.load("reference"),
    )
    assert found == {
        "lr": FloatDistribution(1e-4, 1, log=True),
        "weight_decay": FloatDistribution(0, 0.5),
        "epochs": IntDistribution(1, 3),
        "batch_size": IntDistribution(8, 64, log=True),
        "dropout": CategoricalDistribution([0.0, 0.5]),
        "optimizer": CategoricalDistribution(["sgd", "adam"]),
        "keep": CategoricalDistribution(["last", "best"]),
        "model": CategoricalDistribution(["mlp", "lean"]),
    }


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", UsageError, "'' does not say what to search: write lr=log"),
        ("lr", UsageError, "'lr' does not say what to search"),
        ("lr=0.1..1,", UsageError, "'' does not say what to search"),
        ("batchsize=8|16", UsageError, "unknown field 'batchsize'; did you mean 'batch_size'?"),
        ("seed=1|2", UsageError, "'seed' cannot be searched; these can: 'augmentation'"),
        ("holdout=1|2", UsageError, "'holdout' cannot be searched"),
        ("lr=0.1", UsageError, "'lr=0.1' is a single value: give it as --lr 0.1"),
        ("lr=1..0.1", UsageError, "the range of 'lr' must go from less to more, not from 1.0 to 0.1"),
        ("lr=0..1", RecipeError, "'lr' must be above 0"),
        ("lr=1..", RecipeError, "'lr' must be a number, not ''"),
        ("lr=1..inf", RecipeError, "'lr' must be a finite number"),
        ("lr=log:a..1", RecipeError, "'lr' must be a number, not 'a'"),
        ("weight_decay=log:0..1", UsageError, "range begins above 0, and that of 'weight_decay' at 0"),
        ("batch_size=8|x", RecipeError, "'batch_size' must be a whole number, not 'x'"),
        ("batch_size=8|8", UsageError, "'batch_size' has a choice twice"),
        ("epochs=1.5..3", RecipeError, "'epochs' must be a whole number, not '1.5'"),
        ("dropout=0..2", RecipeError, "'dropout' must be at least 0 and at most 1"),
        ("optimizer=sgd..adam", UsageError, "'optimizer' has no range"),
        ("optimizer=sdg|adam", UsageError, "did you mean 'sgd'?"),
        ("lr=0.1|1,lr=2|3", UsageError, "'lr' is given twice"),
    ],
)
def test_what_cannot_be_searched_is_told(text: str, error: type, message: str) -> None:
    with pytest.raises(error) as told:
        space.parse(text, Recipe.load("reference"))
    assert message in str(told.value)
    assert "\n" not in str(told.value)


def test_optuna_that_is_not_installed_is_told(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError, match=r"pip install 'lenetscope\[tune\]'"):
        space.parse(SPACE, Recipe.load("reference"))


def test_trials_are_ordinary_trainings_judged_by_held_out_images(study: Study) -> None:
    """Those of the test would raise; the best recipe, trained as any other, reaches the same."""
    assert study.run()
    trials = study.results()
    assert [trial.number for trial in trials] == [1, 2, 3, 4]
    assert {trial.params["batch_size"] for trial in trials} <= {8, 16}
    best = study.best()
    assert best.value == max(trial.value for trial in trials if trial.value is not None)
    again = Recipe.load(study.path / "best.toml")
    assert again.name == "reference-tuned"
    assert "the best of 4 trials (4 complete) by validation accuracy: " in again.summary
    assert again.summary.endswith(" on 20 held-out training images")
    assert again.replace(name="x", summary="x") == study.recipe.replace(
        name="x", summary="x", **best.params
    )
    arch = Architecture.from_recipe(again)
    arch.train(progress=False)
    assert [row["valid_accuracy"] for row in arch.history] == best.values
    assert best.value == best.values[-1]


def test_a_recipe_without_a_holdout_gets_a_tenth(recipe: Recipe, tmp_path: Path) -> None:
    study = Study.create(recipe.replace(holdout=0), SPACE, trials=1, path=tmp_path / "study")
    assert study.recipe.holdout == 6
    assert len(study.splits().valid.labels) == 6
    assert study.run()
    assert Recipe.load(study.path / "best.toml").holdout == 6


def test_with_keep_best_the_value_is_that_of_the_best_epoch(recipe: Recipe, tmp_path: Path) -> None:
    wild = recipe.replace(keep="best", epochs=6)
    study = Study.create(wild, "lr=0.3..1.0", "loss", 4, path=tmp_path / "study")
    study.run()
    complete = [trial for trial in study.results() if trial.value is not None]
    assert [trial.value for trial in complete] == [min(trial.values) for trial in complete]
    assert any(trial.value < trial.values[-1] for trial in complete)
    assert study.best().value == min(trial.value for trial in complete)


def test_the_same_trials_each_time_also_when_interrupted(
    study: Study, recipe: Recipe, tmp_path: Path
) -> None:
    study.run()
    other = Study.create(recipe, SPACE, trials=4, path=tmp_path / "other")
    steps = iter(range(1000))
    assert not other.run(stop=lambda: next(steps) >= 17)
    assert [trial.state for trial in other.results()].count("failed") == 1
    assert [trial.state for trial in other.results()].count("waiting") == 1
    assert not list((other.path / "processes").iterdir())
    other = Study(other.path)
    assert other.run()
    done = [outcome for outcome in outcomes(other) if outcome[0] != "failed"]
    assert done[:2] == outcomes(study)[:2]
    assert len(done) == 4
    assert Study(study.path).run()  # enough: nothing is done
    assert len(study.results()) == 4
    assert study.run(6)
    assert len(study.results()) == 6


def test_what_a_dead_process_left_is_done_again_once(study: Study) -> None:
    dead = Study(study.path)
    with dead._trials.working():
        left = dead._trials.next(4)
        other = study._trials.next(4)
        assert other.params != left.params
        study._trials.complete(other, 0.5)  # it is alive: its trial is left alone
        assert [trial.state for trial in study.results()] == ["running", "complete"]
    for _ in range(2):  # also if it is found twice
        assert Study(study.path).run(3)
    again = [trial for trial in study.results() if trial.params == left.params]
    assert [trial.state for trial in again] == ["failed", "complete"]
    assert Counter(trial.state for trial in study.results()) == {"failed": 1, "complete": 3}


def test_a_process_may_die_between_any_two_lines(study: Study) -> None:
    """After each line of the file, also in the middle of one, the study goes on to four trials."""
    study.run()
    content = (study.path / "trials.jsonl").read_bytes()
    ends = [place + 1 for place, byte in enumerate(content) if byte == 10]
    for end in [0, *ends[:: len(ends) // 4], *(end - 3 for end in ends[:: len(ends) // 4])]:
        (study.path / "trials.jsonl").write_bytes(content[:end])
        assert Study(study.path).run()
        states = Counter(trial.state for trial in Study(study.path).results())
        assert states["complete"] + states["pruned"] == 4
        assert set(states) <= {"complete", "pruned", "failed"}


def test_a_loss_that_is_no_number_is_an_answer(recipe: Recipe, tmp_path: Path) -> None:
    study = Study.create(recipe, "lr=1e20..1e30", trials=2, path=tmp_path / "study")
    assert study.run()
    assert [trial.state for trial in study.results()] == ["diverged"] * 2
    assert study.best() is None
    assert study.draw() == []
    assert study.count() == "2 trials (2 diverged)"
    assert not (study.path / "best.toml").exists()


def test_fields_that_do_not_fit_together_end_the_study(recipe: Recipe, tmp_path: Path) -> None:
    study = Study.create(recipe, "warmup=2..3", trials=2, path=tmp_path / "study")
    with pytest.raises(UsageError, match="'warmup' must be less than the epochs"):
        study.run()
    assert [trial.state for trial in study.results()] == ["failed"]


class Judged:
    """A trial whose pruner says yes from the second epoch on."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, float]] = []

    def report(self, value: float, epoch: int) -> None:
        self.seen.append((epoch, value))

    def should_prune(self) -> bool:
        return len(self.seen) >= 2


@pytest.mark.parametrize(("epochs", "pruned"), [(2, False), (5, True)])
def test_pruning_ends_a_training_unless_it_is_at_its_end(
    recipe: Recipe, epochs: int, pruned: bool
) -> None:
    trial: Any = Judged()
    callback = Pruning(trial, "valid_loss")
    arch = Architecture.from_recipe(recipe, epochs=epochs)
    arch.train(callbacks=[callback], progress=False)
    assert trial.seen == [(row["epoch"], row["valid_loss"]) for row in arch.history]
    assert len(trial.seen) == 2
    assert callback.done == pruned


def test_bad_trials_are_pruned(recipe: Recipe, tmp_path: Path) -> None:
    """Five good trials; those that learn nothing end after their first epoch."""
    study = Study.create(recipe, "lr=0.05..0.06", trials=5, path=tmp_path / "study")
    assert study.run()
    settings = (study.path / "tune.json").read_text()
    (study.path / "tune.json").write_text(settings.replace("0.05..0.06", "lr=1e-9..1e-8"[3:]))
    worse = Study(study.path)
    assert worse.run(6)
    assert worse.results()[5].state == "pruned"
    assert len(worse.results()[5].values) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": "lr=0.1..1"}, "is a study with another space"),
        ({"by": "loss"}, "is a study with another by"),
        ({"dropout": 0.1}, "is a study with another 'dropout'"),
        ({"holdout": 0}, "is a study with another 'holdout'"),
    ],
)
def test_another_study_is_not_continued(
    study: Study, recipe: Recipe, change: dict[str, Any], message: str
) -> None:
    own = {key: change.pop(key) for key in ("text", "by") if key in change}
    with pytest.raises(UsageError, match=message):
        Study.create(recipe.replace(**change), **{"text": SPACE} | own, path=study.path)
    assert Study.create(recipe, SPACE, path=study.path).recipe == recipe


def test_folders_that_are_no_studies(study: Study, recipe: Recipe, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").touch()
    with pytest.raises(UsageError, match="full exists and is not a study"):
        Study.create(recipe, SPACE, path=tmp_path / "full")
    with pytest.raises(UsageError, match=r"letter.txt exists and is not a study"):
        Study.create(recipe, SPACE, path=tmp_path / "full" / "letter.txt")
    with pytest.raises(RunError, match="there is no study in"):
        Study(tmp_path / "full")
    file = study.path / "tune.json"
    settings = json.loads(file.read_text())
    for damage in ("{", "[]", json.dumps(settings | {"trials": "x"}), json.dumps({"format": 1})):
        file.write_text(damage)
        with pytest.raises(RunError, match=r"tune.json is damaged"):
            Study(study.path)
    file.write_text(json.dumps(settings | {"data": {"no-test": "2"}}))
    with pytest.raises(RunError, match="the data are not those"):
        Study(study.path).run()
    monkeypatch.chdir(tmp_path)
    paths = [Study.create(recipe, SPACE).path for _ in range(2)]
    assert paths == [Path("runs/reference-tune-1"), Path("runs/reference-tune-2")]


def test_the_figures_show_the_trials() -> None:
    values = [0.5, 0.97, 0.1, 0.98, 0.96, 0.99]
    trials = [
        Trial(n + 1, "complete", value, {"lr": 10**-n, "optimizer": "sgd"}, [value])
        for n, value in enumerate(values)
    ]
    trials.append(Trial(7, "pruned", None, {"lr": 1.0, "optimizer": "adam"}, [0.9]))
    # best 99, median of all seven values 96: what is worse than 99 - 3 * 3 is at the border
    assert worst_shown([100 * value for value in [*values, 0.9]], "accuracy") == 90
    figure = plot_history(trials, "accuracy")
    best, good, bad, pruned = figure.axes[0].lines[:4]
    assert best.get_ydata() == pytest.approx([90, 97, 97, 98, 98, 99, 99])
    assert good.get_ydata() == pytest.approx([97, 98, 96, 99])
    assert (list(bad.get_xdata()), bad.get_ydata()) == ([1, 3], pytest.approx([90, 90]))
    assert pruned.get_ydata() == pytest.approx([90])
    losses = plot_history([trial for trial in trials if trial.value], "loss").axes[0].lines[0]
    assert losses.get_ydata() == pytest.approx([0.5, 0.5, 0.1, 0.1, 0.1, 0.1, 0.1])

    searched = space.parse("lr=log:1e-6..1,optimizer=sgd|adam", Recipe.load("reference"))
    shares = {"lr": 0.75, "optimizer": 0.25}
    bars, rates, optimizers = plot_importance(trials, shares, searched, "accuracy").axes
    assert [bar.get_width() for bar in bars.patches] == [0.25, 0.75]  # from the bottom
    assert rates.get_xscale() == "log"
    assert sorted(rates.lines[0].get_xdata()) == pytest.approx([1e-5, 1e-4, 1e-3, 1e-1])
    assert set(optimizers.lines[0].get_xdata()) == {0}


def test_nothing_matters_where_all_trials_are_equal(study: Study) -> None:
    with study._trials.working():
        for _ in range(5):
            study._trials.complete(study._trials.next(5), 1.0)
    assert study.importance() == {}
    assert study.best().number == 1
    assert [file.name for file in study.draw()] == ["history.png"]


def test_what_matters_is_found(recipe: Recipe, tmp_path: Path) -> None:
    """The learning rate decides, and the second beta is of no use to SGD."""
    study = Study.create(recipe, "lr=log:1e-6..0.1,beta2=0.5..0.9", trials=12, path=tmp_path / "study")
    assert study.run(4)
    assert study.importance() == {}  # too few
    assert [file.name for file in study.draw()] == ["history.png"]
    assert study.run()
    importance = study.importance()
    assert list(importance) == ["lr", "beta2"]
    assert math.isclose(sum(importance.values()), 1)
    assert [file.name for file in study.draw()] == ["history.png", "importance.png"]


PROGRAM = """
import sys
from pathlib import Path
from lenetscope.tuning.study import Study
Study(Path(sys.argv[1])).run(report=lambda trial: print(trial.number, flush=True))
"""


def start(study: Study) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", PROGRAM, str(study.path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_a_killed_process_loses_nothing(recipe: Recipe, idx_folder: Path, tmp_path: Path) -> None:
    long = recipe.replace(data=idx_folder, epochs=500)
    study = Study.create(long, SPACE, trials=1, path=tmp_path / "study")
    with start(study) as killed:
        until = time.monotonic() + 120
        while not (running := [t for t in study.results() if t.state == "running" and t.values]):
            assert time.monotonic() < until
            time.sleep(0.02)
        killed.send_signal(signal.SIGKILL)
    assert study.run()
    assert [trial.state for trial in study.results()] == ["failed", "complete"]
    assert study.results()[1].params == running[0].params


@pytest.mark.slow
def test_several_processes_share_the_trials(recipe: Recipe, idx_folder: Path, tmp_path: Path) -> None:
    own = recipe.replace(data=idx_folder)
    study = Study.create(own, SPACE, trials=4, path=tmp_path / "study")
    processes = [start(study) for _ in range(2)]
    numbers = [int(line) for process in processes for line in process.communicate()[0].split()]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(numbers) == [1, 2, 3, 4]
    assert len({str(trial.params) for trial in study.results()}) == 4
    assert not list((study.path / "processes").iterdir())
    assert study.best() is not None
