"""Schedules that end: stretched, begun anew, and refused before they can raise."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from conftest import same_weights
from lenetscope import Architecture
from lenetscope.errors import UsageError
from lenetscope.training.schedules import planned_rate, replan_rate, steps_left

STEPS = 4
"""Steps per epoch: 60 images in batches of 16."""

Make = Callable[..., Architecture]


@pytest.fixture
def make(idx_folder: Path) -> Make:
    """Return a function that builds the same small training of a recipe each time it is called."""

    def build(**overrides: Any) -> Architecture:
        fixed = {"data": idx_folder, "model": "mlp", "batch_size": 16, "device": "cpu", "threads": 1}
        return Architecture.from_recipe("reference", **fixed | overrides)

    return build


def rates(arch: Architecture) -> list[float]:
    return [lr for (lr,) in arch.learning_rates]


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine"])
def test_a_schedule_spans_the_epochs_that_are_asked_for_when_it_begins(
    make: Make, schedule: str
) -> None:
    arch = make(schedule=schedule, epochs=1)
    arch.train(3, progress=False)
    planned = make(schedule=schedule, epochs=3)
    planned.train(progress=False)
    assert same_weights(arch.model, planned.model)
    assert rates(arch) == rates(planned)
    assert min(rates(arch)) < 1e-4
    arch.train(2, progress=False)  # a new schedule, from the recipe's rate
    again = make(schedule=schedule, epochs=2)
    again.train(progress=False)
    assert rates(arch) == rates(planned) + rates(again)
    arch.train(1, progress=False)
    assert arch.total_epochs == 6


def test_the_recipe_fast_can_be_trained_on_and_on(idx_folder: Path) -> None:
    arch = Architecture.from_recipe("fast", data=idx_folder, device="cpu")
    arch.train(2, progress=False)
    arch.train(1, progress=False)
    arch.train(1, progress=False)
    assert arch.total_epochs == 4
    assert arch.state.schedule_ends == [2, 3, 4]


def test_more_epochs_in_the_middle_come_after_the_planned_ones(make: Make) -> None:
    arch, planned = make(schedule="one-cycle", epochs=3), make(schedule="one-cycle", epochs=3)
    arch.train(progress=False, stop=lambda: arch.state.step == 2)
    arch.train(5, progress=False)
    planned.train(3, progress=False)
    planned.train(2, progress=False)
    assert arch.state.schedule_ends == planned.state.schedule_ends == [3, 5]
    assert same_weights(arch.model, planned.model)
    assert rates(arch) == rates(planned)


def test_a_schedule_that_has_not_begun_is_planned_anew(make: Make) -> None:
    def diverges(*_: Any) -> torch.Tensor:
        return torch.tensor(float("nan"), requires_grad=True)

    arch = make(schedule="cosine", epochs=3)
    arch.train(0, progress=False)
    loss, arch.loss_fn = arch.loss_fn, diverges
    with pytest.raises(Exception, match="no longer a finite number"):
        arch.train(progress=False)
    arch.loss_fn = loss
    arch.train(2, progress=False)
    assert arch.state.schedule_ends == [2]


@pytest.mark.parametrize("warmup", [0, 0.5])
@pytest.mark.parametrize("schedule", ["one-cycle", "cosine", "constant"])
def test_a_resumed_training_ends_with_the_same_bits_in_each_schedule(
    make: Make, tmp_path: Path, schedule: str, warmup: float
) -> None:
    def train(until: int) -> Architecture:
        """Train one epoch and then two more, with a new start from a checkpoint after some steps."""
        arch, done = make(schedule=schedule, warmup=warmup, epochs=1), 0

        def stop() -> bool:
            nonlocal done
            done += 1
            return done == until

        for epochs in (1, 3):
            arch.train(epochs - arch.total_epochs, progress=False, stop=stop)
            if arch.total_epochs < epochs or done == until:
                arch.save_checkpoint(tmp_path / "c.pt")
                arch = make(schedule=schedule, warmup=warmup, epochs=1)
                arch.load_checkpoint(tmp_path / "c.pt")
                until = 0
                arch.train(epochs - arch.total_epochs, progress=False)
        return arch

    whole = train(0)
    for until in range(1, 3 * STEPS + 1):
        broken = train(until)
        assert same_weights(broken.model, whole.model), f"stopped after step {until}"
        assert rates(broken) == rates(whole)


def test_what_was_changed_by_hand_stays(make: Make) -> None:
    arch = make(schedule="constant")
    arch.train(1, progress=False)
    arch.optimizer.param_groups[0]["lr"] = 0.001
    arch.train(1, progress=False)
    assert [row["lr"] for row in arch.history] == [0.01, 0.001]
    arch = make(schedule="one-cycle")
    # one's own replaces the recipe's
    arch.scheduler = lr_scheduler.StepLR(arch.optimizer, 1, gamma=0.5)
    first = arch.optimizer.param_groups[0]["lr"]
    arch.train(2, progress=False)
    assert rates(arch) == pytest.approx([first / 2, first / 4])


def one_cycle(optimizer: torch.optim.Optimizer, total: int) -> lr_scheduler.OneCycleLR:
    return lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=total)


def flat(optimizer: torch.optim.Optimizer) -> lr_scheduler.LRScheduler:
    return lr_scheduler.ConstantLR(optimizer, 1, 0)


SCHEDULERS = {
    "one cycle": lambda o: one_cycle(o, 6),
    "chained": lambda o: lr_scheduler.ChainedScheduler([flat(o), one_cycle(o, 5)], o),
    "last of a sequence": lambda o: lr_scheduler.SequentialLR(o, [flat(o), one_cycle(o, 4)], [3]),
    "first of a sequence": lambda o: lr_scheduler.SequentialLR(o, [one_cycle(o, 4), flat(o)], [9]),
    "relieved in time": lambda o: lr_scheduler.SequentialLR(o, [one_cycle(o, 4), flat(o)], [5]),
    "a sequence in a chain": lambda o: lr_scheduler.ChainedScheduler(
        [lr_scheduler.SequentialLR(o, [flat(o), one_cycle(o, 3)], [2]), flat(o)], o
    ),
    "endless": lambda o: lr_scheduler.LambdaLR(o, lambda step: 0.9**step),
}


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.filterwarnings("ignore:Detected call of")
def test_the_steps_that_are_left_are_those_that_do_not_raise(name: str) -> None:
    def make() -> Any:
        return SCHEDULERS[name](torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1, momentum=0.9))

    scheduler, done = make(), 0
    expected = steps_left(scheduler)
    try:
        while done < 50:
            assert steps_left(scheduler) == expected - done
            scheduler.step()
            done += 1
    except ValueError as error:
        assert "Tried to step" in str(error)
    assert expected == (done if done < 50 else float("inf"))


def test_a_scheduler_that_ends_too_early_is_refused_before_training(make_arch: Make) -> None:
    arch = make_arch()  # three steps per epoch
    arch.scheduler = one_cycle(arch.optimizer, 5)
    before = {name: value.clone() for name, value in arch.model.state_dict().items()}
    with pytest.raises(
        UsageError,
        match=r"ends after 5 steps and 6 are to come: make it with total_steps=6\.",
    ):
        arch.train(2, progress=False)
    assert all(torch.equal(before[name], value) for name, value in arch.model.state_dict().items())
    arch.train(1, progress=False)
    with pytest.raises(UsageError, match="ends after 2 steps and 3 are to come"):
        arch.train(1, progress=False)
    chained = lr_scheduler.ChainedScheduler([one_cycle(arch.optimizer, 1)], arch.optimizer)
    arch.scheduler = chained  # stepped after each epoch
    with pytest.raises(UsageError, match="ends after 1 steps and 2 are to come"):
        arch.train(2, progress=False)
    arch.train(1, progress=False)


def test_a_longer_loader_in_the_middle_of_a_schedule_is_refused(make: Make) -> None:
    arch = make(schedule="one-cycle", epochs=2)
    arch.train(progress=False, stop=lambda: arch.state.step == STEPS)
    batches = list(arch.train_loader)
    arch.set_loaders(batches * 2, arch.val_loader)
    with pytest.raises(UsageError, match="ends after 4 steps and 12 are to come"):
        arch.train(2, progress=False)


@pytest.mark.parametrize("warmup", [0.0, 0.5])
@pytest.mark.parametrize("schedule", ["constant", "cosine", "one-cycle"])
@pytest.mark.parametrize("done", [1, STEPS, STEPS + 2])
def test_a_schedule_goes_on_as_if_made_with_another_rate(
    make: Make, schedule: str, warmup: float, done: int
) -> None:
    used: list[list[float]] = []
    for other in (None, 0.003):
        arch = make(epochs=3, schedule=schedule, warmup=warmup, lr=0.01)
        found: list[float] = []
        arch.optimizer.register_step_pre_hook(
            lambda optimizer, *_, found=found: found.append(optimizer.param_groups[0]["lr"])
        )
        arch.train(progress=False, stop=lambda found=found: len(found) == done)
        assert planned_rate(arch.optimizer) == 0.01
        if other:
            replan_rate(arch.state, other)
            assert planned_rate(arch.optimizer) == other
        arch.train(progress=False)
        used.append(found)
    before, after = used
    assert len(before) == len(after) == 3 * STEPS
    assert after[:done] == before[:done]
    assert after[done:] == pytest.approx([0.3 * rate for rate in before[done:]])
