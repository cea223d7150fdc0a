"""Where else the training of a recipe is logged: TensorBoard, Weights & Biases or MLflow, by name.

A tracker is a callback that writes each row of the history; ``history.jsonl`` of a run is written in
any case. The libraries are imported when a recipe names them, and take their settings from their own
variables of the environment.
"""

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from lenetscope.errors import TrainingError, UsageError
from lenetscope.files import write_text
from lenetscope.recipe import Recipe
from lenetscope.registry import Registry
from lenetscope.training import tensorboard
from lenetscope.training.callbacks import Callback
from lenetscope.training.state import TrainState

TRACKERS: Registry[Callable[[Recipe, Path | None], Callback]] = Registry("logger")
"""Each makes a callback of a recipe and the run's folder, None where there is no run. It raises a
UsageError if its library is missing, and opens nothing before training begins."""

PROJECT = "lenetscope"
"""Name of the project or experiment, unless the library's own variable names another."""

COLUMNS = ("train_loss", "train_accuracy", "valid_loss", "valid_accuracy", "lr")
"""Columns of the history that are logged where they have a value."""


def make_tracker(recipe: Recipe, folder: Path | None = None) -> Callback | None:
    """Return the tracker that a recipe names, None for ``"none"``.

    Raises:
        UsageError: if its library is not installed.
    """
    return None if recipe.logger == "none" else TRACKERS.get(recipe.logger)(recipe, folder)


@TRACKERS.register("tensorboard")
class TensorBoardTracker(tensorboard.TensorBoardCallback):
    """Writes to ``tensorboard_<date and time>`` in the run's folder, else to ``runs/<recipe>_…``."""

    writer: Any

    def __init__(self, recipe: Recipe, folder: Path | None) -> None:
        tensorboard.writer_class()  # it may not be installed
        self._place = ("tensorboard", folder) if folder else (recipe.name, Path("runs"))
        self.writer = None

    def on_train_begin(self, state: TrainState, epochs: int, steps: int) -> None:
        """Open a writer, once; after it was closed, it opens new files by itself."""
        self.writer = self.writer or tensorboard.make_writer(*self._place)


class Tracker(Callback, ABC):
    """A run of a library; its key is kept in the run's folder, so that a resumed run goes on there."""

    library: str

    def __init__(self, recipe: Recipe, folder: Path | None) -> None:
        try:
            self.module: Any = import_module(self.library)
        except ImportError as error:
            install = f"pip install 'lenetscope[{self.library}]'"
            raise UsageError(f"cannot import {self.library} ({error}): {install}.") from error
        self.recipe, self.folder, self.key, self.is_open = recipe, folder, "", False

    @abstractmethod
    def begin(self) -> str:
        """Begin a run, or continue that of ``self.key``, and return its key."""

    @abstractmethod
    def log(self, values: dict[str, float], epoch: int) -> None:
        """Log numbers of an epoch by their names."""

    @abstractmethod
    def end(self, failed: bool) -> None:
        """End the run."""

    def on_train_begin(self, state: TrainState, epochs: int, steps: int) -> None:
        """Begin, or go on.

        Raises:
            TrainingError: if the library refuses to.
        """
        file = self.folder / f"{self.library}.txt" if self.folder else None
        if file and file.exists():
            self.key = file.read_text("utf-8").strip()
        try:
            self.key = self.begin()
        except Exception as error:  # each has errors of its own
            raise TrainingError(f"{self.library} cannot begin: {error}") from error
        self.is_open = True
        if file:
            write_text(file, f"{self.key}\n")

    def on_epoch_end(self, state: TrainState) -> None:
        """Log the epoch."""
        row = state.history[-1]
        self.log({name: row[name] for name in COLUMNS if row[name] is not None}, row["epoch"])

    def on_train_end(self, state: TrainState) -> None:
        """End the run, as failed if training ends by an error."""
        if self.is_open:
            self.is_open = False
            self.end(failed=sys.exc_info()[0] is not None)


@TRACKERS.register("wandb")
class WandbTracker(Tracker):
    """Logs to Weights & Biases; ``WANDB_MODE=offline`` keeps it in the folder ``wandb``."""

    library = "wandb"

    def begin(self) -> str:
        """Begin a run in the project ``WANDB_PROJECT``."""
        self.run = self.module.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=self.folder.name if self.folder else self.recipe.name,
            dir=str(self.folder) if self.folder else None,
            config=self.recipe.as_dict(),
            id=self.key or None,
            resume="allow",
        )
        return str(self.run.id)

    def log(self, values: dict[str, float], epoch: int) -> None:
        """Log at the step ``epoch``."""
        self.run.log(values, step=epoch)

    def end(self, failed: bool) -> None:
        """Finish the run."""
        self.run.finish(exit_code=int(failed))


@TRACKERS.register("mlflow")
class MlflowTracker(Tracker):
    """Logs to MLflow, where ``MLFLOW_TRACKING_URI`` says; the caller's active run is left alone."""

    library = "mlflow"

    def begin(self) -> str:
        """Begin a run in the experiment ``MLFLOW_EXPERIMENT_NAME``."""
        self.client = self.module.MlflowClient()
        if self.key:
            self.client.update_run(self.key, status="RUNNING")
            return self.key
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        found = self.client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else self.client.create_experiment(name)
        title = self.folder.name if self.folder else self.recipe.name
        key = str(self.client.create_run(experiment, run_name=title).info.run_id)
        for field, value in self.recipe.as_dict().items():
            self.client.log_param(key, field, value)
        return key

    def log(self, values: dict[str, float], epoch: int) -> None:
        """Log at the step ``epoch``."""
        for name, value in values.items():
            self.client.log_metric(self.key, name, value, step=epoch)

    def end(self, failed: bool) -> None:
        """End the run."""
        self.client.set_terminated(self.key, "FAILED" if failed else "FINISHED")
