"""How far one step of the optimizer moves each tensor of weights, relative to its size.

The ratio is ‖ΔW‖ / ‖W‖, with W before the step and ΔW what the step added; about 1e-3 is usual: A.
Karpathy, CS231n notes "Neural networks part 3", section "Ratio of weights:updates".
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor

from lenetscope.training.callbacks import Callback
from lenetscope.training.state import TrainState

SAMPLES = 10
"""Steps per epoch that are measured."""


@dataclass(frozen=True)
class UpdateRow:
    """What was measured in one epoch.

    Attributes:
        epoch: its number, from 1.
        steps: numbers of the steps measured, from 1.
        ratios: name of a parameter to ‖ΔW‖ / ‖W‖ at each of those steps; None where the weights were
            all zero or no longer finite.
    """

    epoch: int
    steps: list[int]
    ratios: dict[str, list[float | None]]

    def typical(self) -> dict[str, float | None]:
        """Return the median over the steps for each parameter; None if no step has a ratio.

        >>> UpdateRow(1, [3, 8, 13], {"fc.weight": [0.1, 0.001, 0.002]}).typical()
        {'fc.weight': 0.002}
        """
        known = {name: [v for v in values if v is not None] for name, values in self.ratios.items()}
        return {name: median(values) if values else None for name, values in known.items()}


class UpdateRatios(Callback):
    """Measure the update-to-weight ratios at `SAMPLES` evenly spaced steps of each epoch.

    Weights are copied before a measured step and compared after it; no random number is drawn, so that
    training ends with the same weights, bit for bit. Of several processes the main one measures,
    because the weights are the same in all.

    Attributes:
        rows: one `UpdateRow` per epoch; that of the current epoch holds the steps measured so far.
    """

    def __init__(self) -> None:
        self.rows: list[UpdateRow] = []
        self._measured: list[int] = []
        self._before: dict[str, tuple[Tensor, Tensor]] = {}  # a parameter, and its copy

    def resume(self, rows: Iterable[UpdateRow], state: TrainState) -> None:
        """Continue with rows of an earlier process, without what came after the state."""
        self.rows = []
        for row in rows:
            if done := [s for s in row.steps if (row.epoch - 1, s) <= (state.epoch, state.step)]:
                found = {name: values[: len(done)] for name, values in row.ratios.items()}
                self.rows.append(UpdateRow(row.epoch, done, found))

    def on_train_begin(self, state: TrainState, epochs: int, steps: int) -> None:
        """Choose the steps, and copy the weights if the first is one of them."""
        self._measured, self._steps = measured_steps(steps), steps
        self._copy_if_measured_next(state)

    def on_step_end(self, state: TrainState) -> None:
        """Compare the weights with those before the step, if it is a measured one."""
        if self._before:
            rows, number = self.rows, state.epoch + 1
            if not rows or rows[-1].epoch != number:
                rows.append(UpdateRow(number, [], {name: [] for name in self._before}))
            rows[-1].steps.append(state.step)
            for name, (after, before) in self._before.items():
                norm = _norm(before)
                ratio = _norm(after - before) / norm if norm else math.nan
                rows[-1].ratios[name].append(ratio if math.isfinite(ratio) else None)
        self._copy_if_measured_next(state)

    def on_train_end(self, state: TrainState) -> None:
        """Drop the copy."""
        self._before = {}

    def _copy_if_measured_next(self, state: TrainState) -> None:
        self._before = {}
        following = state.step % self._steps + 1  # after the last step, the first of the next epoch
        if state.is_main and following in self._measured:
            learning = ((n, p.detach()) for n, p in state.model.named_parameters() if p.requires_grad)
            self._before = {name: (values, values.clone()) for name, values in learning}


def measured_steps(steps: int, samples: int = SAMPLES) -> list[int]:
    """Return the numbers, from 1, of evenly spaced steps: the middles of ``samples`` equal parts.

    >>> measured_steps(938, 4)
    [118, 352, 587, 821]
    >>> measured_steps(3, 10)
    [1, 2, 3]
    """
    samples = min(samples, steps)
    return [(2 * part + 1) * steps // (2 * samples) + 1 for part in range(samples)]


def _norm(values: Tensor) -> float:
    # on the CPU, because Apple's GPUs have no float64
    return float(
        torch.linalg.vector_norm(values.cpu(), dtype=torch.promote_types(values.dtype, torch.float64))
    )
