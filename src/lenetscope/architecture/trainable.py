"""Training any model: its loaders, its schedule, its clipping, its checkpoints.

In: a module, a loss, an optimizer and loaders. Out: the same, trained, and a history.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lenetscope import plots, rng
from lenetscope.architecture.looking import Looking
from lenetscope.errors import UsageError
from lenetscope.files import write_bytes
from lenetscope.training import Callback, TrainState, engine, fit, lr_range_test
from lenetscope.training.checkpoint import dumps, load_into
from lenetscope.training.choices import STEPPED_EACH_BATCH
from lenetscope.training.progress import ProgressDisplay
from lenetscope.training.tensorboard import TensorBoardCallback, add_graph, make_writer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch.utils.tensorboard.writer import SummaryWriter

DEFAULT_SEED = 42
"""Seed of `Trainable.train` where nothing else was asked for."""


class Trainable(Looking):
    """A model with its loss, optimizer and loaders.

    Args:
        model: any module; it is moved to the device.
        loss_fn: of (outputs, labels), a mean over the batch.
        optimizer: over the model's parameters.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
        precision: as Lightning Fabric names it, such as ``"32-true"`` or ``"bf16-mixed"``, or
            ``"auto"`` for the fastest that the device computes in.
        threads: how many compute; 0 for one a core.
        compile: whether TorchInductor compiles the model for training.
        classes: names of the K classes; by default ``"0"``, ``"1"`` and so on.

    Raises:
        UsageError: if the device is not there.
    """

    def __init__(
        self,
        model: nn.Module,
        loss_fn: Callable[..., Tensor],
        optimizer: Optimizer,
        *,
        device: str = "auto",
        precision: str = "32-true",
        threads: int = 0,
        compile: bool = False,
        classes: Sequence[str] | None = None,
    ) -> None:
        super().__init__(model)
        self.classes = tuple(classes) if classes else None
        self.loss_fn = loss_fn
        self.train_loader: Any = None
        self.val_loader: Any = None
        self.writer: SummaryWriter | None = None
        self._default_epochs: int | None = None
        self._clip: Any = None
        self._clip_handles: list[Any] = []
        self._precision, self._threads, self._compile = precision, threads, compile
        self.fabric = engine.make_engine(device, precision, threads)
        engine.place(self.fabric, model)
        self.state = TrainState(model, optimizer, is_main=self.fabric.is_global_zero)

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer."""
        return self.state.optimizer

    @property
    def scheduler(self) -> Any:
        """The schedule of the learning rate, or None."""
        return self.state.scheduler

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.fabric.device

    @property
    def precision(self) -> str:
        """The precision that is computed in; never ``"auto"``."""
        return engine.precision_of(self.fabric)

    @property
    def total_epochs(self) -> int:
        """Epochs done so far."""
        return self.state.epoch

    @property
    def history(self) -> list[dict[str, Any]]:
        """A row an epoch, see `TrainState.history`."""
        return self.state.history

    @property
    def losses(self) -> list[float]:
        """Mean training loss of each epoch."""
        return [row["train_loss"] for row in self.history]

    @property
    def val_losses(self) -> list[float | None]:
        """Mean validation loss of each epoch, None where there was no validation."""
        return [row["valid_loss"] for row in self.history]

    @property
    def learning_rates(self) -> list[list[float]]:
        """Rates of all parameter groups after each step of the schedule."""
        return self.state.learning_rates

    @property
    def is_batch_lr_scheduler(self) -> bool:
        """Whether the schedule is stepped after each batch, not after each epoch."""
        return isinstance(self.scheduler, STEPPED_EACH_BATCH)

    def to(self, device: str | torch.device) -> None:
        """Move model and optimizer to another device.

        Raises:
            UsageError: if it is not there.
        """
        self.fabric = engine.make_engine(str(device), self._precision, self._threads)
        engine.place(self.fabric, self.model)
        self.optimizer.load_state_dict(self.optimizer.state_dict())  # its moments follow

    def set_loaders(self, train_loader: Any, val_loader: Any = None) -> None:
        """Give what to train on and, if any, what to validate on: loaders of (inputs, labels)."""
        self.train_loader, self.val_loader = train_loader, val_loader

    def set_optimizer(self, optimizer: Optimizer) -> None:
        """Go on with another optimizer; a schedule of the former one is dropped."""
        self.state.optimizer = optimizer
        if self.scheduler is not None and self.scheduler.optimizer is not optimizer:
            self.state.scheduler = None

    def set_lr_scheduler(self, scheduler: Any) -> None:
        """Let a scheduler of ``torch.optim.lr_scheduler`` steer the learning rate.

        ``CyclicLR``, ``OneCycleLR`` and ``CosineAnnealingWarmRestarts`` are stepped after each
        batch, ``ReduceLROnPlateau`` with the validation loss, all others after each epoch.

        Raises:
            UsageError: if it was made for another optimizer.
        """
        if scheduler.optimizer is not self.optimizer:
            raise UsageError("the scheduler was made for another optimizer than this one's.")
        self.state.scheduler = scheduler

    def set_clip_grad_value(self, clip_value: float) -> None:
        """Bound each element of each gradient to ±``clip_value`` before each step."""
        self._clip = lambda fabric, module, optimizer: fabric.clip_gradients(
            module, optimizer, clip_val=clip_value
        )

    def set_clip_grad_norm(self, max_norm: float, norm_type: float = 2) -> None:
        """Bound the norm of all gradients together to ``max_norm`` before each step."""
        self._clip = lambda fabric, module, optimizer: fabric.clip_gradients(
            module, optimizer, max_norm=max_norm, norm_type=norm_type, error_if_nonfinite=False
        )

    def set_clip_backprop(self, clip_value: float) -> None:
        """Bound each gradient to ±``clip_value`` as soon as it is computed, by hooks."""
        for parameter in self.model.parameters():
            if parameter.requires_grad:
                handle = parameter.register_hook(lambda g: g.clamp(-clip_value, clip_value))  # type: ignore[no-untyped-call]
                self._clip_handles.append(handle)

    def remove_clip(self) -> None:
        """Clip no more, in none of the three ways."""
        self._clip = None
        while self._clip_handles:
            self._clip_handles.pop().remove()

    def set_seed(self, seed: int = DEFAULT_SEED) -> None:
        """Seed Python, NumPy, torch and the training loader's generators; training starts there."""
        rng.seed_everything(seed, self.train_loader)
        self.state.begin_stream(seed)

    def set_tensorboard(self, name: str, folder: str | Path = "runs") -> None:
        """Write the figures of each epoch to TensorBoard, under ``folder/name_<date and time>``.

        Raises:
            UsageError: if TensorBoard is not installed.
        """
        self.writer = make_writer(name, folder)

    def add_graph(self) -> None:
        """Write the model's graph to TensorBoard, if there are a writer and a training loader."""
        if self.writer and self.train_loader:
            with rng.isolated(self.train_loader):
                inputs, _ = next(iter(self.train_loader))
            add_graph(self.writer, self.model, inputs.to(self.device))

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
        """Train for some epochs more; a second call goes on where the first ended.

        Args:
            n_epochs: how many; by default as many as the recipe says.
            seed: what the random streams begin with. On a training that has begun, or that
                `set_seed` has seeded, the default changes nothing and another seed begins anew.
            callbacks: are told of steps and epochs, see `training.Callback`.
            progress: show a bar on a terminal, else a line an epoch, on standard error.
            checkpoint_steps: also tell callbacks to save each time so many steps are done.
            stop: is asked after each step whether to end.

        Raises:
            UsageError: if there is no training loader or no number of epochs.
            TrainingError: if the loss is no longer a finite number.
            DataError: if a label is out of range.
        """
        if n_epochs is None:
            if self._default_epochs is None:
                raise UsageError("say for how many epochs to train: there is no recipe to tell.")
            n_epochs = self._default_epochs
        if n_epochs < 0:
            raise UsageError(f"n_epochs must be at least 0, not {n_epochs}.")
        if self.train_loader is None:
            raise UsageError("there is nothing to train on: call set_loaders first.")
        if self.state.seed is None or seed not in (self.state.seed, DEFAULT_SEED):
            self.state.begin_stream(seed)
        own: list[Callback] = [ProgressDisplay()] if progress else []
        if self.writer:
            own.append(TensorBoardCallback(self.writer))
        fit(
            self.state,
            self.train_loader,
            self.val_loader,
            epochs=self.state.epoch + n_epochs,
            loss_fn=self.loss_fn,
            fabric=self.fabric,
            clip=self._clip,
            compile=self._compile,
            callbacks=[*own, *callbacks],
            checkpoint_steps=checkpoint_steps,
            stop=stop,
        )

    def lr_range_test(
        self,
        data_loader: Iterable[Any],
        end_lr: float,
        num_iter: int = 100,
        step_mode: str = "exp",
        alpha: float = 0.05,
        ax: "Axes | None" = None,
    ) -> "tuple[dict[str, list[float]], Figure]":
        """See how the loss answers to a growing learning rate; nothing is changed by it.

        Returns:
            ``{"lr": …, "loss": …}`` and a figure; see `training.lr_range_test`.
        """
        tracking = lr_range_test(
            self.model, self.optimizer, self.loss_fn, data_loader, end_lr=end_lr,
            num_iter=num_iter, step_mode=step_mode, alpha=alpha, device=self.device,
            forward=engine.forward(self.fabric, self.model),
        )  # fmt: skip
        return tracking, plots.lr_range(tracking, step_mode, ax)

    def save_checkpoint(self, filename: str | Path) -> None:
        """Write the whole state: model, optimizer, schedule, history, random streams.

        Raises:
            StorageError: if it cannot be written; a former file is then intact.
        """
        if self.state.is_main:
            write_bytes(Path(filename), dumps(self.state))

    def load_checkpoint(self, filename: str | Path) -> None:
        """Take up what `save_checkpoint` wrote; `train` then goes on as if never interrupted.

        Raises:
            CheckpointError: if it is missing, damaged, unsafe, or of another network; nothing is
                changed then.
        """
        load_into(self.state, Path(filename))
        self.model.train()
