"""The losses, optimizers and schedules that a recipe names are what it says."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from lenetscope import Architecture, Recipe
from lenetscope.errors import UsageError
from lenetscope.training.choices import LOSSES, OPTIMIZERS, SCHEDULES, begin_schedule
from lenetscope.training.schedules import STEPPED_EACH_BATCH


def test_targets_are_smoothed_while_training_and_never_while_measuring(idx_folder: Path) -> None:
    recipe = Recipe.load("reference", data=idx_folder, label_smoothing=0.2, model="mlp", device="cpu")
    logits, labels = torch.tensor([[2.0, -1.0, 0.5]]), torch.tensor([0])
    log = logits.log_softmax(dim=1)[0]
    loss = LOSSES.get("cross-entropy")(recipe)
    assert loss(logits, labels) == pytest.approx(-0.8 * float(log[0]) - 0.2 * float(log.mean()))
    loss.eval()
    assert loss(logits, labels) == pytest.approx(-float(log[0]))
    assert type(LOSSES.get("cross-entropy")(recipe.replace(label_smoothing=0))) is nn.CrossEntropyLoss
    arch = Architecture.from_recipe(recipe, epochs=1)
    arch.train(progress=False)
    assert arch.splits is not None
    plain = nn.functional.cross_entropy(
        torch.from_numpy(arch.predict(arch.splits.test.images)), arch.splits.test.labels
    )
    assert arch.evaluate().loss == pytest.approx(float(plain), rel=1e-5)
    assert arch.val_losses[0] == pytest.approx(float(plain), rel=1e-5)  # without a holdout
    assert arch.loss_fn.training


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_every_optimizer_takes_the_recipes_numbers(name: str) -> None:
    recipe = Recipe.load(
        "reference", optimizer=name, lr=0.02, momentum=0.7, beta2=0.9, weight_decay=0.1
    )
    optimizer = OPTIMIZERS.get(name)(nn.Linear(2, 2).parameters(), recipe)
    group = optimizer.param_groups[0]
    assert (group["lr"], group["weight_decay"]) == (0.02, 0.1)
    assert group.get("momentum", group.get("betas")) in (0.7, (0.7, 0.9))


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_the_fused_step_is_the_plain_one_but_for_rounding(name: str) -> None:
    recipe = Recipe.load("reference", optimizer=name, weight_decay=0.01)
    plain = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    results = []
    for fused in (True, False):
        weight = nn.Parameter(torch.linspace(-1, 1, 50))
        optimizer = OPTIMIZERS.get(name)([weight], recipe)
        assert type(optimizer) is plain
        if not fused:
            options = {k: v for k, v in optimizer.defaults.items() if k in ("lr", "betas", "momentum")}
            optimizer = plain([weight], **options, weight_decay=0.01, foreach=False)
        for _ in range(20):
            weight.square().mul(torch.arange(50.0)).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
        results.append(weight.detach())
    assert torch.allclose(*results, rtol=1e-4, atol=1e-6)


def test_one_cycle_steers_the_rate_and_leaves_the_momentum() -> None:
    recipe = Recipe.load(
        "reference", optimizer="adam", momentum=0.7, beta2=0.9, schedule="one-cycle", epochs=1
    )
    optimizer = OPTIMIZERS.get("adam")(nn.Linear(2, 2).parameters(), recipe)
    schedule = SCHEDULES.get("one-cycle")(optimizer, recipe, 1, 10)
    rates = []
    for _ in range(10):
        rates.append(optimizer.param_groups[0]["lr"])
        assert optimizer.param_groups[0]["betas"] == (0.7, 0.9)
        optimizer.step()
        if len(rates) < 10:
            schedule.step()
    assert max(rates) == pytest.approx(0.01, rel=0.1)
    assert rates[0] == pytest.approx(0.0004)
    assert rates[-1] < 1e-6


def rates_of(recipe: Recipe, epochs: int, steps: int, done: int = 0) -> list[float]:
    """Return the rate of each step of a schedule that is stepped after each batch."""
    optimizer = OPTIMIZERS.get(recipe.optimizer)(nn.Linear(2, 2).parameters(), recipe)
    schedule = begin_schedule(recipe, optimizer, epochs, steps, done)
    assert isinstance(schedule, STEPPED_EACH_BATCH)
    rates = []
    for _ in range(epochs * steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


def test_the_rate_rises_in_front_of_each_schedule() -> None:
    recipe = Recipe.load("reference", lr=0.1, warmup=0.4)
    rise = [0.1 * step / 5 for step in range(1, 5)]
    flat = rates_of(recipe, 1, 10)
    assert flat[:4] == pytest.approx(rise)
    assert flat[4:] == [0.1] * 6
    cosine = rates_of(recipe.replace(schedule="cosine"), 1, 10)
    assert cosine[:4] == pytest.approx(rise)
    assert cosine[4:] == pytest.approx([0.05 * (1 + math.cos(math.pi * k / 6)) for k in range(6)])
    warm = recipe.replace(schedule="one-cycle")
    plain, rates = warm.replace(warmup=0), rates_of(warm, 1, 10)
    assert rates[:4] == pytest.approx([0.004 * step / 5 for step in range(1, 5)])
    assert rates[4:] == rates_of(plain, 1, 6)  # to its own first rate
    assert rates_of(warm, 1, 10, done=1) == rates_of(plain, 1, 10)  # at the beginning only
    with pytest.raises(
        UsageError, match=r"'warmup' must be less than the epochs to train \(2\), not 2"
    ):
        rates_of(recipe.replace(warmup=2), 2, 10)
