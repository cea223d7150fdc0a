"""The learning rate schedule of the recipe ``reader``: one cycle, then a warm restart."""

import math
from typing import Any

from torch.optim import Optimizer, lr_scheduler

from lenetscope.recipe import Recipe
from lenetscope.training.choices import SCHEDULES


class TwoCyclesLR(lr_scheduler.OneCycleLR):
    """One cycle over two thirds of the training, then a cosine from half the highest rate to zero.

    A warm restart: I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm
    restarts", ICLR 2017.

    Args:
        optimizer: whose momentum is not changed.
        max_lr: the highest rate of the first cycle.
        total_steps: of both cycles together.
    """

    def __init__(self, optimizer: Optimizer, max_lr: float, total_steps: int) -> None:
        self.first, self.second_lr = round(total_steps * 2 / 3), max_lr / 2
        super().__init__(optimizer, max_lr, total_steps=self.first, cycle_momentum=False)
        self.total_steps = total_steps

    def get_lr(self) -> list[Any]:
        """Return the rate of the next step per parameter group."""
        if self.last_epoch < self.first:
            return super().get_lr()
        progress = (self.last_epoch - self.first) / max(1, self.total_steps - self.first)
        rate = self.second_lr * (1 + math.cos(math.pi * progress)) / 2
        return [rate for _ in self.optimizer.param_groups]


@SCHEDULES.register("two-cycles")
def two_cycles(optimizer: Optimizer, recipe: Recipe, epochs: int, steps: int) -> TwoCyclesLR:
    """Return the schedule of a recipe, which says the highest rate."""
    return TwoCyclesLR(optimizer, recipe.lr, epochs * steps)
