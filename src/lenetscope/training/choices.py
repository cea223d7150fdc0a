"""The losses, optimizers and learning rate schedules that a recipe can name."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from lenetscope.recipe import Recipe
from lenetscope.registry import Registry

if TYPE_CHECKING:  # late, so that names can be listed without torch
    from torch import nn
    from torch.optim import Optimizer

LOSSES: "Registry[Callable[[Recipe], nn.Module]]" = Registry("loss")
OPTIMIZERS: "Registry[Callable[[Iterable[nn.Parameter], Recipe], Optimizer]]" = Registry("optimizer")
SCHEDULES: "Registry[Callable[[Optimizer, Recipe, int], Any]]" = Registry("schedule")
"""Each makes a scheduler from (optimizer, recipe, steps per epoch), or None."""

SCHEDULES.defer("two-cycles", "lenetscope.reading.training.two_cycles")


@LOSSES.register("cross-entropy")
def _cross_entropy(recipe: Recipe) -> "nn.Module":
    from torch import nn

    from lenetscope.training.losses import SmoothedCrossEntropyLoss

    if not recipe.label_smoothing:
        return nn.CrossEntropyLoss()
    return SmoothedCrossEntropyLoss(label_smoothing=recipe.label_smoothing)


def _optimizer(name: str, parameters: "Iterable[nn.Parameter]", recipe: Recipe) -> "Optimizer":
    from torch import optim

    adam: dict[str, Any] = {"betas": (recipe.momentum, recipe.beta2)}
    options = {"momentum": recipe.momentum} if name == "SGD" else adam
    make: Callable[..., Optimizer] = getattr(optim, name)
    return make(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True, **options)


for _name in ("SGD", "Adam", "AdamW"):
    OPTIMIZERS.register(_name.lower())(partial(_optimizer, _name))


SCHEDULES.register("constant")(lambda *_: None)


@SCHEDULES.register("cosine")
def _cosine(optimizer: "Optimizer", recipe: Recipe, _steps: int) -> Any:
    from torch.optim import lr_scheduler

    return lr_scheduler.CosineAnnealingLR(optimizer, T_max=recipe.epochs)


@SCHEDULES.register("one-cycle")
def _one_cycle(optimizer: "Optimizer", recipe: Recipe, steps: int) -> Any:
    from torch.optim import lr_scheduler

    total = recipe.epochs * steps
    # the momentum stays as the recipe has it
    return lr_scheduler.OneCycleLR(optimizer, recipe.lr, total_steps=total, cycle_momentum=False)
