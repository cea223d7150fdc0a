"""How an `Architecture` begins: built from a recipe, opened from a run folder, or resumed.

The functions take the class, or an instance, so that each also works for a subclass.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import nn

from lenetscope.data.augmentations import AUGMENTATIONS
from lenetscope.data.loader import BatchLoader
from lenetscope.data.preprocess import Preprocess
from lenetscope.data.splits import Splits, load
from lenetscope.errors import UsageError
from lenetscope.models import build
from lenetscope.observe import BATCH_SIZE
from lenetscope.recipe import Recipe
from lenetscope.runs.environment import environment
from lenetscope.runs.folder import Run
from lenetscope.training.choices import LOSSES, OPTIMIZERS, SCHEDULES

if TYPE_CHECKING:
    from lenetscope.architecture import Architecture

A = TypeVar("A", bound="Architecture")


def from_recipe(cls: type[A], recipe: Recipe, data_dir: Path | None, download: bool = False) -> A:
    """Build all that a recipe names: data, network, loss, optimizer and schedule; see `splits.load`."""
    splits = load(recipe, data_dir, download)
    arch = _build(cls, recipe, splits.train.images.shape[1:], splits.classes)
    _use(arch, recipe, splits)
    arch.scheduler = SCHEDULES.get(recipe.schedule)(arch.optimizer, recipe, len(arch.train_loader))
    return arch


def from_run(cls: type[A], run: str | Path | Run, device: str | None) -> A:
    """Build the network of a run and give it its weights; no data is read."""
    run = Run.open(run)
    recipe = run.recipe() if device is None else run.recipe().replace(device=device)
    config = run.config()
    return _build(cls, recipe, config["image_shape"], config["classes"], run.load_model())


def resume_run(cls: type[A], run: str | Path | Run, data_dir: Path | None) -> A:
    """Build what a run's recipe names, and restore its checkpoint."""
    run = Run.open(run)
    data_dir = data_dir or run.data_dir()
    arch = from_recipe(cls, run.recipe(), data_dir)
    assert arch.splits is not None
    run.require_same_data(arch.splits)
    if run.checkpoint_file.exists():  # else it was killed before the first, and begins again
        arch.load_checkpoint(run.checkpoint_file)
    if arch.state.is_main:
        run.add_to_environment(environment(arch, data_dir))
    return arch


def start_run(
    arch: "Architecture", path: str | Path | None = None, *, data_dir: Path | None = None
) -> Run:
    """Make a run folder for the training of a recipe; give its `RunWriter` to `Architecture.train`.

    Args:
        arch: came from a recipe, with its data.
        path: of the folder; by default ``runs/<recipe>-<n>``.
        data_dir: where the data was read from, for the record.

    Raises:
        UsageError: if there is no recipe.
        RunError, StorageError: see `Run.create`.
    """
    if arch.recipe is None or arch.splits is None:
        raise UsageError("a run folder is for a recipe: use Architecture.from_recipe.")
    made = None
    if arch.state.is_main:
        made = Run.create(arch.recipe, arch.splits, environment(arch, data_dir), path).path
    made = arch.fabric.broadcast(made)
    assert made is not None
    return Run(made)


def load_data(arch: "Architecture", data_dir: Path | None = None) -> Splits:
    """Read the data of the recipe that an architecture came from, and make its loaders."""
    if arch.recipe is None:
        raise UsageError("there is no recipe to take data from: give the loaders yourself.")
    return _use(arch, arch.recipe, load(arch.recipe, data_dir))


def _build(
    cls: type[A], recipe: Recipe, shape: Any, classes: Sequence[str], model: nn.Module | None = None
) -> A:
    model = model or build(recipe, tuple(shape), len(classes))
    optimizer = OPTIMIZERS.get(recipe.optimizer)(model.parameters(), recipe)
    options = {name: getattr(recipe, name) for name in ("device", "precision", "threads", "compile")}
    arch = cls(model, LOSSES.get(recipe.loss)(recipe), optimizer, classes=classes, **options)
    arch.recipe, arch.image_shape = recipe, tuple(shape)
    arch.preprocess = Preprocess(recipe.mean, recipe.std)
    arch.state.begin_stream(recipe.seed)
    return arch


def _use(arch: "Architecture", recipe: Recipe, splits: Splits) -> Splits:
    preprocess = Preprocess(recipe.mean, recipe.std)
    augment = AUGMENTATIONS.get(recipe.augmentation)
    transform = (lambda images: preprocess(augment(images))) if augment else preprocess
    order = torch.Generator().manual_seed(recipe.seed)
    arch.train_loader = BatchLoader(splits.train, recipe.batch_size, transform, order)
    arch.val_loader = BatchLoader(splits.valid, BATCH_SIZE, preprocess)
    arch.test_loader = BatchLoader(splits.test, BATCH_SIZE, preprocess)
    arch.splits = splits
    return splits
