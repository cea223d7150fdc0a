"""The run folder: what is in it, how it is created and how it is read.

It is complete at any moment: each file is written under a temporary name, flushed and renamed, and the
folder itself appears with its recipe in it.

    recipe.toml           the recipe
    config.json           format, network, image shape, classes, preprocessing
    environment.json      versions, threads, device, checksums of the data, command
    history.jsonl         one row per epoch
    weights.safetensors   the weights after the last epoch that was saved
    checkpoint.pt         the whole state of the training
    snapshots/            epoch-000.safetensors before training, and the weights after each epoch
    updates.jsonl         one row per epoch: how far single steps moved each tensor of weights
    scores.json           the scores of the finished run on the test images
    figures/              what ``lenetscope inspect`` draws
    report.html           what ``lenetscope report`` writes
"""

import itertools
import json
import re
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from lenetscope.data.splits import Splits
from lenetscope.errors import RunError, StorageError
from lenetscope.evaluation.scores import Scores
from lenetscope.files import sync_folder, write_json
from lenetscope.models import build
from lenetscope.recipe import Recipe
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
        except StorageError as error:
            why = getattr(error.__cause__, "strerror", None) or error
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
        run = cls(path.path if isinstance(path, Run) else Path(path))
        if not run.path.exists():
            raise RunError(f"there is no run {run.path}{_nearby(run.path)}.")
        if not run.config_file.exists() or not run.recipe_file.exists():
            raise RunError(f"{run.path} is not a run folder: it has no config.json and recipe.toml.")
        run.config()
        return run

    def config(self) -> dict[str, Any]:
        """Return what ``config.json`` holds.

        Raises:
            RunError: if it cannot be read, lacks something, or is of another version.
        """
        config = _read_json(self.config_file)
        if config.get("format") != FORMAT:
            raise RunError(
                f"{self.path} is a run folder of format {config.get('format')}; this version of "
                f"lenetscope reads format {FORMAT}: train the run again, or open it with the version "
                "in its environment.json."
            )
        shape, classes = config.get("image_shape"), config.get("classes")
        sides = shape if isinstance(shape, list) else []
        whole = len(sides) == 3 and all(type(side) is int and side > 0 for side in sides)
        if not whole or not isinstance(classes, list) or len(classes) < 2:
            raise RunError(f"{self.config_file} is damaged: its image_shape or classes are invalid.")
        return config

    def environment(self) -> dict[str, Any]:
        """Return what ``environment.json`` holds.

        Raises:
            RunError: if it cannot be read.
        """
        return _read_json(self.environment_file)

    def add_to_environment(self, resumed: dict[str, Any]) -> None:
        """Add to ``environment.json`` that, and where, the run was resumed."""
        facts = self.environment()
        write_json(self.environment_file, facts | {"resumed": [*facts.get("resumed", []), resumed]})

    def recipe(self) -> Recipe:
        """Return the recipe.

        Raises:
            RecipeError: if it was changed into something that is not allowed.
        """
        return Recipe.load(self.recipe_file)

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
        config = self.config()
        model = build(self.recipe(), tuple(config["image_shape"]), len(config["classes"]))
        file = self.weights_file if epoch is None else self.snapshot_file(epoch)
        if epoch is not None and not file.exists():
            kept = ", ".join(map(str, self.snapshot_epochs())) or "none at all"
            raise RunError(f"{self.path} has no snapshot of epoch {epoch}; it has: {kept}.")
        if not file.exists():
            raise RunError(
                f"{self.path} has no weights yet, because its first epoch was not finished. Finish it: "
                f"lenetscope train --resume {self.path}"
            )
        try:
            weights = load_file(file)
        except (SafetensorError, OSError) as error:
            raise RunError(f"{file} is truncated or damaged: {error}.") from error
        require_same_tensors(model.state_dict(), weights, file)
        model.load_state_dict(weights)
        return model

    def history(self) -> list[dict[str, Any]]:
        """Return the rows of ``history.jsonl``, none if there are none yet.

        Raises:
            RunError: if it cannot be read.
        """
        return _read_rows(self.history_file)

    def updates(self) -> list[UpdateRow]:
        """Return the rows of ``updates.jsonl``, none if there are none.

        Raises:
            RunError: if it cannot be read.
        """
        try:
            return [UpdateRow(**row) for row in _read_rows(self.updates_file)]
        except TypeError as error:
            raise RunError(f"{self.updates_file} is damaged: {error}.") from error

    def scores(self) -> dict[str, Any] | None:
        """Return what ``scores.json`` holds, None before the run is finished.

        Raises:
            RunError: if it cannot be read.
        """
        return _read_json(self.scores_file) if self.scores_file.exists() else None

    def save_scores(self, scores: Scores) -> None:
        """Write ``scores.json``."""
        write_json(self.scores_file, scores.as_dict())


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
    runs = sorted(parent.glob("[!.]*/recipe.toml"))[:8]
    return f"; there are: {', '.join(str(file.parent) for file in runs)}" if runs else ""


def _read_json(path: Path) -> dict[str, Any]:
    (value,) = _read_all(path, lambda text: [text])
    if not isinstance(value, dict):
        raise RunError(f"{path} does not hold a JSON object.")
    return value


def _read_rows(path: Path) -> list[dict[str, Any]]:
    return _read_all(path, str.splitlines) if path.exists() else []


def _read_all(path: Path, split: Callable[[str], list[str]]) -> list[Any]:
    try:
        return [json.loads(text) for text in split(path.read_text("utf-8"))]
    except (OSError, ValueError) as error:
        raise RunError(f"cannot read {path}: {error}.") from error
