"""How far single steps move the weights: the right numbers, and no trace in the training."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from conftest import same_weights
from lenetscope import Architecture
from lenetscope.errors import TrainingError
from lenetscope.training import updates
from lenetscope.training.callbacks import Callback
from lenetscope.training.state import TrainState
from lenetscope.training.updates import UpdateRatios, UpdateRow, measured_steps

Make = Callable[..., Architecture]


def line(lr: float = 0.5, count: int = 4) -> Architecture:
    """Return y = w x + b with w = 3, b = 0; each step adds -lr to w and -lr to b."""
    model = nn.Linear(1, 1)
    with torch.no_grad():
        model.weight.fill_(3.0)
        model.bias.fill_(0.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    arch = Architecture(
        model, lambda outputs, labels: (outputs - labels).mean(), optimizer, device="cpu"
    )
    arch.set_loaders(DataLoader(TensorDataset(torch.ones(count, 1), torch.zeros(count, 1))))
    return arch


def test_by_hand() -> None:
    measured = UpdateRatios()
    line().train(2, callbacks=[measured], progress=False)
    assert [(row.epoch, row.steps) for row in measured.rows] == [(1, [1, 2, 3, 4]), (2, [1, 2, 3, 4])]
    # w: 3, 2.5, 2, 1.5 | 1, 0.5, 0 and -0.5 before the steps; b: 0, -0.5, -1 and so on
    first, second = measured.rows
    assert first.ratios["weight"] == pytest.approx([0.5 / 3, 0.5 / 2.5, 0.5 / 2, 0.5 / 1.5])
    assert second.ratios["weight"] == [0.5, 1.0, None, 1.0]  # no ratio to a weight of 0
    assert first.ratios["bias"] == pytest.approx([None, 1.0, 0.5, 1 / 3])
    assert second.typical() == {"weight": 1.0, "bias": pytest.approx((0.5 / 2.5 + 0.5 / 3) / 2)}


class Copies(Callback):
    """Copies all weights at every step: what the ratios are computed from anew."""

    def on_train_begin(self, state: TrainState, epochs: int, steps: int) -> None:
        self.seen = []
        self.on_step_end(state)

    def on_step_end(self, state: TrainState) -> None:
        self.seen.append({k: v.double().clone() for k, v in state.model.state_dict().items()})


@pytest.mark.parametrize("samples", [1, 2, 50])
def test_each_ratio_is_that_of_the_weights_around_its_step(
    make_arch: Make, monkeypatch, samples
) -> None:
    monkeypatch.setattr(updates, "measured_steps", lambda steps: measured_steps(steps, samples))
    measured, oracle = UpdateRatios(), Copies()
    make_arch().train(3, callbacks=[measured, oracle], progress=False)
    assert len(measured.rows) == 3
    for row in measured.rows:
        assert row.steps == measured_steps(3, samples)
        for number, step in enumerate(row.steps):
            before, after = oracle.seen[3 * (row.epoch - 1) + step - 1 :][:2]
            for name, values in row.ratios.items():
                expected = (after[name] - before[name]).norm() / before[name].norm()
                assert values[number] == pytest.approx(expected.item(), rel=1e-5)


def test_weights_and_random_streams_are_those_without_it(make_arch: Make) -> None:
    with_it, without = make_arch(), make_arch()
    for arch, callbacks in ((with_it, [UpdateRatios()]), (without, [])):
        arch.train(3, callbacks=callbacks, progress=False)
    assert same_weights(with_it.model, without.model)
    streams = [arch.state.rng[0]["torch"] for arch in (with_it, without)]
    assert torch.equal(*streams)
    assert with_it.losses == without.losses


def test_only_what_learns_is_measured(make_arch: Make) -> None:
    arch, measured = make_arch(), UpdateRatios()
    arch.model.conv1.requires_grad_(False)
    arch.train(1, callbacks=[measured], progress=False)
    assert list(measured.rows[0].ratios) == ["fc.weight", "fc.bias"]


def test_the_copy_is_dropped_also_when_training_fails(make_arch: Make) -> None:
    measured, arch = UpdateRatios(), make_arch(lr=float("inf"))
    with pytest.raises(TrainingError):
        arch.train(3, callbacks=[measured], progress=False)
    assert not measured._before
    assert all(v is None for row in measured.rows for v in row.ratios["fc.weight"])


def test_steps_are_the_middles_of_equal_parts() -> None:
    assert measured_steps(100, 10) == [6, 16, 26, 36, 46, 56, 66, 76, 86, 96]
    for steps in (1, 9, 10, 11, 19, 938):
        chosen = measured_steps(steps)
        assert len(chosen) == len(set(chosen)) == min(steps, 10)
        assert chosen[0] >= 1
        assert chosen[-1] <= steps


def test_resuming_drops_what_came_later(make_arch: Make) -> None:
    rows = [UpdateRow(n, [1, 3, 5], {"w": [0.1, 0.3, 0.5]}) for n in (1, 2, 3)]
    measured, state = UpdateRatios(), make_arch().state
    for state.epoch, state.step, kept in (
        (1, 3, [rows[0], UpdateRow(2, [1, 3], {"w": [0.1, 0.3]})]),
        (2, 0, rows[:2]),
        (0, 0, []),
    ):
        measured.resume(rows, state)
        assert measured.rows == kept
    assert rows[1].steps == [1, 3, 5]
