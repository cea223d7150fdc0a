"""How an `Architecture` begins: built from a recipe, opened from a run folder, or resumed.

Also how it is saved for others, and opened from what was saved.

The functions take the class, or an instance, so that each also works for a subclass.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from lenetscope.arguments import as_path, require_list, shown
from lenetscope.data.augmentations import AUGMENTATIONS
from lenetscope.data.loader import BatchLoader
from lenetscope.data.preprocess import Preprocess
from lenetscope.data.splits import Splits, completed, load
from lenetscope.errors import RunError, UsageError
from lenetscope.export.exportable import Exportable
from lenetscope.export.formats.safetensors import load_pretrained
from lenetscope.export.write import export
from lenetscope.models import build
from lenetscope.observe import BATCH_SIZE
from lenetscope.recipe import Recipe
from lenetscope.runs.environment import environment
from lenetscope.runs.folder import Run
from lenetscope.table import counted, percent
from lenetscope.training import display, machine, tensorboard
from lenetscope.training.callbacks import Callback, EarlyStopping
from lenetscope.training.choices import LOSSES, OPTIMIZERS, begin_schedule
from lenetscope.training.trackers import make_tracker

if TYPE_CHECKING:
    from lenetscope.architecture import Architecture

A = TypeVar("A", bound="Architecture")

SHOWN_NAMES = 12
"""Names of classes that an architecture shows of itself."""

CAN_CHANGE = ("epochs", "threads", "workers", "device")
"""Fields of the recipe that can change when a run is resumed."""


def from_recipe(cls: type[A], recipe: Recipe, data_dir: Path | None, download: bool = False) -> A:
    """Build all that a recipe names: data, network, loss, optimizer and schedule; see `splits.load`."""
    make_tracker(recipe)  # its library may not be installed
    splits = load(recipe, data_dir, download)
    return from_splits(cls, completed(recipe, splits), splits)


def from_splits(
    cls: type[A], recipe: Recipe, splits: Splits, preprocess: Callable[[Tensor], Tensor] | None = None
) -> A:
    """Build all that a recipe names, for data that are in memory.

    Args:
        cls: see above.
        recipe: its data and holdout are not looked at.
        splits: the data.
        preprocess: turns a batch of images into the network's input; by default as the recipe says.
    """
    arch = _build(cls, recipe, splits.train.images.shape[1:], splits.classes)
    arch.preprocess = preprocess or arch.preprocess
    _use(arch, recipe, splits)
    arch.scheduler = begin_schedule(recipe, arch.optimizer, recipe.epochs, len(arch.train_loader))
    if recipe.schedule != "constant":
        arch.schedule = partial(begin_schedule, recipe)
    return arch


def from_run(cls: type[A], run: str | Path | Run, device: str | None) -> A:
    """Build the network of a run and give it its weights; no data is read."""
    run = Run.open(run)
    recipe = _usable_here(run.recipe(), device)
    config = run.config()
    return _build(cls, recipe, config["image_shape"], config["classes"], run.load_model())


def from_pretrained(cls: type[A], folder: str | Path, device: str | None) -> A:
    """Build the network that `save_pretrained` saved, with its weights; no data is read."""
    model, recipe, config = load_pretrained(as_path(folder))
    recipe = _usable_here(recipe, device)
    return _build(cls, recipe, config["image_shape"], config["classes"], model)


def _usable_here(recipe: Recipe, device: str | None) -> Recipe:
    """Return a finished run's recipe for a device: float16, which needs a GPU, becomes float32."""
    recipe = recipe if device is None else recipe.replace(device=device)
    on_cpu = recipe.device == "cpu" or not torch.accelerator.is_available()
    return recipe.replace(precision="32-true") if on_cpu and recipe.precision == "16-mixed" else recipe


def save_pretrained(arch: "Architecture", folder: str | Path, *, overwrite: bool = False) -> None:
    """Write the weights, ``config.json``, a card, and a script that predicts without lenetscope.

    The test images of the recipe are read, to prove what is written.

    Args:
        arch: came from a recipe, or from a run.
        folder: to make.
        overwrite: whether to replace what was saved there before.

    Raises:
        UsageError: if there is no recipe.
        StorageError, ExportError: see `lenetscope.export.write.export`.
    """
    if arch.recipe is None or arch.image_shape is None or arch.classes is None:
        raise UsageError(
            "only the network of a recipe is saved with its preprocessing: use "
            "Architecture.from_recipe, also for a network of your own (model='module:name')."
        )
    if not arch.state.is_main:
        return
    splits = arch.splits or load_data(arch)
    facts = {"epoch": arch.total_epochs} if arch.total_epochs else {}
    exportable = Exportable.of(arch.model, arch.recipe, arch.image_shape, arch.classes, facts)
    export(exportable, splits, "safetensors", folder, overwrite=overwrite)


def resume_run(
    cls: type[A], run: str | Path | Run, data_dir: Path | None, overrides: dict[str, Any]
) -> A:
    """Build what a run's recipe names, and restore its checkpoint.

    Args:
        cls: see above.
        run: its folder.
        data_dir: where the same data are; None for where they were.
        overrides: ``epochs`` to reach, and others of `CAN_CHANGE`, where they change.

    Raises:
        UsageError: if anything else is to change, or more epochs are done than are asked for.
        RunError: if the run was fine-tuned on images that its recipe does not name.
    """
    run = Run.open(run)
    if run.fine_tuned():
        raise RunError(
            f"{run.path} was fine-tuned in the playground, on drawings that its recipe does not "
            f"name: it cannot be resumed. Fine-tune it further there: lenetscope play {run.path}"
        )
    if strange := [name for name in overrides if name not in CAN_CHANGE]:
        raise UsageError(f"a run keeps its {strange[0]}; {', '.join(CAN_CHANGE)} can change.")
    # as many threads as before, because another number rounds differently
    before = {"epochs": run.planned_epochs(), "threads": run.environment().get("threads", 0)}
    data_dir = data_dir or run.data_dir()
    run.require_network()
    arch = from_recipe(cls, run.recipe().replace(**before | overrides), data_dir)
    assert arch.splits is not None
    assert arch.recipe is not None
    run.require_same_data(arch.splits)
    if run.checkpoint_file.exists():  # else it was killed before the first, and begins again
        arch.load_checkpoint(run.checkpoint_file)
    done, epochs = arch.state.epoch, arch.recipe.epochs
    if epochs < done:
        raise UsageError(f"{run.path} has {done} epochs already: 'epochs' must be at least {done}.")
    if arch.state.is_main:
        facts = {"after_epoch": done, "epochs": epochs}
        run.add_to_environment(environment(arch, data_dir) | facts)
    arch.run = run
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
    arch.run = Run(made)
    return arch.run


def callbacks(arch: "Architecture", progress: bool, given: Any) -> list[Callback]:
    """Return what is called during training: what the recipe asks for, and what is given."""
    wanted = "callbacks must be a list of Callback, as [EarlyStopping(3)]"
    theirs = require_list(wanted, given)
    if not all(isinstance(callback, Callback) for callback in theirs):
        raise UsageError(f"{wanted}, not of {shown(theirs[0])}.")
    recipe, found = arch.recipe, list[Callback]()
    if progress:
        found.append(display.ProgressDisplay(title(arch)))
    if arch.writer:
        found.append(tensorboard.TensorBoardCallback(arch.writer))
    if recipe and arch.state.is_main:
        arch.tracker = arch.tracker or make_tracker(recipe, arch.run.path if arch.run else None)
        found += [arch.tracker] if arch.tracker else []
    if recipe and recipe.patience:
        found.append(EarlyStopping(recipe.patience))
    return found + theirs


def title(arch: "Architecture") -> str:
    """Return what is trained, on what, how and where, a line each; "" where there is no recipe."""
    if arch.recipe is None or arch.splits is None:
        return ""
    threads = machine.threads_for(arch.recipe.threads)
    lines = [
        arch.splits.describe(),
        f"recipe {arch.recipe.name}: {arch.count_parameters():,} parameters, on {arch.device} in "
        f"{arch.precision} with {counted(threads, 'thread')}",
    ]
    return "\n".join([*lines, f"run: {arch.run.path}"] if arch.run else lines)


def load_data(arch: "Architecture", data_dir: Path | None = None) -> Splits:
    """Read the data of the recipe that an architecture came from, and make its loaders."""
    if arch.recipe is None:
        raise UsageError("there is no recipe to take data from: give the loaders yourself.")
    return _use(arch, arch.recipe, load(arch.recipe, data_dir))


def count_parameters(self: "Architecture") -> int:
    """Return how many numbers the model learns.

    Raises:
        UsageError: if that is not known before its first batch.
    """
    if any(map(is_lazy, self.model.parameters())):
        raise UsageError("the model has lazy layers, whose size follows from a first batch: run it.")
    return sum(p.numel() for p in self.model.parameters() if p.requires_grad)


def facts(arch: "Architecture") -> dict[str, str]:
    """Return what an architecture shows of itself: its parts, and how far it is trained."""
    sizes = {p: 0 if is_lazy(p) else p.numel() for p in arch.model.parameters()}
    frozen = sum(size for p, size in sizes.items() if not p.requires_grad)
    still = f", {frozen:,} of them frozen" if frozen else ""
    rates = dict.fromkeys(f"{group['lr']:g}" for group in arch.optimizer.param_groups)
    found = {
        "model": f"{type(arch.model).__name__}, {sum(sizes.values()):,} parameters{still}",
        "loss": getattr(arch.loss_fn, "__name__", type(arch.loss_fn).__name__),
        "optimizer": f"{type(arch.optimizer).__name__}, lr {', '.join(rates)}",
        "scheduler": type(arch.scheduler).__name__ if arch.scheduler else "none",
        "device": f"{arch.device}, {arch.precision}",
    }
    if arch.history:
        found["epochs done"] = str(arch.total_epochs)
    for name, title in (("train", "training"), ("valid", "validation")) if arch.history else ():
        loss, accuracy = (arch.history[-1][f"{name}_{figure}"] for figure in ("loss", "accuracy"))
        if loss is not None:
            found[title] = f"loss {loss:.4f}"
            if accuracy is not None:
                found[title] += f", accuracy {percent(accuracy)}"
    if names := arch.classes:
        more = f", … ({len(names)} classes)" if len(names) > SHOWN_NAMES else ""
        found["classes"] = ", ".join(names[:SHOWN_NAMES]) + more
    return found


def _build(
    cls: type[A], recipe: Recipe, shape: Any, classes: Sequence[str], model: nn.Module | None = None
) -> A:
    model = model or build(recipe, tuple(shape), len(classes))
    optimizer = OPTIMIZERS.get(recipe.optimizer)(model.parameters(), recipe)
    names = ("device", "precision", "strategy", "threads", "compile")
    options = {name: getattr(recipe, name) for name in names}
    arch = cls(model, LOSSES.get(recipe.loss)(recipe), optimizer, classes=classes, **options)
    arch.recipe, arch.image_shape = recipe, tuple(shape)
    arch.preprocess = Preprocess(recipe.mean, recipe.std)
    if recipe.clip_grad_norm:
        arch.set_clip_grad_norm(recipe.clip_grad_norm)
    arch.state.begin_stream(recipe.seed)
    return arch


def _use(arch: "Architecture", recipe: Recipe, splits: Splits) -> Splits:
    preprocess = arch.preprocess
    assert preprocess is not None
    augment = AUGMENTATIONS.get(recipe.augmentation)
    order = torch.Generator().manual_seed(recipe.seed)
    arch.train_loader = BatchLoader(
        splits.train, recipe.batch_size, preprocess, order, augment, recipe.workers
    )
    arch.val_loader = BatchLoader(splits.valid, BATCH_SIZE, preprocess)
    arch.test_loader = BatchLoader(splits.test, BATCH_SIZE, preprocess)
    arch.splits = splits
    return splits
