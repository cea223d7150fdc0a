"""The run folder: what is in it, how it is made and how it is read.

In: a recipe, or a path. Out: a folder that always holds a whole run: each file is written aside,
flushed and renamed, and the folder itself appears with its recipe in it.

    recipe.toml           the recipe
    config.json           format, network, image shape, classes, preprocessing
    environment.json      versions, threads, device, checksums of the data, command
    history.jsonl         a row an epoch
    weights.safetensors   the weights after the last epoch that was saved
    checkpoint.pt         the whole state of the training
    snapshots/            epoch-000.safetensors before training, and the weights after each epoch
    updates.jsonl         a row an epoch: how far single steps moved each tensor of weights
    scores.json           how the finished run did on the test images
    figures/              pictures
"""

import itertools
import json
import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from safetensors import SafetensorError, safe_open
from torch import nn

from lenetscope.datasets import Splits
from lenetscope.errors import RunError, StorageError
from lenetscope.evaluation import Scores
from lenetscope.files import sync_folder, write_json
from lenetscope.models import build
from lenetscope.recipe import Recipe
from lenetscope.training.checkpoint import require_same_tensors
from lenetscope.training.updates import UpdateRow

FORMAT = 1
"""Version of the folder's layout."""


@dataclass(frozen=True)
class Run:
    """A run folder: a path that knows its files."""

    path: Path

    @property
    def recipe_file(self) -> Path:
        """The recipe."""
        return self.path / "recipe.toml"

    @property
    def config_file(self) -> Path:
        """Format, network, image shape, classes, preprocessing."""
        return self.path / "config.json"

    @property
    def environment_file(self) -> Path:
        """Versions, threads, device, checksums of the data, command."""
        return self.path / "environment.json"

    @property
    def history_file(self) -> Path:
        """A row an epoch."""
        return self.path / "history.jsonl"

    @property
    def weights_file(self) -> Path:
        """The weights after the last epoch that was saved."""
        return self.path / "weights.safetensors"

    @property
    def checkpoint_file(self) -> Path:
        """The whole state of the training."""
        return self.path / "checkpoint.pt"

    @property
    def snapshots(self) -> Path:
        """Folder of the weights before training and after each epoch."""
        return self.path / "snapshots"

    def snapshot_file(self, epoch: int) -> Path:
        """The weights after an epoch, numbered from 1; of 0 before training."""
        return self.snapshots / f"epoch-{epoch:03d}.safetensors"

    @property
    def updates_file(self) -> Path:
        """A row an epoch: how far single steps moved each tensor of weights."""
        return self.path / "updates.jsonl"

    @property
    def scores_file(self) -> Path:
        """How the finished run did on the test images."""
        return self.path / "scores.json"

    @property
    def figures(self) -> Path:
        """Folder of pictures."""
        return self.path / "figures"

    @property
    def report_file(self) -> Path:
        """The page that tells the whole story."""
        return self.path / "report.html"

    @classmethod
    def create(
        cls, recipe: Recipe, splits: Splits, environment: dict[str, Any], path: Path | None = None
    ) -> Self:
        """Make a new run folder, with all that is known before training.

        Args:
            recipe: of the run.
            splits: they say the shape of the images, the classes and the checksums.
            environment: see `environment`.
            path: where; by default ``runs/<recipe>-<n>`` with the first n that is free.

        Raises:
            RunError: if the path is taken.
            StorageError: if it cannot be written.
        """
        parent = path.parent if path else Path("runs")
        aside = parent / f".{path.name if path else recipe.name}.{secrets.token_hex(4)}.tmp"
        config = {
            "format": FORMAT,
            "model": recipe.model,
            "image_shape": list(splits.train.images.shape[1:]),
            "classes": list(splits.classes),
            "mean": list(recipe.mean),
            "std": list(recipe.std),
        }
        try:
            run = cls(aside)
            recipe.save(run.recipe_file)
            write_json(run.config_file, config)
            write_json(run.environment_file, environment)
            target = _take_name(aside, parent, recipe.name, path)
        except BaseException as error:
            shutil.rmtree(aside, ignore_errors=True)
            if isinstance(error, StorageError) and error.__cause__ is not None:
                why = getattr(error.__cause__, "strerror", None) or error
                raise StorageError(f"cannot make a run folder in {parent}: {why}.") from error
            raise
        return cls(target)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a run folder that `create` made.

        Raises:
            RunError: if there is none, or it is of another version.
        """
        run = cls(path)
        if not path.exists():
            raise RunError(f"there is no run {path}{_nearby(path)}.")
        if not run.config_file.exists() or not run.recipe_file.exists():
            raise RunError(f"{path} is no run folder: it has no config.json and recipe.toml.")
        found = run.config().get("format")
        if found != FORMAT:
            raise RunError(
                f"{path} is a run folder of format {found}; this version of lenetscope reads format "
                f"{FORMAT}. Open it with the version named in its environment.json."
            )
        return run

    def config(self) -> dict[str, Any]:
        """Return what ``config.json`` says.

        Raises:
            RunError: if it cannot be read, or lacks something.
        """
        config = _read_json(self.config_file)
        shape, classes = config.get("image_shape"), config.get("classes")
        if config.get("format") == FORMAT and not (
            isinstance(shape, list)
            and len(shape) == 3
            and all(type(side) is int and side > 0 for side in shape)
            and isinstance(classes, list)
            and len(classes) > 1
        ):
            raise RunError(f"{self.config_file} is damaged: its image_shape or classes make no sense.")
        return config

    def environment(self) -> dict[str, Any]:
        """Return what ``environment.json`` says.

        Raises:
            RunError: if it cannot be read.
        """
        return _read_json(self.environment_file)

    def add_to_environment(self, resumed: dict[str, Any]) -> None:
        """Note in ``environment.json`` that, and where, the run was taken up again."""
        facts = self.environment()
        write_json(self.environment_file, facts | {"resumed": [*facts.get("resumed", []), resumed]})

    def recipe(self) -> Recipe:
        """Return the recipe.

        Raises:
            RecipeError: if it was changed into something that is not allowed.
        """
        return Recipe.load(self.recipe_file)

    def data_dir(self) -> Path | None:
        """Return the folder of the data that the run was told of, if any."""
        told = self.environment().get("data_dir")
        return Path(told) if told else None

    def require_same_data(self, splits: Splits) -> None:
        """Compare the checksums of the data with those of the run.

        Raises:
            RunError: if they differ.
        """
        recorded = self.environment().get("data")
        if recorded != splits.checksums:
            raise RunError(f"the data are not those that {self.path} was trained on.")

    def snapshot_epochs(self) -> list[int]:
        """Return the epochs whose weights are kept, in order; 0 stands for before training."""
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
            there = ", ".join(map(str, self.snapshot_epochs()))
            kept = f"there are those of: {there}" if there else "it has none at all"
            raise RunError(f"{self.path} has no snapshot of epoch {epoch}; {kept}.")
        if not file.exists():
            raise RunError(
                f"{self.path} has no weights yet: its first epoch was not finished. Go on with "
                f"lenetscope train --resume {self.path}"
            )
        try:
            with safe_open(file, framework="pt") as opened:
                weights = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
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
        """Return what ``scores.json`` says, None before the run is finished.

        Raises:
            RunError: if it cannot be read.
        """
        return _read_json(self.scores_file) if self.scores_file.exists() else None

    def save_scores(self, scores: Scores) -> None:
        """Write ``scores.json``."""
        write_json(self.scores_file, scores.as_dict())


def _take_name(aside: Path, parent: Path, name: str, path: Path | None) -> Path:
    """Give the finished folder its name; two processes never get the same one."""
    for number in itertools.count(1):
        target = path or parent / f"{name}-{number}"
        if _renamed(aside, target):
            sync_folder(parent)
            break
        if path:
            raise RunError(
                f"{path} exists already and is not overwritten. Go on with it by --resume {path}, or "
                "choose another --run-dir."
            )
    return target


def _renamed(aside: Path, target: Path) -> bool:
    """Rename a folder, if the new name is free or that of an empty folder."""
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        return False
    try:
        aside.rename(target)
    except OSError as error:
        if target.exists():  # another process was quicker
            return False
        raise StorageError(f"cannot write {target}: {error.strerror}.") from error
    return True


def _nearby(path: Path) -> str:
    """Name the runs that lie where one was looked for."""
    parent = path.parent if path.parent.is_dir() else Path("runs")
    if not parent.is_dir():
        return ""
    runs = sorted(parent.glob("[!.]*/recipe.toml"))
    return f"; there are: {', '.join(str(file.parent) for file in runs[:8])}" if runs else ""


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"cannot read {path}: {error}.") from error
    if not isinstance(value, dict):
        raise RunError(f"{path} is no JSON object.")
    return value


def _read_rows(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    try:
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise RunError(f"cannot read {path}: {error}.") from error
