"""The learning rate range test: how the loss responds to a rate that grows with each step.

L. N. Smith, "Cyclical learning rates for training neural networks", WACV 2017, arXiv:1506.01186.
"""

import copy
import math
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any

import numpy as np
from lightning_fabric import Fabric
from torch import Tensor

from lenetscope import rng
from lenetscope.arguments import require_number, require_whole
from lenetscope.errors import TrainingError
from lenetscope.evaluation.outputs import loss_of
from lenetscope.observe import require_one_of
from lenetscope.restore import restored
from lenetscope.training.loop import fit
from lenetscope.training.state import TrainState

DIVERGED = 4.0
"""The test stops when the smoothed loss is so many times its lowest value."""


def lr_range_test(
    state: TrainState,
    loss_fn: Callable[..., Tensor],
    loader: Any,
    fabric: Fabric,
    end_lr: float,
    num_iter: int,
    step_mode: str,
    alpha: float,
    clip: Callable[[], object] | None = None,
) -> dict[str, list[float]]:
    """Train for a few steps at a rate that grows from the optimizer's own to ``end_lr``.

    At the end the state, gradients, modes and random streams are as they were.

    Args:
        state: its model and optimizer are used.
        loss_fn: of (outputs, labels).
        loader: is iterated over again if it has fewer than ``num_iter`` batches.
        fabric: the engine.
        end_lr: rate of the last step.
        num_iter: steps, at least 2.
        step_mode: ``"exp"`` (equal ratios between rates) or ``"linear"`` (equal differences).
        alpha: weight of the newest loss in the smoothed one, above 0 and at most 1.
        clip: clips the gradients, see `fit`.

    Returns:
        ``{"lr": …, "loss": …}``, fewer than ``num_iter`` values if the loss diverged.

    Raises:
        UsageError: if an argument is out of its range.
    """
    optimizer, start_lr = state.optimizer, float(state.optimizer.param_groups[0]["lr"])
    require_one_of("step_mode", step_mode, ("exp", "linear"))
    require_number("the optimizer's lr", start_lr, above=0)
    end_lr = require_number("end_lr", end_lr, above=0)
    alpha = require_number("alpha", alpha, above=0, most=1)
    num_iter = require_whole("num_iter", num_iter, 2)
    between = np.geomspace if step_mode == "exp" else np.linspace
    rates: list[float] = between(start_lr, end_lr, num_iter).tolist()
    losses: list[float] = []

    @wraps(loss_fn, (), ())
    def recorded(outputs: Any, labels: Any) -> Tensor:
        for group in optimizer.param_groups:
            group["lr"] = rates[len(losses)]
        loss = loss_of(loss_fn, outputs, labels)
        value = loss.item() if not losses else alpha * loss.item() + (1 - alpha) * losses[-1]
        if math.isfinite(value):
            losses.append(value)
        return loss

    def done() -> bool:
        return len(losses) == num_iter or losses[-1] > DIVERGED * min(losses)

    weights = {name: value.detach().clone() for name, value in state.model.state_dict().items()}
    moments = copy.deepcopy(optimizer.state_dict())
    try:
        # the loss ends the test where it is no longer a finite number
        with restored(state.model), rng.isolated(loader), suppress(TrainingError):
            optimizer.zero_grad()
            probe = TrainState(state.model, optimizer)
            fit(
                probe,
                loader,
                None,
                epochs=num_iter,
                loss_fn=recorded,
                fabric=fabric,
                clip=clip,
                stop=done,
            )
    finally:
        state.model.load_state_dict(weights)
        optimizer.load_state_dict(moments)
    return {"lr": rates[: len(losses)], "loss": losses}
