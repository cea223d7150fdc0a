"""The run folder: what is in it, how it is created and how it is read.

It is complete at any moment: each file is written under a temporary name, flushed and renamed, and the
folder itself appears with its recipe in it.

    recipe.toml           the recipe
    config.json           format, network, image shape, classes, preprocessing
    environment.json      versions, threads, device, checksums of the data, command
    history.jsonl         one row per epoch
    weights.safetensors   the weights after the last epoch that was saved, or those of the best one
    checkpoint.pt         the whole state of the training
    snapshots/            epoch-000.safetensors before training, and the weights after each epoch
    updates.jsonl         one row per epoch: how far single steps moved each tensor of weights
    scores.json           the scores of the finished run on the test images
    figures/              what ``lenetscope inspect`` draws
    export/               what ``lenetscope export`` writes, a folder for each format
    report.html           what ``lenetscope report`` writes
"""

import itertools
import re
import secrets
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from lenetscope.arguments import as_path
from lenetscope.data.splits import Splits
from lenetscope.errors import RunError, StorageError, UsageError
from lenetscope.evaluation.scores import Scores
from lenetscope.files import sync_folder, write_json
from lenetscope.models import MODELS, build
from lenetscope.recipe import Recipe
from lenetscope.runs import records
from lenetscope.schema import described
from lenetscope.training.callbacks import is_finished
from lenetscope.training.checkpoint import require_same_tensors
from lenetscope.training.updates import UpdateRow

FORMAT = 2
"""Version of the folder's layout."""


class _Inside:
    """The path of a file in the folder."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, run: "Run", _owner: object) -> Path:
        return run.path / self.name


@dataclass(frozen=True)
class Run:
    """A run folder: a path, the paths of its files, and what they hold."""

    path: Path

    recipe_file = _Inside("recipe.toml")
    config_file = _Inside("config.json")
    environment_file = _Inside("environment.json")
    history_file = _Inside("history.jsonl")
    weights_file = _Inside("weights.safetensors")
    checkpoint_file = _Inside("checkpoint.pt")
    snapshots = _Inside("snapshots")
    updates_file = _Inside("updates.jsonl")
    scores_file = _Inside("scores.json")

    def snapshot_file(self, epoch: int) -> Path:
        """Return the path of the weights after an epoch, counted from 1; 0 is before training."""
        return self.snapshots / f"epoch-{epoch:03d}.safetensors"

    @classmethod
    def create(
        cls, recipe: Recipe, splits: Splits, environment: dict[str, Any], path: str | Path | None = None
    ) -> Self:
        """Make a new run folder, with all that is known before training.

        Args:
            recipe: of the run.
            splits: its data, for the shape of the images, the classes and the checksums.
            environment: see `runs.environment`.
            path: where; by default ``runs/<recipe>-<n>`` with the first n that is free.

        Raises:
            RunError: if the path is taken.
            StorageError: if it cannot be written.
        """
        path = Path(path) if path else None
        parent = path.parent if path else Path("runs")
        temporary = parent / f".{path.name if path else recipe.name}.{secrets.token_hex(4)}.tmp"
        config = {
            "format": FORMAT,
            "model": recipe.model,
            "image_shape": list(splits.train.images.shape[1:]),
            "classes": list(splits.classes),
            "mean": list(recipe.mean),
            "std": list(recipe.std),
        }
        try:
            run = cls(temporary)
            recipe.save(run.recipe_file)
            write_json(run.config_file, config)
            write_json(run.environment_file, environment)
            number = itertools.count(1)
            while not _renamed(temporary, target := path or parent / f"{recipe.name}-{next(number)}"):
                if path:
                    raise RunError(
                        f"{path} exists already and is not overwritten. Resume it by --resume {path}, "
                        "or choose another --run-dir."
                    )
        except OSError as error:
            why = getattr(error.__cause__ or error, "strerror", None) or error
            raise StorageError(f"cannot make a run folder in {parent}: {why}.") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)  # unless it was renamed
        return cls(target)

    @classmethod
    def open(cls, path: "str | Path | Run") -> Self:
        """Open a run folder that `create` made.

        Raises:
            RunError: if there is none, or it is damaged or of another version.
        """
        run = cls(path.path if isinstance(path, Run) else as_path(path))
        if not records.exists(run.path):
            raise RunError(f"there is no run {run.path}{_nearby(run.path)}.")
        if not records.exists(run.config_file) or not records.exists(run.recipe_file):
            raise RunError(f"{run.path} is not a run folder: it has no config.json and recipe.toml.")
        run.config()
        return run

    @classmethod
    def newest(cls, parent: Path = Path("runs")) -> Self:
        """Open the run in a folder whose files changed last.

        Raises:
            RunError: if there is none, or it cannot be opened.
        """
        if not (runs := _runs_in(parent)):
            raise RunError(f"there is no run in {parent}/; train one: lenetscope train")
        return cls.open(max(runs, key=_changed))

    def config(self) -> dict[str, Any]:
        """Return what ``config.json`` holds.

        Raises:
            RunError: if it cannot be read, lacks something, or is of another version.
        """
        config = records.read_object(self.config_file)
        if config.get("format") != FORMAT:
            found = described(config.get("format"))
            raise RunError(
                f"{self.path} is a run folder of format {found}; this version of "
                f"lenetscope reads format {FORMAT}: train the run again, or open it with the version "
                "in its environment.json."
            )
        records.require(self.config_file, records.CONFIG, config)
        if len(set(config["classes"])) < len(config["classes"]):
            raise records.damaged(self.config_file, "two classes have the same name")
        return config

    def environment(self) -> dict[str, Any]:
        """Return what ``environment.json`` holds.

        Raises:
            RunError: if it cannot be read, or holds what no run has.
        """
        return records.read_object(self.environment_file, records.ENVIRONMENT)

    def add_to_environment(self, resumed: dict[str, Any]) -> None:
        """Add to ``environment.json`` that, and where, the run was resumed."""
        facts = self.environment()
        write_json(self.environment_file, facts | {"resumed": [*facts.get("resumed", []), resumed]})

    def add_lr_change(self, epoch: int, step: int, lr: float) -> None:
        """Add to ``environment.json`` that it went on with a learning rate that is not the recipe's.

        Args:
            epoch: epochs done.
            step: steps done of the next.
            lr: see `training.schedules.replan_rate`.
        """
        facts, change = self.environment(), {"epoch": epoch, "step": step, "lr": lr}
        write_json(
            self.environment_file, facts | {"lr_changes": [*facts.get("lr_changes", []), change]}
        )

    def recipe(self) -> Recipe:
        """Return the recipe.

        Raises:
            RecipeError: if it was changed into something that is not allowed.
        """
        return Recipe.load(self.recipe_file)

    def planned_epochs(self) -> int:
        """Return how many epochs the run is to reach: the recipe's, unless it was extended."""
        resumed = self.environment().get("resumed", [])
        epochs = [each["epochs"] for each in resumed if "epochs" in each]
        return epochs[-1] if epochs else self.recipe().epochs

    def is_finished(self) -> bool:
        """Tell whether the planned epochs are done, or early stopping has ended the training."""
        return is_finished(self.history(), self.planned_epochs(), self.recipe().patience)

    def weights_epoch(self) -> int:
        """Return the number of the epoch whose weights the run ends with, from 1.

        Raises:
            RunError: if there are none, or the file is damaged.
        """
        records.require_readable(self.weights_file)
        try:
            with safe_open(self.weights_file, "pt") as file:
                return int(file.metadata()["epoch"])
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise RunError(f"cannot read {self.weights_file}: {error}.") from error

    def data_dir(self) -> Path | None:
        """Return the folder of the data; None if it was the user's cache."""
        folder = self.environment().get("data_dir")
        return Path(folder) if folder else None

    def require_same_data(self, splits: Splits) -> None:
        """Compare the checksums of the data with those of the run.

        Raises:
            RunError: if they differ.
        """
        if self.environment().get("data") != splits.checksums:
            raise RunError(f"the data are not those that {self.path} was trained on.")

    def snapshot_epochs(self) -> list[int]:
        """Return the epochs whose weights are kept, in order; 0 is before training."""
        names = (re.fullmatch(r"epoch-(\d{3,})\.safetensors", p.name) for p in self.snapshots.glob("*"))
        return sorted(int(name[1]) for name in names if name)

    def load_model(self, epoch: int | None = None) -> nn.Module:
        """Build the network and give it the weights of the run.

        Args:
            epoch: whose weights, 0 for before training; None for the last that was saved.

        Raises:
            RunError: if no weights have been saved yet, there is no snapshot of that epoch, or the
                file is damaged.
            CheckpointError: if they are of another network.
        """
        file = self.weights_file if epoch is None else self.snapshot_file(epoch)
        if epoch is not None and not records.exists(file):
            kept = ", ".join(map(str, self.snapshot_epochs())) or "none at all"
            raise RunError(f"{self.path} has no snapshot of epoch {epoch}; it has: {kept}.")
        if not records.exists(file):
            raise RunError(
                f"{self.path} has no weights yet, because its first epoch was not finished. Finish it: "
                f"lenetscope train --resume {self.path}"
            )
        weights = read_weights(file)
        config, recipe = self.config(), self.recipe()
        shape, classes = tuple(config["image_shape"]), len(config["classes"])
        if len(recipe.mean) != shape[0]:
            raise records.damaged(self.recipe_file, f"'mean' and 'std' must have {shape[0]} numbers")
        self.require_network()
        return build_with_weights(recipe, shape, classes, weights, file)

    def require_network(self) -> None:
        """Check that the network of the recipe is there: a user's own may have moved.

        Raises:
            RunError: if it is not.
        """
        recipe = self.recipe()
        try:
            MODELS.get(recipe.model)
        except UsageError as error:
            raise RunError(
                f"{self.path} was trained with the model '{recipe.model}', which is not here; {error} "
                "Go where it is, or install it."
            ) from error

    def history(self) -> list[dict[str, Any]]:
        """Return the rows of ``history.jsonl``, none if there are none yet.

        Raises:
            RunError: if it cannot be read.
        """
        rows = records.read_rows(self.history_file, records.HISTORY)
        if [row["epoch"] for row in rows] != list(range(1, len(rows) + 1)):
            raise records.damaged(self.history_file, "its rows must be of the epochs 1, 2, 3 and so on")
        return rows

    def updates(self) -> list[UpdateRow]:
        """Return the rows of ``updates.jsonl``, none if there are none.

        Raises:
            RunError: if it cannot be read.
        """
        found = records.read_rows(self.updates_file, records.UPDATES)
        rows = [UpdateRow(row["epoch"], row["steps"], row["ratios"]) for row in found]
        if any(len(ratios) != len(row.steps) for row in rows for ratios in row.ratios.values()):
            raise records.damaged(
                self.updates_file, "each of the ratios must have a number for each of the steps"
            )
        return rows

    def scores(self) -> dict[str, Any] | None:
        """Return what ``scores.json`` holds, None before the run is finished.

        Raises:
            RunError: if it cannot be read.
        """
        if not records.exists(self.scores_file):
            return None
        scores = records.read_object(self.scores_file, records.SCORES)
        sizes = {len(scores["classes"]), *map(len, [scores["confusion"], *scores["confusion"]])}
        if len(sizes) > 1 or sum(map(sum, scores["confusion"])) != scores["n"]:
            raise records.damaged(
                self.scores_file, "confusion must be counts of n images, classes by classes"
            )
        return scores

    def save_scores(self, scores: Scores) -> None:
        """Write ``scores.json``, with the number of the epoch whose weights they are of."""
        write_json(self.scores_file, {"epoch": self.weights_epoch()} | scores.as_dict())


def read_weights(file: Path) -> dict[str, Tensor]:
    """Return what a safetensors file holds.

    Raises:
        RunError: if it cannot be read, or is damaged.
    """
    records.require_readable(file)
    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise RunError(f"{file} is truncated or damaged: {error}.") from error


def build_with_weights(
    recipe: Recipe,
    image_shape: tuple[int, int, int],
    classes: int,
    weights: dict[str, Tensor],
    file: Path,
) -> nn.Module:
    """Build the recipe's network, and give it the weights of a file.

    Raises:
        CheckpointError: if they are of another network.
    """
    # a huge network takes no memory on that device, where some cannot be made: they raise these two
    with suppress(RuntimeError, ValueError), torch.device("meta"):
        require_same_tensors(build(recipe, image_shape, classes).state_dict(), weights, file)
    model = build(recipe, image_shape, classes)
    model.load_state_dict(require_same_tensors(model.state_dict(), weights, file))
    return model


def _renamed(folder: Path, target: Path) -> bool:
    """Rename a folder if the new name is free, or that of an empty folder: one process gets it."""
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        return False
    try:
        folder.rename(target)
    except OSError as error:
        if target.exists():  # another process was quicker
            return False
        raise StorageError(f"cannot write {target}: {error.strerror}.") from error
    sync_folder(target.parent)
    return True


def _nearby(path: Path) -> str:
    """List the runs that are where one was looked for."""
    parent = path.parent if path.parent.is_dir() else Path("runs")
    runs = _runs_in(parent)[:8]
    return f"; there are: {', '.join(map(str, runs))}" if runs else ""


def _runs_in(folder: Path) -> list[Path]:
    return sorted(file.parent for file in folder.glob("[!.]*/recipe.toml"))


def _changed(folder: Path) -> float:
    """Return when the last of a run's files was written; those being written are hidden."""
    return max(file.stat().st_mtime for file in folder.glob("[!.]*"))
