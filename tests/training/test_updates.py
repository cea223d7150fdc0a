"""How far single steps move the weights: the right numbers, and no trace in the training."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from conftest import same_weights
from lenetscope import Architecture
from lenetscope.errors import TrainingError, UsageError
from lenetscope.training import TrainState
from lenetscope.training.updates import UpdateRatios, UpdateRow, measured_steps


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
    updates = UpdateRatios()
    line().train(2, callbacks=[updates], progress=False)
    assert [(row.epoch, row.steps) for row in updates.rows] == [(1, [1, 2, 3, 4]), (2, [1, 2, 3, 4])]
    # w: 3, 2.5, 2, 1.5 | 1, 0.5, 0 and -0.5 before the steps; b: 0, -0.5, -1 and so on
    first, second = updates.rows
    assert first.ratios["weight"] == pytest.approx([0.5 / 3, 0.5 / 2.5, 0.5 / 2, 0.5 / 1.5])
    assert second.ratios["weight"] == [0.5, 1.0, None, 1.0]  # no ratio to a weight of 0
    assert first.ratios["bias"] == pytest.approx([None, 1.0, 0.5, 1 / 3])
    assert second.typical() == {"weight": 1.0, "bias": pytest.approx((0.5 / 2.5 + 0.5 / 3) / 2)}


def test_each_ratio_is_that_of_the_weights_around_its_step(make_arch) -> None:
    class Snapshots(UpdateRatios):
        """Copies all weights at every step: what the ratios are computed from anew."""

        seen: list[dict[str, torch.Tensor]]

        def on_start(self, state: TrainState, epochs: int, steps: int) -> None:
            self.seen = [{k: v.clone() for k, v in state.model.state_dict().items()}]

        def on_step(self, state: TrainState) -> None:
            self.seen.append({k: v.clone() for k, v in state.model.state_dict().items()})

        def on_epoch(self, state: TrainState) -> None:
            pass

    for samples in (1, 2, 3, 50):
        updates, oracle = UpdateRatios(samples), Snapshots()
        make_arch().train(3, callbacks=[updates, oracle], progress=False)
        for row in updates.rows:
            assert row.steps == measured_steps(3, samples)
            for number, step in enumerate(row.steps):
                at = 3 * (row.epoch - 1) + step
                for name, values in row.ratios.items():
                    before, after = oracle.seen[at - 1][name].double(), oracle.seen[at][name].double()
                    expected = (after - before).norm() / before.norm()
                    assert values[number] == pytest.approx(expected.item(), rel=1e-5)


def test_weights_and_random_streams_are_those_without_it(make_arch) -> None:
    with_it, without = make_arch(), make_arch()
    for arch, callbacks in ((with_it, [UpdateRatios(2)]), (without, [])):
        arch.train(3, callbacks=callbacks, progress=False)
    assert same_weights(with_it.model, without.model)
    streams = [arch.state.rng[0]["torch"] for arch in (with_it, without)]
    assert torch.equal(*streams)
    assert with_it.losses == without.losses


def test_only_what_learns_is_measured(make_arch) -> None:
    arch, updates = make_arch(), UpdateRatios(1)
    arch.model.conv1.requires_grad_(False)
    arch.train(1, callbacks=[updates], progress=False)
    assert list(updates.rows[0].ratios) == ["fc.weight", "fc.bias"]


def test_the_copy_is_let_go_also_when_training_fails(make_arch) -> None:
    updates = UpdateRatios(1)
    arch = make_arch(lr=float("inf"))
    with pytest.raises(TrainingError):
        arch.train(3, callbacks=[updates], progress=False)
    assert updates._before is None
    assert all(v is None for row in updates.rows for v in row.ratios["fc.weight"])


def test_steps_are_the_middles_of_equal_parts() -> None:
    assert measured_steps(100, 10) == [6, 16, 26, 36, 46, 56, 66, 76, 86, 96]
    for steps in (1, 9, 10, 11, 19, 938):
        chosen = measured_steps(steps, 10)
        assert len(chosen) == len(set(chosen)) == min(steps, 10)
        assert chosen[0] >= 1
        assert chosen[-1] <= steps
    with pytest.raises(UsageError, match="samples must be at least 1, not 0"):
        UpdateRatios(0)


def test_going_on_drops_what_came_later() -> None:
    rows = [UpdateRow(n, [1, 3, 5], {"w": [0.1, 0.3, 0.5]}) for n in (1, 2, 3)]
    updates = UpdateRatios()
    updates.go_on(rows, epoch=1, step=3)
    assert updates.rows == [rows[0], UpdateRow(2, [1, 3], {"w": [0.1, 0.3]})]
    updates.go_on(rows, epoch=2, step=0)
    assert updates.rows == rows[:2]
    updates.go_on(rows, epoch=0, step=0)
    assert updates.rows == []
    assert rows[1].steps == [1, 3, 5]
