"""The losses, optimizers and schedules that a recipe can name."""

from collections.abc import Callable, Iterable
from typing import Any

from torch import nn, optim
from torch.optim import Optimizer, lr_scheduler

from lenetscope.recipe import Recipe
from lenetscope.registry import Registry

LOSSES: Registry[Callable[[], nn.Module]] = Registry("loss")
OPTIMIZERS: Registry[Callable[[Iterable[nn.Parameter], Recipe], Optimizer]] = Registry("optimizer")
SCHEDULES: Registry[Callable[[Optimizer, Recipe, int], Any]] = Registry("schedule")
"""Each makes a scheduler from (optimizer, recipe, steps an epoch), or None."""

LOSSES.register("cross-entropy")(nn.CrossEntropyLoss)

STEPPED_EACH_BATCH = (
    lr_scheduler.CyclicLR,
    lr_scheduler.OneCycleLR,
    lr_scheduler.CosineAnnealingWarmRestarts,
)
"""Schedulers that are stepped after each batch; all others after each epoch."""


@OPTIMIZERS.register("sgd")
def _sgd(parameters: Iterable[nn.Parameter], recipe: Recipe) -> Optimizer:
    return optim.SGD(
        parameters, lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )


@OPTIMIZERS.register("adam")
def _adam(parameters: Iterable[nn.Parameter], recipe: Recipe) -> Optimizer:
    return optim.Adam(
        parameters, lr=recipe.lr, betas=(recipe.momentum, 0.999), weight_decay=recipe.weight_decay
    )


@OPTIMIZERS.register("adamw")
def _adamw(parameters: Iterable[nn.Parameter], recipe: Recipe) -> Optimizer:
    return optim.AdamW(
        parameters, lr=recipe.lr, betas=(recipe.momentum, 0.999), weight_decay=recipe.weight_decay
    )


@SCHEDULES.register("constant")
def _constant(_optimizer: Optimizer, _recipe: Recipe, _steps: int) -> None:
    return None


@SCHEDULES.register("cosine")
def _cosine(optimizer: Optimizer, recipe: Recipe, _steps: int) -> Any:
    return lr_scheduler.CosineAnnealingLR(optimizer, T_max=recipe.epochs)


@SCHEDULES.register("one-cycle")
def _one_cycle(optimizer: Optimizer, recipe: Recipe, steps: int) -> Any:
    total = recipe.epochs * steps
    return lr_scheduler.OneCycleLR(optimizer, max_lr=recipe.lr, total_steps=total)
