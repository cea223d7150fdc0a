"""A study: the search for the best fields of a recipe, in a folder of its own.

A trial trains the recipe with some values of these fields. All trials have the same seed and the same
images, and are judged by those that the recipe holds out; the test images are not read.
"""

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from filelock import FileLock

from lenetscope import building, schema
from lenetscope.architecture import Architecture
from lenetscope.data.splits import Splits, completed, load
from lenetscope.errors import RunError, StorageError, TrainingError, UsageError
from lenetscope.files import write_json, write_text
from lenetscope.plots import style
from lenetscope.recipe import Recipe
from lenetscope.table import counted, percent
from lenetscope.training.callbacks import MONITORS, Callback, best_epoch, is_finished
from lenetscope.training.state import TrainState
from lenetscope.tuning import space
from lenetscope.tuning.figures import plot_history, plot_importance
from lenetscope.tuning.trials import By, Trial, Trials

if TYPE_CHECKING:
    import optuna

FORMAT = 1
"""Version of the folder's layout."""

MOST_HELD_OUT, FRACTION = 5000, 10
"""A recipe without a holdout gets a tenth of the training images, or 5,000 if those are fewer: the
standard error of an accuracy of 99 % is then 0.14 %."""

CHECK = schema.record(
    {
        "format": schema.whole(FORMAT, FORMAT),
        "space": schema.text,
        "by": schema.text,
        "trials": schema.whole(1),
        "data_dir": schema.optional(schema.text),
        "data": schema.mapping_of(schema.text),
    }
)
"""What ``tune.json`` holds."""


class Study:
    """The search for the best fields of a recipe, in a folder.

        base.toml       the recipe, without the values that are searched
        tune.json       what is searched, by what, how many trials there are to be, and of which data
        trials.jsonl    the trials, as Optuna's `JournalStorage` keeps them
        best.toml       the best recipe so far
        history.png     the value of each trial
        importance.png  what each field contributes

    Args:
        path: the folder, as `create` made it.

    Attributes:
        recipe: always holds images out.
        space: the text of what is searched.
        by: what is compared.

    Raises:
        RunError: if there is no study, or it is damaged.
        UsageError: if Optuna is not installed.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._settings = path, _settings(path)
        self.recipe = Recipe.load(path / "base.toml")
        self.space: str = self._settings["space"]
        self.by: By = self._settings["by"]
        self._column = f"valid_{self.by}"
        self._searched = space.parse(self.space, self.recipe)
        self._trials = Trials(path, self._searched, self.recipe.seed, MONITORS[self._column] > 0)
        self._splits: Splits | None = None

    @classmethod
    def create(
        cls,
        recipe: Recipe,
        text: str,
        by: By = "accuracy",
        trials: int = 40,
        *,
        path: Path | None = None,
        data_dir: Path | None = None,
    ) -> Self:
        """Begin a study, or open the one that is there, if it is the same.

        Args:
            recipe: has the other fields; without a holdout it gets one, see `MOST_HELD_OUT`.
            text: what is searched, see `space.parse`.
            by: ``"accuracy"`` or ``"loss"``, on the validation images.
            trials: how many there are to be.
            path: the folder, by default ``runs/<recipe>-tune-<n>`` with the first n that is free.
            data_dir: folder of the data.

        Raises:
            UsageError: if another study is there, or something is not allowed.
            RecipeError, DataError: see `splits.load`.
            StorageError: if the folder cannot be written.
        """
        space.parse(text, recipe)
        data = load(recipe, data_dir)
        recipe = completed(recipe, data)
        if not recipe.holdout:
            fewer = min(MOST_HELD_OUT, len(data.train.labels) // FRACTION)
            recipe = recipe.replace(holdout=max(1, fewer))
        where = str(data_dir.resolve()) if data_dir else None
        settings = {"format": FORMAT, "space": text, "by": by, "data": data.checksums}
        path = _make_folder(path, recipe.name)
        with FileLock(path / "study.lock"):
            if not _holds_study(path):
                recipe.save(path / "base.toml")
                write_json(path / "tune.json", settings | {"trials": trials, "data_dir": where})
        study = cls(path)
        before = study.recipe.as_dict()
        other = [f"another {key}" for key in settings if study._settings[key] != settings[key]]
        other += [f"another '{k}'" for k, value in recipe.as_dict().items() if before[k] != value]
        if other:
            raise UsageError(
                f"{path} is a study with {other[0]}. Continue it with --study {path} alone, or choose "
                "another folder."
            )
        return study

    def run(
        self,
        trials: int | None = None,
        *,
        stop: Callable[[], bool] = lambda: False,
        report: Callable[[Trial], None] = lambda _trial: None,
    ) -> bool:
        """Do trials until there are enough, those of other processes included.

        Args:
            trials: how many there are to be in all; by default what was planned.
            stop: is called after each step; where it returns True, the trial will be done again.
            report: is called after each trial.

        Returns:
            Whether nothing stopped it.

        Raises:
            UsageError: if fields do not fit together, such as a warm-up longer than the training.
            RunError: if the data are others than before.
        """
        splits, enough = self.splits(), self._settings["trials"] if trials is None else trials
        with self._trials.working():
            while not stop():
                if (trial := self._trials.next(enough)) is None:
                    return True
                if not self._train(trial, splits, stop):
                    break
                self._save_best()
                report(self.results()[trial.number])
        return False

    def splits(self) -> Splits:
        """Return the data of all trials: each holds the same images out.

        Raises:
            RunError: if the data are others than before.
        """
        if self._splits is None:
            where = self._settings["data_dir"]
            self._splits = load(self.recipe, Path(where) if where else None)
            if self._splits.checksums != self._settings["data"]:
                raise RunError(f"the data are not those that {self.path} was begun with.")
        return self._splits

    def results(self) -> list[Trial]:
        """Return all trials, in order."""
        return self._trials.results()

    def importance(self) -> dict[str, float]:
        """Return what each field contributes, most first, see `Trials.importance`."""
        return self._trials.importance()

    def best(self) -> Trial | None:
        """Return the first of the complete trials with the best value; None if none is complete."""
        complete = [trial for trial in self.results() if trial.value is not None]
        sign = MONITORS[self._column]
        return max(complete, key=lambda trial: sign * (trial.value or 0.0), default=None)

    def best_recipe(self) -> Recipe | None:
        """Return the recipe of the best trial, with a summary of how it was found."""
        if (best := self.best()) is None:
            return None
        summary = (
            f"the best of {self.count()} by validation {self.by}: {self.score(best.value)} on "
            f"{self.recipe.holdout:,} held-out training images"
        )
        return self.recipe.replace(name=f"{self.recipe.name}-tuned", summary=summary, **best.params)

    def score(self, value: float | None) -> str:
        """Return a value of a trial as text."""
        if value is None:
            return "none"
        return percent(value) if self.by == "accuracy" else f"{value:.4f}"

    def count(self) -> str:
        """Return how many trials of each kind there are, as text, without those that failed."""
        states = sorted(trial.state for trial in self.results() if trial.state != "failed")
        kinds = ", ".join(f"{states.count(kind)} {kind}" for kind in dict.fromkeys(states))
        return f"{counted(len(states), 'trial')}{f' ({kinds})' if kinds else ''}"

    def draw(self) -> list[Path]:
        """Draw the figures that there are enough trials for, and return their files."""
        found, trials = list[Path](), self.results()
        if self.best():
            found.append(style.save(plot_history(trials, self.by), self.path / "history.png"))
        if importance := self.importance():
            figure = plot_importance(trials, importance, self._searched, self.by)
            found.append(style.save(figure, self.path / "importance.png"))
        return found

    def _save_best(self) -> None:
        with self._trials.lock:
            best, recipe = self.best(), self.best_recipe()
            if best and recipe:
                text = (
                    f"# Trial {best.number} of the study {self.path}: lenetscope tune --space "
                    f"'{self.space}'.\n"
                    "# All trials have one seed and one set of held-out images; this is the best of\n"
                    "# them: on other images, expect a little less.\n\n"
                )
                write_text(self.path / "best.toml", text + recipe.to_toml())

    def _train(self, trial: "optuna.Trial", splits: Splits, stop: Callable[[], bool]) -> bool:
        """Do a trial, and return whether nothing stopped it."""
        pruning = Pruning(trial, self._column)
        try:
            recipe = self.recipe.replace(**trial.params)
            arch = building.from_splits(Architecture, recipe, splits)
            arch.train(callbacks=[pruning], progress=False, stop=stop)
        except TrainingError as error:  # the loss is not a number: that is an answer, too
            self._trials.prune(trial, diverged=str(error))
            return True
        except Exception:
            self._trials.fail(trial)
            raise
        if pruning.done:
            self._trials.prune(trial)
        elif is_finished(arch.history, recipe.epochs, recipe.patience):
            kept = best_epoch(arch.history) if recipe.keep == "best" else len(arch.history)
            self._trials.complete(trial, arch.history[kept - 1][self._column])
        else:
            self._trials.do_again(trial)
            return False
        return True


class Pruning(Callback):
    """Report each epoch to a trial, and end training where the trial is worse than most others were.

    Args:
        trial: Optuna's.
        column: of the history, to report.
    """

    def __init__(self, trial: "optuna.Trial", column: str) -> None:
        self.trial, self.column = trial, column

    def on_train_begin(self, state: TrainState, epochs: int, steps: int) -> None:
        """Remember which epoch is the last."""
        self._epochs = epochs

    def on_epoch_end(self, state: TrainState) -> None:
        """Report the epoch, and compare it with the same epoch of complete trials.

        Raises:
            TrainingError: if what is reported is not a finite number.
        """
        row = state.history[-1]
        value = row[self.column]
        if value is None or not math.isfinite(value):
            raise TrainingError(f"after epoch {row['epoch']}, {self.column} is {value}.")
        self.trial.report(value, row["epoch"])
        self.done = row["epoch"] < self._epochs and self.trial.should_prune()


def _make_folder(path: Path | None, name: str) -> Path:
    """Make the folder, or return the one that is there, if a study may begin or continue in it."""
    for number in itertools.count(1):
        folder = path or Path("runs") / f"{name}-tune-{number}"
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            if path is None:
                continue
        except OSError as error:
            raise StorageError(f"cannot make {folder}: {error.strerror}.") from error
        # another process may be about to begin the same study
        known = {"study.lock", "base.toml", "tune.json"}
        if folder.is_dir() and (_holds_study(folder) or {p.name for p in folder.iterdir()} <= known):
            return folder
        raise UsageError(f"{folder} exists and is not a study: choose another --study.")
    raise AssertionError


def _holds_study(path: Path) -> bool:
    return (path / "tune.json").exists()


def _settings(path: Path) -> dict[str, Any]:
    file = path / "tune.json"
    try:
        found = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise RunError(f"there is no study in {path}: {error.strerror} ({file.name}).") from error
    except ValueError as error:
        raise RunError(f"{file} is damaged: {error}.") from error
    try:
        CHECK(found, "")
    except schema.SchemaError as error:
        raise RunError(f"{file} is damaged: {error}. Begin another study.") from error
    checked: dict[str, Any] = found
    return checked
