"""How far one step of the optimizer moves each tensor of weights, beside how large it is.

In: the moments of a training. Out: for each epoch, at some of its steps, ‖ΔW‖ / ‖W‖ of each parameter:
W before the step, ΔW what the step added. A ratio of some 1e-3 is usual: A. Karpathy, CS231n notes
"Neural networks part 3", section "Ratio of weights:updates".
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor, nn

from lenetscope.errors import UsageError
from lenetscope.training.callbacks import Callback
from lenetscope.training.state import TrainState

SAMPLES = 10
"""Steps of an epoch that are measured."""


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
        """Return the median over the steps of each parameter; None if no step has a ratio.

        >>> UpdateRow(1, [3, 8, 13], {"fc.weight": [0.1, 0.001, 0.002]}).typical()
        {'fc.weight': 0.002}
        """
        known = {name: [v for v in values if v is not None] for name, values in self.ratios.items()}
        return {name: median(values) if values else None for name, values in known.items()}

    def until(self, step: int) -> "UpdateRow":
        """Return the row without what was measured after a step."""
        count = sum(number <= step for number in self.steps)
        ratios = {name: values[:count] for name, values in self.ratios.items()}
        return UpdateRow(self.epoch, self.steps[:count], ratios)


class UpdateRatios(Callback):
    """Measure the update-to-weight ratios at some evenly spaced steps of each epoch.

    Weights are copied before a measured step and compared after it; all other steps are left alone, and
    no random number is drawn, so that training ends with the same weights, bit for bit. Of several
    processes the main one measures: the weights are the same in all.

    Args:
        samples: how many steps of an epoch are measured; all of them if an epoch has fewer.

    Attributes:
        rows: an `UpdateRow` an epoch; that of the epoch under way holds the steps measured so far.

    Raises:
        UsageError: if ``samples`` is less than 1.
    """

    def __init__(self, samples: int = SAMPLES) -> None:
        if samples < 1:
            raise UsageError(f"samples must be at least 1, not {samples}.")
        self.samples = samples
        self.rows: list[UpdateRow] = []
        self._measured: frozenset[int] = frozenset()
        self._before: dict[str, Tensor] | None = None

    def go_on(self, rows: Iterable[UpdateRow], epoch: int, step: int) -> None:
        """Take up rows of an earlier process, without what came after a step of an epoch.

        Args:
            rows: as `rows` held them.
            epoch: epochs done.
            step: steps done of the one under way; 0 for none.
        """
        done = [row for row in rows if row.epoch <= epoch]
        under_way = [row.until(step) for row in rows if row.epoch == epoch + 1]
        self.rows = done + [row for row in under_way if row.steps]

    def on_start(self, state: TrainState, epochs: int, steps: int) -> None:
        """Choose the steps."""
        self._measured = frozenset(measured_steps(steps, self.samples))
        self._copy_if_next(state)

    def on_step(self, state: TrainState) -> None:
        """Compare the weights with those before the step, if it is a measured one."""
        if self._before is not None:
            self._add(state.epoch + 1, state.step, ratios(self._before, state.model))
        self._copy_if_next(state)

    def on_epoch(self, state: TrainState) -> None:
        """Copy the weights if the first step of the next epoch is a measured one."""
        self._copy_if_next(state)

    def on_stop(self, state: TrainState) -> None:
        """Let the copy go."""
        self._before = None

    def _copy_if_next(self, state: TrainState) -> None:
        self._before = None
        if state.is_main and state.step + 1 in self._measured:
            learning = ((n, p) for n, p in state.model.named_parameters() if p.requires_grad)
            self._before = {name: parameter.detach().clone() for name, parameter in learning}

    def _add(self, epoch: int, step: int, found: dict[str, float | None]) -> None:
        if not self.rows or self.rows[-1].epoch != epoch:
            self.rows.append(UpdateRow(epoch, [], {name: [] for name in found}))
        row = self.rows[-1]
        row.steps.append(step)
        for name, ratio in found.items():
            row.ratios[name].append(ratio)


def measured_steps(steps: int, samples: int) -> list[int]:
    """Return the numbers, from 1, of evenly spaced steps: the middles of ``samples`` equal parts.

    >>> measured_steps(938, 4)
    [118, 352, 587, 821]
    >>> measured_steps(3, 10)
    [1, 2, 3]
    """
    if steps <= samples:
        return list(range(1, steps + 1))
    return [(2 * part + 1) * steps // (2 * samples) + 1 for part in range(samples)]


def ratios(before: dict[str, Tensor], model: nn.Module) -> dict[str, float | None]:
    """Return ‖W - W before‖ / ‖W before‖ of each parameter of a model that was copied before.

    Args:
        before: name of a parameter to its values before the step.
        model: after the step.
    """
    found: dict[str, float | None] = {}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in before:
                norm = torch.linalg.vector_norm(before[name], dtype=_wide(parameter)).item()
                moved = torch.linalg.vector_norm(parameter - before[name], dtype=_wide(parameter))
                ratio = moved.item() / norm if norm else math.nan
                found[name] = ratio if math.isfinite(ratio) else None
    return found


def _wide(values: Tensor) -> torch.dtype:
    """Return the widest real type that the device of some values computes in (MPS has no float64)."""
    if values.is_complex():
        return torch.complex64 if values.device.type == "mps" else torch.complex128
    return torch.float32 if values.device.type == "mps" else torch.float64
