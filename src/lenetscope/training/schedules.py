"""Learning rate schedules: when one begins and is stepped, which torch leaves to the training loop."""

import math
import warnings
from bisect import bisect_right
from collections.abc import Callable
from typing import Any, Literal

from torch.optim import Optimizer, lr_scheduler

from lenetscope.errors import UsageError
from lenetscope.training.state import TrainState

Begin = Callable[..., Any]
"""Makes a new scheduler of (optimizer, epochs that it spans, steps per epoch, epochs done)."""


class WarmupLR(lr_scheduler.SequentialLR):
    """A linear rise in front of another schedule; both are stepped after each batch."""


STEPPED_EACH_BATCH = (
    WarmupLR,
    lr_scheduler.CyclicLR,
    lr_scheduler.OneCycleLR,
    lr_scheduler.CosineAnnealingWarmRestarts,
)
"""Schedulers that are stepped after each batch; all others are stepped after each epoch."""

SCALED = ("lr", "initial_lr", "min_lr", "max_lr")
"""Settings of an optimizer's group that torch's schedulers compute rates from."""


def plan_schedules(state: TrainState, epochs: int, steps: int, begin: Begin | None) -> None:
    """Decide which schedules lead to the end of a training.

    With ``begin``, a schedule that has begun is finished as planned, and a new one spans the epochs
    after it. Without, the scheduler is the user's own.

    Args:
        state: of the training.
        epochs: to reach.
        steps: per epoch.
        begin: makes each schedule.

    Raises:
        UsageError: if the scheduler ends too early, and would raise in the middle of the training.
    """
    planned = state.schedule_ends
    if begin:
        spans = zip([0, *state.schedule_ends], state.schedule_ends, strict=False)
        ends = [end for start, end in spans if (start, 0) < (state.epoch, state.step)]
        planned = ends if ends and ends[-1] >= epochs else [*ends, epochs]
        epochs = min(epochs, ends[-1] if ends else 0)
    to_come = epochs - state.epoch
    if isinstance(state.scheduler, STEPPED_EACH_BATCH):
        to_come = to_come * steps - state.step
    if (left := steps_left(state.scheduler)) < to_come:
        raise UsageError(
            f"the scheduler ends after {left} steps and {to_come} are to come: make it with "
            f"total_steps={to_come}."
        )
    state.schedule_ends = planned


def begin_schedule(state: TrainState, steps: int, begin: Begin | None) -> None:
    """Begin the schedule that is planned to begin with this epoch, if there is one."""
    if begin and state.step == 0 and state.epoch in (0, *state.schedule_ends[:-1]):
        end = state.schedule_ends[bisect_right(state.schedule_ends, state.epoch)]
        state.scheduler = begin(state.optimizer, end - state.epoch, steps, state.epoch)


def steps_left(scheduler: Any) -> float:
    """Return how often a scheduler can still be stepped before it raises; infinity if it never does."""
    if isinstance(scheduler, lr_scheduler.OneCycleLR):
        return scheduler.total_steps - scheduler.last_epoch
    if isinstance(scheduler, lr_scheduler.ChainedScheduler):
        return min(map(steps_left, scheduler._schedulers))
    left = math.inf
    if isinstance(scheduler, lr_scheduler.SequentialLR):
        done, milestones = scheduler.last_epoch, scheduler._milestones
        current = bisect_right(milestones, done)
        starts = [done + 1, *milestones[current:]]
        ends = [*milestones[current:], math.inf]
        for each, start, end in zip(scheduler._schedulers[current:], starts, ends, strict=True):
            own = start - 1 - done + steps_left(each)
            if own < end - 1 - done:  # it raises before the next one takes over
                left = min(left, own)
    return left


def step_schedule(
    state: TrainState, after: Literal["batch", "epoch"], steps: int, valid_loss: float = math.nan
) -> None:
    """Step the scheduler if it is one to be stepped now, and keep the rates that it sets.

    Args:
        state: with the batch, or the epoch, already counted.
        after: what has just been done.
        steps: steps per epoch.
        valid_loss: of the epoch, for ``ReduceLROnPlateau``.
    """
    scheduler = state.scheduler
    if scheduler is None or isinstance(scheduler, STEPPED_EACH_BATCH) != (after == "batch"):
        return
    given = []
    if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau):
        given = [valid_loss]
    elif isinstance(scheduler, lr_scheduler.CosineAnnealingWarmRestarts):
        given = [state.epoch + state.step / steps]
    with warnings.catch_warnings():
        # resumed after the last step of an epoch, the optimizer makes no step before this one
        warnings.filterwarnings("ignore", r"Detected call of `lr_scheduler.step\(\)` before")
        scheduler.step(*given)
    state.learning_rates.append([float(group["lr"]) for group in state.optimizer.param_groups])


def planned_rate(optimizer: Optimizer) -> float:
    """Return the learning rate that a recipe's schedule is made with: the constant, or the largest."""
    group = optimizer.param_groups[0]
    return float(group.get("max_lr", group.get("initial_lr", group["lr"])))


def replan_rate(state: TrainState, rate: float) -> None:
    """Go on as if the schedule had been made with another learning rate.

    The rate of the next step, and all that are still to come, are multiplied by the same factor; each
    schedule of a recipe is proportional to its rate. A schedule that begins later, because the training
    is extended, begins with the recipe's rate again. All of it is part of a checkpoint.

    Args:
        state: between two steps; its optimizer and scheduler are changed.
        rate: in place of `planned_rate`, above 0.
    """
    before = planned_rate(state.optimizer)

    def scaled(value: float) -> float:
        return rate if value == before else value * (rate / before)

    for group in state.optimizer.param_groups:
        group.update({name: scaled(group[name]) for name in SCALED if name in group})
    waiting = [state.scheduler] if state.scheduler else []
    while waiting:
        scheduler = waiting.pop()
        scheduler.base_lrs = [scaled(value) for value in getattr(scheduler, "base_lrs", [])]
        waiting += getattr(scheduler, "_schedulers", [])
