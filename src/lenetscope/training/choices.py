"""The losses, optimizers and schedules that a recipe can name."""

import math
from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor, nn, optim
from torch.nn import functional
from torch.optim import Optimizer, lr_scheduler

from lenetscope.errors import RecipeError
from lenetscope.recipe import Recipe
from lenetscope.registry import Registry

LOSSES: Registry[Callable[[Recipe], nn.Module]] = Registry("loss")
OPTIMIZERS: Registry[Callable[[Iterable[nn.Parameter], Recipe], Optimizer]] = Registry("optimizer")
SCHEDULES: Registry[Callable[[Optimizer, Recipe, int], Any]] = Registry("schedule")
"""Each makes a scheduler from (optimizer, recipe, steps an epoch), or None."""


class TwoCyclesLR(lr_scheduler.OneCycleLR):
    """One cycle over two thirds of the training; then from half the rate down a cosine to zero.

    A warm restart: I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm
    restarts", ICLR 2017.

    Args:
        optimizer: whose momentum stays what it is.
        max_lr: the highest rate of the first cycle.
        total_steps: of both cycles together, a multiple of three.
    """

    def __init__(self, optimizer: Optimizer, max_lr: float, total_steps: int) -> None:
        self.first, self.second_lr = total_steps // 3 * 2, max_lr / 2
        super().__init__(optimizer, max_lr, total_steps=self.first, cycle_momentum=False)

    def get_lr(self) -> list[Any]:
        """Return the rate of the next step, for each group of parameters."""
        if self.last_epoch < self.first:
            return super().get_lr()
        share = min(1.0, (self.last_epoch - self.first) / (self.first // 2))
        rate = self.second_lr * (1 + math.cos(math.pi * share)) / 2
        return [rate for _ in self.optimizer.param_groups]


STEPPED_EACH_BATCH = (
    lr_scheduler.CyclicLR,
    lr_scheduler.OneCycleLR,
    lr_scheduler.CosineAnnealingWarmRestarts,
)
"""Schedulers that are stepped after each batch; all others after each epoch."""


class SmoothedCrossEntropyLoss(nn.CrossEntropyLoss):
    """Cross entropy whose targets are smoothed in training mode only: what is measured is comparable.

    Smoothing: C. Szegedy et al., "Rethinking the inception architecture", CVPR 2016, section 7.
    """

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean over the batch, a scalar, for logits (N, K) and labels (N,)."""
        smoothing = self.label_smoothing if self.training else 0.0
        return functional.cross_entropy(logits, labels, label_smoothing=smoothing)


@LOSSES.register("cross-entropy")
def _cross_entropy(recipe: Recipe) -> nn.Module:
    if not recipe.label_smoothing:
        return nn.CrossEntropyLoss()
    return SmoothedCrossEntropyLoss(label_smoothing=recipe.label_smoothing)


@OPTIMIZERS.register("sgd")
def _sgd(parameters: Iterable[nn.Parameter], recipe: Recipe) -> Optimizer:
    return optim.SGD(
        parameters,
        lr=recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        fused=True,
    )


@OPTIMIZERS.register("adam")
def _adam(parameters: Iterable[nn.Parameter], recipe: Recipe) -> Optimizer:
    return optim.Adam(
        parameters,
        lr=recipe.lr,
        betas=(recipe.momentum, recipe.beta2),
        weight_decay=recipe.weight_decay,
        fused=True,
    )


@OPTIMIZERS.register("adamw")
def _adamw(parameters: Iterable[nn.Parameter], recipe: Recipe) -> Optimizer:
    return optim.AdamW(
        parameters,
        lr=recipe.lr,
        betas=(recipe.momentum, recipe.beta2),
        weight_decay=recipe.weight_decay,
        fused=True,
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
    # the momentum stays what the recipe says
    return lr_scheduler.OneCycleLR(optimizer, recipe.lr, total_steps=total, cycle_momentum=False)


@SCHEDULES.register("two-cycles")
def _two_cycles(optimizer: Optimizer, recipe: Recipe, steps: int) -> Any:
    if recipe.epochs % 3:
        raise RecipeError(f"schedule 'two-cycles' needs three epochs, or six, …, not {recipe.epochs}.")
    return TwoCyclesLR(optimizer, recipe.lr, recipe.epochs * steps)
