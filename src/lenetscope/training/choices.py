"""The losses, optimizers and learning rate schedules that a recipe can name."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from lenetscope.errors import UsageError
from lenetscope.recipe import Recipe
from lenetscope.registry import Registry

if TYPE_CHECKING:  # late, so that names can be listed without torch
    from torch import nn
    from torch.optim import Optimizer

LOSSES: "Registry[Callable[[Recipe], nn.Module]]" = Registry("loss")
OPTIMIZERS: "Registry[Callable[[Iterable[nn.Parameter], Recipe], Optimizer]]" = Registry("optimizer")
SCHEDULES: "Registry[Callable[[Optimizer, Recipe, int, int], Any]]" = Registry("schedule")
"""Each makes a scheduler of (optimizer, recipe, epochs that it spans, steps per epoch), or None."""


@LOSSES.register("cross-entropy")
def _cross_entropy(recipe: Recipe) -> "nn.Module":
    from torch import nn

    from lenetscope.training.losses import SmoothedCrossEntropyLoss

    if not recipe.label_smoothing:
        return nn.CrossEntropyLoss()
    return SmoothedCrossEntropyLoss(label_smoothing=recipe.label_smoothing)


@LOSSES.register("ctc")
def _ctc(_recipe: Recipe) -> "nn.Module":
    from lenetscope.training.losses import LineLoss

    return LineLoss()


def _optimizer(name: str, parameters: "Iterable[nn.Parameter]", recipe: Recipe) -> "Optimizer":
    from torch import optim

    adam: dict[str, Any] = {"betas": (recipe.momentum, recipe.beta2)}
    options = {"momentum": recipe.momentum} if name == "SGD" else adam
    make: Callable[..., Optimizer] = getattr(optim, name)
    return make(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True, **options)


@OPTIMIZERS.register("muon")
def _muon(parameters: "Iterable[nn.Parameter]", recipe: Recipe) -> "Optimizer":
    from lenetscope.training.muon import Muon

    return Muon(parameters, recipe.lr, recipe.momentum, recipe.beta2, recipe.weight_decay)


for _name in ("SGD", "Adam", "AdamW"):
    OPTIMIZERS.register(_name.lower())(partial(_optimizer, _name))


SCHEDULES.register("constant")(lambda *_: None)


@SCHEDULES.register("cosine")
def _cosine(optimizer: "Optimizer", _recipe: Recipe, epochs: int, _steps: int) -> Any:
    from torch.optim import lr_scheduler

    return lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)


@SCHEDULES.register("one-cycle")
def _one_cycle(optimizer: "Optimizer", recipe: Recipe, epochs: int, steps: int) -> Any:
    from torch.optim import lr_scheduler

    total = epochs * steps
    # the momentum stays as the recipe has it
    return lr_scheduler.OneCycleLR(optimizer, recipe.lr, total_steps=total, cycle_momentum=False)


def begin_schedule(
    recipe: Recipe, optimizer: "Optimizer", epochs: int, steps: int, done: int = 0
) -> Any:
    """Return a new scheduler of a recipe, which begins at the recipe's learning rate.

    Args:
        recipe: names the schedule, and says how long the rate rises in front of the first one.
        optimizer: whose rate is set.
        epochs: that the schedule spans.
        steps: per epoch.
        done: epochs done.

    Raises:
        UsageError: if the rate would rise until the end.
    """
    from torch.optim import lr_scheduler

    from lenetscope.training.schedules import WarmupLR

    for group in optimizer.param_groups:
        group["lr"] = recipe.lr
        group.pop("initial_lr", None)
    make = SCHEDULES.get(recipe.schedule)
    if not recipe.warmup:
        return make(optimizer, recipe, epochs, steps)
    rise = 0 if done else round(recipe.warmup * steps)
    if rise >= epochs * steps:
        raise UsageError(
            f"'warmup' must be less than the epochs to train ({epochs}), not {recipe.warmup:g}."
        )
    first = lr_scheduler.LinearLR(optimizer, 1 / (rise + 1), total_iters=rise)
    # stepped after each batch, it counts batches as epochs
    then = make(optimizer, recipe, epochs * steps - rise, 1)
    return WarmupLR(optimizer, [first, then or lr_scheduler.ConstantLR(optimizer, 1, 0)], [rise])
