"""The learning rate schedule of the recipe ``reader``: one cycle, then a warm restart."""

import math
from typing import Any

from torch.optim import Optimizer, lr_scheduler

from lenetscope.errors import RecipeError
from lenetscope.recipe import Recipe
from lenetscope.training.choices import SCHEDULES


class TwoCyclesLR(lr_scheduler.OneCycleLR):
    """One cycle over two thirds of the training, then a cosine from half the highest rate to zero.

    A warm restart: I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm
    restarts", ICLR 2017.

    Args:
        optimizer: whose momentum is not changed.
        max_lr: the highest rate of the first cycle.
        total_steps: of both cycles together, a multiple of three.
    """

    def __init__(self, optimizer: Optimizer, max_lr: float, total_steps: int) -> None:
        self.first, self.second_lr = total_steps // 3 * 2, max_lr / 2
        super().__init__(optimizer, max_lr, total_steps=self.first, cycle_momentum=False)

    def get_lr(self) -> list[Any]:
        """Return the rate of the next step per parameter group."""
        if self.last_epoch < self.first:
            return super().get_lr()
        progress = min(1.0, (self.last_epoch - self.first) / (self.first // 2))
        rate = self.second_lr * (1 + math.cos(math.pi * progress)) / 2
        return [rate for _ in self.optimizer.param_groups]


@SCHEDULES.register("two-cycles")
def two_cycles(optimizer: Optimizer, recipe: Recipe, steps: int) -> TwoCyclesLR:
    """Return the schedule of a recipe.

    Args:
        optimizer: of the training.
        recipe: says the highest rate and the number of epochs.
        steps: per epoch.

    Raises:
        RecipeError: if 3 does not divide the number of epochs.
    """
    if recipe.epochs % 3:
        raise RecipeError(
            f"schedule 'two-cycles' needs a number of epochs divisible by 3, not {recipe.epochs}."
        )
    return TwoCyclesLR(optimizer, recipe.lr, recipe.epochs * steps)
