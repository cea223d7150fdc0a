"""The training loop.

In: a `TrainState`, loaders, a loss and the engine. Out: the same state, some epochs on. The loop
knows nothing of folders, displays or test images: callbacks are told, and it receives what it trains
and validates on. In several processes every one draws the same global batch and takes its own rows
of it, so that the order of images, and the loss, are those of one process.
"""

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.optim import lr_scheduler

from lenetscope import rng
from lenetscope.errors import DataError, TrainingError, UsageError
from lenetscope.evaluation import Tally, evaluate
from lenetscope.evaluation.predictions import label_error
from lenetscope.training import engine
from lenetscope.training.callbacks import Callback
from lenetscope.training.choices import STEPPED_EACH_BATCH
from lenetscope.training.state import TrainState

Clip = Callable[[Fabric, Any, Any], None]
"""Of (fabric, wrapped model, wrapped optimizer): bounds the gradients before a step."""


@dataclass
class _Run:
    """What stays the same during one call of `fit`."""

    state: TrainState
    train_loader: Any
    fabric: Fabric
    module: Any
    optimizer: Any
    loss_fn: Callable[..., Tensor]
    clip: Clip | None
    callbacks: Sequence[Callback]
    checkpoint_steps: int
    stop: Callable[[], bool]

    def take_down_rng(self) -> list[dict[str, Any]]:
        """Return the streams of all processes, in the order of their ranks."""
        mine = rng.capture(self.train_loader)
        if self.fabric.world_size == 1:
            return [mine]
        everyone: list[Any] = [None] * self.fabric.world_size
        torch.distributed.all_gather_object(everyone, mine)
        return everyone

    def put_back_rng(self, streams: list[dict[str, Any]]) -> None:
        rank = self.fabric.global_rank
        rng.restore(streams[min(rank, len(streams) - 1)], self.train_loader)

    def asked_to_stop(self) -> bool:
        if self.fabric.world_size == 1:
            return self.stop()
        return self.fabric.strategy.reduce_boolean_decision(self.stop(), all=False)


def fit(
    state: TrainState,
    train_loader: Any,
    valid_loader: Iterable[Any] | None,
    *,
    epochs: int,
    loss_fn: Callable[..., Tensor],
    fabric: Fabric,
    clip: Clip | None = None,
    compile: bool = False,
    callbacks: Sequence[Callback] = (),
    checkpoint_steps: int = 0,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Train until ``state.epoch`` is ``epochs``, or until ``stop()`` says so after a step.

    The caller's random streams are left as they were: training has its own, which begin with
    ``state.seed`` and which ``state.rng`` carries from one call to the next.

    Args:
        state: is changed in place; may come from the middle of an epoch.
        train_loader: yields (inputs, labels); has a length.
        valid_loader: the same, or None for no validation.
        epochs: to have done in the end, counted from the beginning of the training.
        loss_fn: of (outputs, labels), a mean over the batch.
        fabric: the engine.
        clip: bounds the gradients before each step of the optimizer.
        compile: whether TorchInductor compiles the model first.
        callbacks: are told of what happens.
        checkpoint_steps: also call for a checkpoint each time so many steps are done; 0 for never.
        stop: is asked after each step; when it says yes, a checkpoint is called for.

    Raises:
        TrainingError: if the loss is no longer a finite number.
        DataError: if a label is out of range, or there are no batches.
        UsageError: if the scheduler needs a validation loss and there is no ``valid_loader``.
    """
    if isinstance(state.scheduler, lr_scheduler.ReduceLROnPlateau) and valid_loader is None:
        raise UsageError("ReduceLROnPlateau follows the validation loss: give a validation loader.")
    if len(train_loader) == 0:
        raise DataError("there is nothing to train on: the loader has no batches.")
    model = torch.compile(state.model) if compile else state.model
    module, optimizer = fabric.setup(model, state.optimizer)  # type: ignore[arg-type]
    run = _Run(
        state,
        train_loader,
        fabric,
        module,
        optimizer,
        loss_fn,
        clip,
        callbacks,
        checkpoint_steps,
        stop,
    )
    if fabric.global_rank > 0 and state.step:
        state.tally = Tally()  # a checkpoint's tally is the sum over all processes
    with rng.isolated():
        if state.rng is not None:
            run.put_back_rng(state.rng)
        elif state.seed is not None:
            rng.seed_everything(state.seed, train_loader)
        try:
            for callback in callbacks:
                callback.on_start(state, epochs, len(train_loader))
            while state.epoch < epochs and _train_epoch(run):
                _end_epoch(run, valid_loader)
                if run.asked_to_stop() or any(callback.done for callback in callbacks):
                    break
        finally:
            for callback in callbacks:
                callback.on_stop(state)
            if fabric.world_size == 1:
                state.rng = run.take_down_rng()


def _train_epoch(run: _Run) -> bool:
    """Do what is left of the epoch under way; return False if stopped before its end."""
    state = run.state
    started = time.perf_counter()
    state.model.train()
    for number, batch in enumerate(_remaining_batches(run), start=state.step + 1):
        _train_step(run, *batch)
        state.step = number
        if isinstance(state.scheduler, STEPPED_EACH_BATCH):
            _advance_schedule(state, fraction=number / len(run.train_loader))
        for callback in run.callbacks:
            callback.on_step(state)
        stopping = run.asked_to_stop()
        due = run.checkpoint_steps and number % run.checkpoint_steps == 0
        if stopping or (due and number < len(run.train_loader)):
            now = time.perf_counter()
            state.seconds, started = state.seconds + now - started, now
            _call_for_checkpoint(run)
        if stopping:
            return False
    state.seconds += time.perf_counter() - started
    return True


def _remaining_batches(run: _Run) -> Iterator[Any]:
    """Begin an epoch, or take one up where it was left: same order, first batches skipped."""
    state, fabric = run.state, run.fabric
    if state.step:
        assert state.epoch_rng is not None
        assert state.rng is not None
        run.put_back_rng(state.epoch_rng)
        batches: Iterator[Any] = iter(run.train_loader)
        for _ in itertools.islice(batches, state.step):
            pass
        run.put_back_rng(state.rng)
        return batches
    if fabric.world_size > 1:
        # rank 0 decides the order that all draw; afterwards each has dropout of its own
        seed = fabric.broadcast(torch.randint(2**31, ()).item(), src=0)
        torch.manual_seed(seed)
        state.epoch_rng = run.take_down_rng()
        rest = iter(run.train_loader)
        first = list(itertools.islice(rest, 1))
        torch.manual_seed(seed + fabric.global_rank)
        return itertools.chain(first, rest)
    state.epoch_rng = run.take_down_rng()
    whole: Iterator[Any] = iter(run.train_loader)
    return whole


def _train_step(run: _Run, inputs: Any, labels: Any) -> None:
    """Forward, backward, step; the loss is counted before it can spoil the weights."""
    fabric, state = run.fabric, run.state
    share = 1.0
    if fabric.world_size > 1:
        inputs, labels, share = _rows_of_this_process(fabric, inputs, labels)
    inputs, labels = inputs.to(fabric.device), labels.to(fabric.device)
    outputs = run.module(inputs)
    try:
        loss = run.loss_fn(outputs, labels)
    except IndexError as error:
        raise label_error(outputs, labels, error) from error
    if share:
        state.tally.add(outputs, labels, loss, run.loss_fn)
    if not math.isfinite(state.tally.loss_sum):
        raise TrainingError(
            f"the loss is no longer a finite number in epoch {state.epoch + 1}, step "
            f"{state.step + 1}. Try a lower learning rate than "
            f"{state.optimizer.param_groups[0]['lr']:g}, or clip the gradients."
        )
    fabric.backward(loss if share == 1.0 else loss * share)
    if run.clip:
        run.clip(fabric, run.module, run.optimizer)
    run.optimizer.step()
    run.optimizer.zero_grad()


def _rows_of_this_process(fabric: Fabric, inputs: Any, labels: Any) -> tuple[Any, Any, float]:
    """Return this process's rows, and what its mean counts for in the mean over processes.

    A process that finds no row left takes the first one and counts for nothing, because all must
    take part in adding the gradients up.
    """
    total, rank, processes = len(labels), fabric.global_rank, fabric.world_size
    mine = labels[rank::processes]
    if not len(mine):
        return inputs[:1], labels[:1], 0.0
    return inputs[rank::processes], mine, len(mine) * processes / total


def _end_epoch(run: _Run, valid_loader: Iterable[Any] | None) -> None:
    """Validate, write the row of the epoch, advance the schedule, call for a checkpoint."""
    state, fabric = run.state, run.fabric
    train = _tally_of_all(run)
    started = time.perf_counter()
    valid = None
    if valid_loader is not None:
        valid = evaluate(
            state.model,
            valid_loader,
            run.loss_fn,
            forward=engine.forward(fabric, state.model),
            device=fabric.device,
            rank=fabric.global_rank,
            processes=fabric.world_size,
            reduce=lambda tensor: engine.sum_over_processes(fabric, tensor),
        )
    state.history.append(
        {
            "epoch": state.epoch + 1,
            "train_loss": train.loss,
            "train_accuracy": train.accuracy,
            "valid_loss": valid.loss if valid else None,
            "valid_accuracy": valid.accuracy if valid else None,
            "lr": state.optimizer.param_groups[0]["lr"],
            "train_seconds": round(state.seconds, 3),
            "valid_seconds": round(time.perf_counter() - started, 3),
        }
    )
    state.epoch, state.step, state.seconds, state.tally = state.epoch + 1, 0, 0.0, Tally()
    if state.scheduler and not isinstance(state.scheduler, STEPPED_EACH_BATCH):
        _advance_schedule(state, valid_loss=valid.loss if valid else math.nan)
    for callback in run.callbacks:
        callback.on_epoch(state)
    _call_for_checkpoint(run)


def _call_for_checkpoint(run: _Run) -> None:
    state = run.state
    if run.fabric.world_size > 1 and state.step:
        total = _tally_of_all(run)
        state.tally = total if state.is_main else Tally()
    state.rng = run.take_down_rng()
    for callback in run.callbacks:
        callback.on_checkpoint(state)


def _tally_of_all(run: _Run) -> Tally:
    if run.fabric.world_size == 1:
        return run.state.tally
    return run.state.tally.summed(lambda t: engine.sum_over_processes(run.fabric, t))


def _advance_schedule(state: TrainState, fraction: float = 0.0, valid_loss: float = math.nan) -> None:
    """Step the scheduler: with the loss, with the epoch and its fraction, or just so."""
    scheduler = state.scheduler
    if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau):
        scheduler.step(valid_loss)
    elif isinstance(scheduler, lr_scheduler.CosineAnnealingWarmRestarts):
        scheduler.step(state.epoch + fraction)
    else:
        scheduler.step()
    state.learning_rates.append([group["lr"] for group in state.optimizer.param_groups])
