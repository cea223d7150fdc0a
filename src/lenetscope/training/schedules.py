"""How a learning rate scheduler is stepped, which torch leaves to the training loop."""

import math
from typing import Literal

from torch.optim import lr_scheduler

from lenetscope.training.state import TrainState

STEPPED_EACH_BATCH = (
    lr_scheduler.CyclicLR,
    lr_scheduler.OneCycleLR,
    lr_scheduler.CosineAnnealingWarmRestarts,
)
"""Schedulers that are stepped after each batch; all others are stepped after each epoch."""


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
    if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau):
        scheduler.step(valid_loss)
    elif isinstance(scheduler, lr_scheduler.CosineAnnealingWarmRestarts):
        scheduler.step(state.epoch + state.step / steps)
    else:
        scheduler.step()
    state.learning_rates.append([group["lr"] for group in state.optimizer.param_groups])
