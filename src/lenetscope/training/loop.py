"""The training loop: `fit` is all of it, from top to bottom.

It knows nothing of folders or displays, which are callbacks, nor of test images: it trains and
validates on the loaders that it is given. What only several processes need is in `processes`.
"""

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.optim import lr_scheduler

from lenetscope import rng
from lenetscope.errors import DataError, TrainingError, UsageError
from lenetscope.evaluation.outputs import loss_of
from lenetscope.evaluation.tally import Tally
from lenetscope.training import machine
from lenetscope.training.callbacks import Callback
from lenetscope.training.engine import uncompiled_if_observed
from lenetscope.training.processes import Processes
from lenetscope.training.schedules import step_schedule
from lenetscope.training.state import TrainState


def fit(
    state: TrainState,
    train_loader: Any,
    valid_loader: Iterable[Any] | None,
    *,
    epochs: int,
    loss_fn: Callable[..., Tensor],
    fabric: Fabric,
    clip: Callable[[], Any] | None = None,
    compile: bool = False,
    threads: int = 0,
    callbacks: Sequence[Callback] = (),
    checkpoint_steps: int = 0,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Train until ``state.epoch`` is ``epochs``, or until ``stop()`` returns True after a step.

    Training has random streams of its own, which begin with ``state.seed`` and continue from one call
    to the next with ``state.rng``. The caller's streams, the number of threads and the flags of cuDNN
    are restored at the end.

    Args:
        state: is changed in place; may come from the middle of an epoch.
        train_loader: yields (inputs, labels); has a length.
        valid_loader: the same, or None for no validation.
        epochs: to reach, counted from the beginning of the training.
        loss_fn: of (outputs, labels), a mean over the batch.
        fabric: the engine.
        clip: bounds the gradients before each step of the optimizer.
        compile: whether TorchInductor compiles the model first.
        threads: to compute with; 0 for one per core.
        callbacks: see `Callback`.
        checkpoint_steps: call for a checkpoint each time so many steps are done, too; 0 for never.
        stop: is called after each step; before training stops, a checkpoint is called for.

    Raises:
        TrainingError: if the loss is no longer a finite number.
        DataError: if a label is out of range, or there are no batches.
        UsageError: if the scheduler needs a validation loss and there is no ``valid_loader``, or the
            optimizer is another model's.
    """
    _require_trainable(state, train_loader, valid_loader)
    processes, steps, device = Processes(fabric), len(train_loader), fabric.device
    state.tally = processes.own(state.tally)

    def checkpoint() -> None:
        state.tally = processes.own(processes.sum(state.tally))
        state.rng = processes.capture_rng(train_loader)
        for callback in callbacks:
            callback.on_checkpoint(state)

    with rng.isolated(), machine.repeatable(threads), uncompiled_if_observed(state.model):
        model: Any = torch.compile(state.model) if compile else state.model
        model, optimizer = fabric.setup(model, state.optimizer)
        if state.rng is not None:
            processes.restore_rng(state.rng, train_loader)
        elif state.seed is not None:
            rng.seed_everything(state.seed, train_loader)
        try:
            for callback in callbacks:
                callback.on_train_begin(state, epochs, steps)
            while state.epoch < epochs:
                state.model.train()
                started = time.perf_counter()
                for inputs, labels in _batches(state, train_loader, processes):
                    inputs, labels, weight = processes.rows(inputs, labels)
                    inputs, labels = inputs.to(device), labels.to(device)
                    outputs = model(inputs)
                    loss = loss_of(loss_fn, outputs, labels)
                    if weight:
                        state.tally.add(outputs, labels, loss, loss_fn)
                    if not math.isfinite(state.tally.loss_sum):  # before it can spoil the weights
                        raise _diverged(state)
                    fabric.backward(loss * weight)
                    if clip:
                        clip()
                    optimizer.step()
                    optimizer.zero_grad()
                    state.step += 1
                    step_schedule(state, "batch", steps)
                    for callback in callbacks:
                        callback.on_step_end(state)
                    now = time.perf_counter()
                    state.seconds, started = state.seconds + now - started, now
                    stopping = processes.any(stop())
                    due = checkpoint_steps and state.step % checkpoint_steps == 0 and state.step < steps
                    if stopping or due:
                        checkpoint()
                    if stopping:
                        return
                trained, started = processes.sum(state.tally), time.perf_counter()
                valid = None
                if valid_loader is not None:
                    valid = processes.evaluate(state.model, valid_loader, loss_fn)
                state.history.append(
                    {
                        "epoch": state.epoch + 1,
                        "train_loss": trained.loss,
                        "train_accuracy": trained.accuracy,
                        "valid_loss": valid.loss if valid else None,
                        "valid_accuracy": valid.accuracy if valid else None,
                        "lr": state.optimizer.param_groups[0]["lr"],
                        "train_seconds": round(state.seconds, 3),
                        "valid_seconds": round(time.perf_counter() - started, 3),
                    }
                )
                state.epoch, state.step, state.seconds, state.tally = state.epoch + 1, 0, 0.0, Tally()
                step_schedule(state, "epoch", steps, valid.loss if valid else math.nan)
                for callback in callbacks:
                    callback.on_epoch_end(state)
                checkpoint()
                if processes.any(stop()) or any(callback.done for callback in callbacks):
                    return
        finally:
            for callback in callbacks:
                callback.on_train_end(state)
            if processes.count == 1:  # of several, one may have raised while the others wait
                state.rng = processes.capture_rng(train_loader)


def _batches(state: TrainState, loader: Any, processes: Processes) -> Iterator[Any]:
    """Begin an epoch, or continue the current one: the same order, without the batches done."""
    if not state.step:
        processes.seed_alike()
        state.epoch_rng = processes.capture_rng(loader)
        batches: Iterator[Any] = iter(loader)
        first = list(itertools.islice(batches, 1))  # draws the order
        processes.seed_apart()
        return itertools.chain(first, batches)
    processes.restore_rng(state.epoch_rng, loader)
    batches = iter(loader)
    for _ in itertools.islice(batches, state.step):
        pass
    processes.restore_rng(state.rng, loader)
    return batches


def _require_trainable(state: TrainState, train_loader: Any, valid_loader: Any) -> None:
    if isinstance(state.scheduler, lr_scheduler.ReduceLROnPlateau) and valid_loader is None:
        raise UsageError("ReduceLROnPlateau follows the validation loss: give a validation loader.")
    if len(train_loader) == 0:
        raise DataError("there is nothing to train on: the loader has no batches.")
    learning = {id(parameter) for parameter in state.model.parameters()}
    held = [id(p) for group in state.optimizer.param_groups for p in group["params"]]
    if learning.isdisjoint(held):
        raise UsageError("the optimizer has no parameter of this model: make one for this model.")


def _diverged(state: TrainState) -> TrainingError:
    rate = state.optimizer.param_groups[0]["lr"]
    return TrainingError(
        f"the loss is no longer a finite number in epoch {state.epoch + 1}, step {state.step + 1}. "
        f"Try a lower learning rate than {rate:g}, or clip the gradients."
    )
