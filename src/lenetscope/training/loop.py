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
from lenetscope.arguments import (
    pairs,
    require_callable,
    require_length,
    require_one_name_each,
    require_optimizer,
    require_passes,
    require_whole,
)
from lenetscope.errors import TrainingError, UsageError
from lenetscope.evaluation.outputs import loss_of
from lenetscope.evaluation.tally import Tally
from lenetscope.failures import explained
from lenetscope.training import machine
from lenetscope.training.callbacks import Callback, best_epoch
from lenetscope.training.engine import uncompiled_if_observed
from lenetscope.training.processes import Processes
from lenetscope.training.schedules import Begin, begin_schedule, plan_schedules, step_schedule
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
    schedule: Begin | None = None,
    keep_best: bool = False,
    callbacks: Sequence[Callback] = (),
    checkpoint_steps: int = 0,
    stop: Callable[[], bool] = lambda: False,
    classes: Sequence[str] | None = None,
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
        threads: to compute with; 0 for as many as are worth it, see `machine.fastest_threads`.
        schedule: begins each learning rate schedule, see `plan_schedules`; None leaves
            ``state.scheduler`` as it is.
        keep_best: whether the model ends with the weights of the epoch with the lowest validation loss.
        callbacks: see `Callback`.
        checkpoint_steps: call for a checkpoint each time so many steps are done, too; 0 for never.
        stop: is called after each step; before training stops, a checkpoint is called for.
        classes: names, which must be as many as the model tells apart.

    Raises:
        TrainingError: if the loss is no longer a finite number.
        DataError: if there are no batches, or one does not fit the model or the loss.
        UsageError: if what was given does not fit together: the optimizer and the model, a scheduler
            that needs a validation loss and no ``valid_loader``, and so on. Nothing is changed then.
    """
    steps = _require_trainable(state, train_loader, valid_loader, loss_fn, keep_best)
    require_whole("checkpoint_steps", checkpoint_steps, 0)
    require_callable("stop", stop, "no arguments")
    processes, device, begun = Processes(fabric), fabric.device, (state.epoch, state.step)
    processes.require_same(state.model, state.rng)
    plan_schedules(state, epochs, steps, schedule)
    state.take_last()
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
            while state.epoch < epochs and not any(callback.done for callback in callbacks):
                begin_schedule(state, steps, schedule)
                state.model.train()
                started = time.perf_counter()
                for inputs, labels in pairs(_batches(state, train_loader, processes)):
                    inputs, labels, weight = processes.rows(inputs, labels)
                    inputs, labels = inputs.to(device), labels.to(device)
                    with explained(state.model):
                        outputs = model(inputs)
                    loss = loss_of(loss_fn, outputs, labels)
                    if not math.isfinite(loss.item()):  # before it can spoil the weights
                        raise _diverged(state)
                    if weight:
                        state.tally.add(outputs, labels, loss, loss_fn)
                    if state.tally.confusion is not None:
                        require_one_name_each(classes, len(state.tally.confusion))
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
                        "lr": float(state.optimizer.param_groups[0]["lr"]),
                        "train_seconds": round(state.seconds, 3),
                        "valid_seconds": round(time.perf_counter() - started, 3),
                        "planned": epochs,
                    }
                )
                state.epoch, state.step, state.seconds, state.tally = state.epoch + 1, 0, 0.0, Tally()
                if keep_best and best_epoch(state.history) == state.epoch:
                    state.best = state.weights()
                step_schedule(state, "epoch", steps, valid.loss if valid else math.nan)
                for callback in callbacks:
                    callback.on_epoch_end(state)
                checkpoint()
                if processes.any(stop()) and state.epoch < epochs:
                    return
            state.take_best()
        finally:
            for callback in callbacks:
                callback.on_train_end(state)
            # one of several processes may have raised while the others wait
            if processes.count == 1 and (state.epoch, state.step) != begun:
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
    processes.continue_rng(state.rng, loader)
    return batches


def _require_trainable(
    state: TrainState, train_loader: Any, valid_loader: Any, loss_fn: Any, keep_best: bool
) -> int:
    """Return the steps per epoch, if model, optimizer, scheduler, loss and loaders fit together."""
    if isinstance(state.scheduler, lr_scheduler.ReduceLROnPlateau) and valid_loader is None:
        raise UsageError("ReduceLROnPlateau follows the validation loss: give a validation loader.")
    if keep_best and valid_loader is None:
        raise UsageError("the best epoch has the lowest validation loss: give a validation loader.")
    groups = require_optimizer(state.optimizer, state.model, loss_fn).param_groups
    if not any(parameter.requires_grad for group in groups for parameter in group["params"]):
        raise UsageError(
            "every parameter of the optimizer is frozen: set requires_grad of some to True."
        )
    if valid_loader is not None:
        require_passes(valid_loader)
    if state.step > (steps := require_length(train_loader)):
        raise UsageError(
            f"{state.step} steps of this epoch are done, and the loader has {steps}: give the data and "
            "the batch size that the training began with."
        )
    return steps


def _diverged(state: TrainState) -> TrainingError:
    rate = state.optimizer.param_groups[0]["lr"]
    return TrainingError(
        f"the loss is no longer a finite number in epoch {state.epoch + 1}, step {state.step + 1}. "
        f"Try a lower learning rate than {rate:g}, or clip the gradients."
    )
