"""The learning rate range test: how the loss answers to a rate that grows at each step.

In: a training and a loader. Out: learning rates and smoothed losses; model, optimizer, gradients,
modes and random streams are left as they were.

L. N. Smith, "Cyclical learning rates for training neural networks", WACV 2017, arXiv:1506.01186.
"""

import copy
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lenetscope import rng
from lenetscope.errors import UsageError
from lenetscope.untouched import in_mode

DIVERGED = 4.0
"""The test stops when the smoothed loss is so many times its lowest value."""


def lr_range_test(
    model: nn.Module,
    optimizer: Optimizer,
    loss_fn: Callable[..., Tensor],
    loader: Iterable[Any],
    *,
    end_lr: float,
    num_iter: int = 100,
    step_mode: str = "exp",
    alpha: float = 0.05,
    forward: Callable[[Any], Any] | None = None,
    device: torch.device | str = "cpu",
) -> dict[str, list[float]]:
    """Train for a few steps at a rate that grows from the optimizer's own to ``end_lr``.

    Args:
        model: trained in training mode, then restored.
        optimizer: its rate is where the test starts.
        loss_fn: of (outputs, labels).
        loader: is gone through again if it has fewer than ``num_iter`` batches.
        end_lr: rate of the last step.
        num_iter: steps, at least 2.
        step_mode: ``"exp"`` (equal ratios between rates) or ``"linear"`` (equal differences).
        alpha: weight of the newest loss in the smoothed one, above 0 and at most 1.
        forward: what to call in place of ``model``, such as the engine's precision around it.
        device: where the model is.

    Returns:
        ``{"lr": …, "loss": …}``, fewer than ``num_iter`` values if the loss diverged.

    Raises:
        UsageError: if an argument is out of its range.
    """
    start_lr = float(optimizer.param_groups[0]["lr"])
    if step_mode not in ("exp", "linear"):
        raise UsageError(f"step_mode must be 'exp' or 'linear', not '{step_mode}'.")
    if num_iter < 2:
        raise UsageError(f"num_iter must be at least 2, not {num_iter}.")
    if not end_lr > 0 or not start_lr > 0:
        raise UsageError(f"learning rates must be above 0, not {start_lr:g} and {end_lr:g}.")
    if not 0 < alpha <= 1:
        raise UsageError(f"alpha must be above 0 and at most 1, not {alpha:g}.")

    def rate(iteration: int) -> float:
        part = iteration / (num_iter - 1)
        if step_mode == "linear":
            return start_lr + (end_lr - start_lr) * part
        return float(start_lr * (end_lr / start_lr) ** part)

    call = forward or model
    tracking: dict[str, list[float]] = {"lr": [], "loss": []}
    with _untouched(model, optimizer, loader):
        for iteration, (inputs, labels) in zip(range(num_iter), _again_and_again(loader), strict=False):
            for group in optimizer.param_groups:
                group["lr"] = rate(iteration)
            optimizer.zero_grad()
            loss = loss_fn(call(inputs.to(device)), labels.to(device))
            value = loss.item()
            smooth = tracking["loss"]
            value = alpha * value + (1 - alpha) * smooth[-1] if smooth else value
            if not math.isfinite(value):
                break
            tracking["lr"].append(rate(iteration))
            smooth.append(value)
            if value > DIVERGED * min(smooth):
                break
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return tracking


@contextmanager
def _untouched(model: nn.Module, optimizer: Optimizer, loader: Any) -> Iterator[None]:
    """Be in training mode; restore all that this and a few steps of training change at the end."""
    weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
    gradients = [parameter.grad for parameter in model.parameters()]
    moments = copy.deepcopy(optimizer.state_dict())
    try:
        with rng.isolated(loader), in_mode(model, training=True):
            for parameter in model.parameters():
                parameter.grad = None
            yield
    finally:
        model.load_state_dict(weights)
        optimizer.load_state_dict(moments)
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter.grad = gradient


def _again_and_again(loader: Iterable[Any]) -> Iterable[Any]:
    while True:
        empty = True
        for batch in loader:
            empty = False
            yield batch
        if empty:
            raise UsageError("the loader has no batches.")
