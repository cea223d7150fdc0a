"""`Architecture`: a model, its loss and its optimizer, to train, to evaluate and to look into.

The interface is that of ``StepByStep`` in D. V. Godoy's book *Deep Learning with PyTorch Step-by-Step*,
so that a program written for it runs with the import changed.
"""

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lenetscope import arguments, building, recording, rng
from lenetscope.arguments import main_output
from lenetscope.data import statistics
from lenetscope.data.splits import Splits
from lenetscope.errors import UsageError
from lenetscope.evaluation.outputs import correct_per_class, probabilities
from lenetscope.evaluation.scores import Scores
from lenetscope.files import write_bytes
from lenetscope.recipe import Recipe
from lenetscope.recording import Array, Records
from lenetscope.restore import eval_mode
from lenetscope.runs.folder import Run
from lenetscope.table import ShowsFacts
from lenetscope.training import (
    checkpoint,
    clipping,
    engine,
    lr_range,
    processes,
    schedules,
    tensorboard,
)
from lenetscope.training.callbacks import Callback
from lenetscope.training.loop import fit
from lenetscope.training.state import TrainState

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DEFAULT_SEED = 42
"""Seed of `Architecture.train` where nothing else was asked for, as in StepByStep."""


class Architecture(ShowsFacts):
    """Train a model, see how good it is, and look inside it.

    >>> model = torch.nn.Linear(2, 3)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> Architecture(model, torch.nn.CrossEntropyLoss(), optimizer).count_parameters()
    9

    Args:
        model: any module; it is moved to the device.
        loss_fn: of (outputs, labels), a mean over the batch.
        optimizer: of the model's parameters.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
        precision: of Lightning Fabric, such as ``"bf16-mixed"``, or ``"auto"`` for the fastest.
        strategy: of several processes; ``"ddp_find_unused_parameters_true"`` where some parameters may
            take no part in a step.
        threads: to train with; 0 for as many as are worth it, see `machine.fastest_threads`.
        compile: whether TorchInductor compiles the model for training.
        classes: names of the K classes; by default ``"0"``, ``"1"`` and so on.

    Attributes:
        model, loss_fn, optimizer, scheduler, device, train_loader, val_loader: may be assigned.
        recipe, splits, image_shape, preprocess, run: None unless it came from a recipe, or a run.
        handles: what has hooks on the model, by name of a layer (then ``.gradients`` or
            ``.parameters``); each has ``remove()``.
        clipping: called before each step of the optimizer; None for nothing.

    Raises:
        UsageError: if they do not fit together, or the device is not there or lacks the precision.
    """

    def __init__(
        self,
        model: nn.Module,
        loss_fn: Callable[..., Tensor],
        optimizer: Optimizer,
        *,
        device: str = "auto",
        precision: str = "32-true",
        strategy: str = "auto",
        threads: int = 0,
        compile: bool = False,
        classes: Sequence[str] | None = None,
    ) -> None:
        self.loss_fn, self.classes = loss_fn, classes
        arguments.require_optimizer(optimizer, arguments.require_model(model), loss_fn)
        self._precision, self._strategy, self._compile = precision, strategy, compile
        self._threads = arguments.require_whole("threads", threads, 0)
        self.fabric = engine.make_engine(str(device), str(precision), strategy)
        self.state = TrainState(model, optimizer, is_main=self.fabric.is_global_zero)
        self.model = model
        self.train_loader: Any = None
        self.val_loader: Any = None
        self.test_loader: Any = None
        self.recipe: Recipe | None = None
        self.run: Run | None = None
        self.splits: Splits | None = None
        self.image_shape: tuple[int, int, int] | None = None
        self.preprocess: Callable[[Tensor], Tensor] | None = None
        self.writer: Any = None
        self.tracker: Callback | None = None  # that of a recipe
        self.clipping: Any = None
        self.schedule: schedules.Begin | None = None  # that of a recipe
        self.is_batch_lr_scheduler = False
        self._clip_handles: list[Any] = []
        self.handles: dict[str, Any] = {}
        self._gradients: Records = {}  # these two names are StepByStep's
        self._parameters: Records = {}
        self._seen: Any = {}
        self._recorders: dict[str, Any] = {}

    @classmethod
    def from_recipe(
        cls,
        recipe: str | Path | Recipe,
        *,
        data_dir: Path | None = None,
        download: bool = False,
        **overrides: Any,
    ) -> Self:
        """Build what a recipe (its name, TOML file or value) says, with some fields replaced."""
        return building.from_recipe(cls, Recipe.load(recipe, **overrides), data_dir, download)

    @classmethod
    def from_run(cls, run: str | Path | Run, *, device: str | None = None) -> Self:
        """Open a run folder: its network with its weights, ready to predict and evaluate."""
        return building.from_run(cls, run, device)

    @classmethod
    def resume_run(
        cls, run: str | Path | Run, *, data_dir: Path | None = None, **overrides: Any
    ) -> Self:
        """Resume a run, also with other ``epochs``, ``threads`` or ``device``.

        `train` continues bit for bit as if never interrupted; with more epochs, a finished run goes on.
        """
        return building.resume_run(cls, run, data_dir, overrides)

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, device: str | None = None) -> Self:
        """Open what `save_pretrained` wrote, ready to predict and evaluate."""
        return building.from_pretrained(cls, folder, device)

    facts = building.facts
    count_parameters = building.count_parameters
    start_run = building.start_run
    save_pretrained = building.save_pretrained
    load_data = building.load_data

    @property
    def model(self) -> nn.Module:
        """The model; a new one is moved to the device, and needs a new optimizer."""
        return self.state.model

    @model.setter
    def model(self, model: nn.Module) -> None:
        engine.place(self.fabric, arguments.require_model(model))
        self.state.model, self.state.best, self.state.last = model, None, None

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer; with a new one, the scheduler of the former is dropped."""
        return self.state.optimizer

    @optimizer.setter
    def optimizer(self, optimizer: Optimizer) -> None:
        self.state.optimizer = arguments.require_optimizer(optimizer, self.model, self.loss_fn)
        if self.scheduler is not None and self.scheduler.optimizer is not optimizer:
            self.scheduler = None

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.fabric.device

    @device.setter
    def device(self, device: str | torch.device) -> None:
        self.to(device)

    @property
    def history(self) -> list[dict[str, Any]]:
        """One row per epoch, see `TrainState`."""
        return self.state.history

    def set_optimizer(self, optimizer: Optimizer) -> None:
        """Assign another `optimizer`."""
        self.optimizer = optimizer

    def set_lr_scheduler(self, scheduler: Any) -> None:
        """Set a scheduler of ``torch.optim.lr_scheduler``, which `step_schedule` steps, or None."""
        arguments.require_scheduler(scheduler, self.optimizer)
        self.state.scheduler, self.schedule = scheduler, None
        self.is_batch_lr_scheduler = isinstance(scheduler, schedules.STEPPED_EACH_BATCH)

    def set_loaders(self, train_loader: Any, val_loader: Any = None) -> None:
        """Set what to train on and, if any, what to validate on: loaders of (inputs, labels)."""
        self.train_loader, self.val_loader = train_loader, val_loader

    def to(self, device: str | torch.device) -> None:
        """Move model and optimizer to another device."""
        self.fabric = engine.make_engine(str(device), self._precision, self._strategy)
        engine.place(self.fabric, self.model)
        self.optimizer.load_state_dict(self.optimizer.state_dict())  # its moments follow

    loss_fn = arguments.Checked(arguments.require_loss)
    classes = arguments.Checked(arguments.require_names)
    scheduler = property(attrgetter("state.scheduler"), set_lr_scheduler)
    precision = property(attrgetter("fabric.strategy.precision.precision"), doc="Never ``auto``.")
    total_epochs = property(attrgetter("state.epoch"), doc="Epochs done so far.")
    losses = property(lambda self: [row["train_loss"] for row in self.history], doc="Of training.")
    val_losses = property(lambda self: [r["valid_loss"] for r in self.history], doc="Of validation.")
    learning_rates = property(attrgetter("state.learning_rates"), doc="After each scheduler step.")

    def set_seed(self, seed: int = DEFAULT_SEED) -> None:
        """Seed Python, NumPy, torch and the training loader's generators; training begins there."""
        seed = arguments.require_whole("seed", seed, 0, arguments.MAX_SEED)
        rng.seed_everything(seed, self.train_loader)
        self.state.begin_stream(seed)

    def set_tensorboard(self, name: str, folder: str | Path = "runs") -> None:
        """Write each epoch to TensorBoard, under ``folder/name_<date and time>``."""
        self.writer = tensorboard.make_writer(name, folder)

    def add_graph(self) -> None:
        """Write the model's graph to TensorBoard, if there are a writer and a training loader."""
        if self.writer is not None and self.train_loader is not None:
            arguments.require_passes(self.train_loader)
            with rng.isolated(self.train_loader):
                inputs, _ = next(arguments.pairs(self.train_loader))
            tensorboard.add_graph(self.writer, self.model, inputs.to(self.device))

    def train(
        self,
        n_epochs: int | None = None,
        seed: int = DEFAULT_SEED,
        *,
        callbacks: Sequence[Callback] = (),
        progress: bool = True,
        checkpoint_steps: int = 0,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Train for some more epochs; a second call continues where the first ended.

        Args:
            n_epochs: how many; by default what is left of the recipe's.
            seed: of the random streams. On a training that has begun, or that `set_seed` has seeded,
                the default changes nothing, and another seed begins new streams.
            callbacks: see `Callback`.
            progress: show a bar on a terminal, and a line per epoch, on standard error.
            checkpoint_steps: also call for a checkpoint each time so many steps are done.
            stop: is called after each step; True ends the training.

        Raises:
            UsageError, DataError, TrainingError: see `fit`; also without loader or number of epochs.
        """
        if n_epochs is None and self.recipe:
            n_epochs = max(0, self.recipe.epochs - self.state.epoch)
        n_epochs = arguments.require_whole("n_epochs", n_epochs, 0)
        seed = arguments.require_whole("seed", seed, 0, arguments.MAX_SEED)
        if self.train_loader is None:
            raise UsageError("there is nothing to train on: call set_loaders first.")
        if self.state.seed is None or seed not in (self.state.seed, DEFAULT_SEED):
            self.state.begin_stream(seed)
        fit(
            self.state,
            self.train_loader,
            self.val_loader,
            epochs=self.state.epoch + n_epochs,
            loss_fn=self.loss_fn,
            fabric=self.fabric,
            clip=self.clipping if callable(self.clipping) else None,
            compile=self._compile,
            threads=self._threads,
            schedule=self.schedule,
            keep_best=self.recipe is not None and self.recipe.keep == "best",
            callbacks=building.callbacks(self, progress, callbacks),
            checkpoint_steps=checkpoint_steps,
            stop=stop,
            classes=self.classes,
        )

    def lr_range_test(
        self,
        data_loader: Any,
        end_lr: float,
        num_iter: int = 100,
        step_mode: str = "exp",
        alpha: float = 0.05,
        ax: "Axes | None" = None,
    ) -> "tuple[dict[str, list[float]], Figure]":
        """Return the rates and losses of `lr_range.lr_range_test`, and their figure."""
        from lenetscope.questions.curves import plot_lr_range

        if ax is not None and not hasattr(ax, "get_figure"):
            raise UsageError(f"ax must be axes of a matplotlib figure, not {arguments.shown(ax)}.")
        clip = self.clipping if callable(self.clipping) else None
        tracking = lr_range.lr_range_test(
            self.state, self.loss_fn, data_loader, self.fabric, end_lr, num_iter, step_mode, alpha, clip
        )
        return tracking, plot_lr_range(tracking, step_mode, ax)

    def save_checkpoint(self, filename: str | Path) -> None:
        """Write the whole state: model, optimizer, scheduler, history, random streams."""
        if self.state.is_main:
            write_bytes(arguments.as_path(filename), checkpoint.dumps(self.state))

    def load_checkpoint(self, filename: str | Path) -> None:
        """Restore what `save_checkpoint` wrote; `train` continues as if never interrupted."""
        checkpoint.load_into(self.state, arguments.as_path(filename))
        self.model.train()

    def predict(self, x: Any) -> Array:
        """Return the outputs (N, K) for (N, …); a recipe's uint8 images are preprocessed first."""
        outputs = main_output(self._run(x))
        if outputs is None:
            raise UsageError("the model returns no tensor.")
        return outputs.float().cpu().numpy()

    def predict_proba(self, x: Any) -> Array:
        """Return the probability of each class, (N, K), for a batch as `predict` takes it."""
        found = probabilities(self._run(x), self.loss_fn)
        if found is None:
            raise UsageError("the model is not a classifier of a known kind: no probabilities.")
        return found.cpu().numpy()

    def _run(self, x: Any) -> Any:
        inputs = arguments.as_inputs(x, self.image_shape, self.preprocess).to(self.device)
        with eval_mode(self.model), torch.no_grad():
            return engine.run(self.fabric, self.model, inputs)

    def evaluate(self, loader: Iterable[Any] | None = None) -> Scores:
        """Return the scores on a loader: by default the recipe's test images, else validation."""
        if loader is None and self.test_loader is None and self.recipe is not None:
            self.load_data()
        given = [each for each in (loader, self.test_loader, self.val_loader) if each is not None]
        if not given:
            raise UsageError("there is nothing to evaluate on: give a loader.")
        with rng.isolated():  # a DataLoader draws a number each time it starts
            tally = processes.Processes(self.fabric).evaluate(self.model, given[0], self.loss_fn)
        return Scores.from_tally(tally, self.classes)

    def confusion_matrix(self, loader: Iterable[Any] | None = None) -> Array:
        """Return counts (K, K) int64, rows true and columns predicted; ``loader`` as in `evaluate`."""
        return self.evaluate(loader).confusion

    def correct(self, x: Tensor, y: Tensor, threshold: float = 0.5) -> Tensor:
        """Return (K, 2) for inputs and labels: per class the correct predictions and the samples.

        A model with one output predicts 1 where the probability is above the threshold.
        """
        labels = arguments.as_numbers("labels", y).to(self.device)
        threshold = arguments.require_number("threshold", threshold)
        counts = correct_per_class(self._run(x), labels, self.loss_fn, threshold)
        if counts is None:
            raise UsageError("the model is not a classifier of a known kind: nothing to count.")
        return counts

    def plot_losses(self, **figure_options: Any) -> "Figure":
        """Draw loss and accuracy of training and validation over the epochs."""
        from lenetscope.questions.curves import plot_curves

        return plot_curves(self.history, **figure_options)

    def plot_confusion(self, loader: Iterable[Any] | None = None, **options: Any) -> "Figure":
        """Draw the confusion matrix; ``loader`` as in `evaluate`."""
        from lenetscope.questions.confusion import plot_confusion

        scores = self.evaluate(loader)
        return plot_confusion(scores.confusion, scores.classes, **options)

    def visualize_filters(self, layer_name: str, **kwargs: Any) -> "Figure":
        """Draw the filters of a convolution; ``cmap`` and the options of a figure may be given."""
        from lenetscope.questions.filters import filters_of, plot_filters

        return plot_filters(filters_of(self.model, layer_name), layer_name, **kwargs)

    def visualize_outputs(
        self, layers: str | Sequence[str], n_images: int = 10, y: Any = None, yhat: Any = None
    ) -> "Figure":
        """Draw the outputs of hooked layers for some images, titled with true and predicted labels."""
        from lenetscope.questions.outputs import plot_outputs

        wanted = "y and yhat must be lists of labels, one per image"
        labels = [v if v is None else arguments.require_list(wanted, v) for v in (y, yhat)]
        return plot_outputs(recording.outputs_of(self, layers, n_images), *labels)

    set_clip_grad_value = clipping.set_clip_grad_value
    set_clip_grad_norm = clipping.set_clip_grad_norm
    set_clip_backprop = clipping.set_clip_backprop
    remove_clip = clipping.remove_clip
    attach_hooks = recording.attach_hooks
    remove_hooks = recording.remove_hooks
    capture_gradients = recording.capture_gradients
    capture_parameters = recording.capture_parameters
    gradients = property(attrgetter("_gradients"), doc="``[layer][parameter]``, a list of arrays.")
    parameters = property(attrgetter("_parameters"), doc="``[layer][parameter]``, a list of arrays.")
    visualization = property(recording.visualization, recording.set_visualization)

    loader_apply = staticmethod(statistics.loader_apply)
    make_normalizer = staticmethod(statistics.make_normalizer)
    statistics_per_channel = staticmethod(statistics.statistics_per_channel)
