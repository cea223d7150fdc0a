"""Callbacks, which are called during training, and early stopping, which is one of them.

Early stopping: L. Prechelt, "Early stopping - but when?", in Neural Networks: Tricks of the Trade,
1998.
"""

import math
from typing import Any

from lenetscope.arguments import require_number, require_whole
from lenetscope.errors import UsageError, unknown
from lenetscope.training.state import TrainState


class Callback:
    """Called at the beginning and end of a training, after each step and epoch, and to save.

    A callback overrides the methods that it needs; it may read the state and must not change it. Each
    of several processes calls callbacks of its own; those that write check ``state.is_main`` first.

    Attributes:
        done: set by a callback that wants training to end, before or after an epoch.
    """

    done = False

    def on_train_begin(self, state: TrainState, epochs: int, steps: int) -> None:
        """Training begins; it will run until ``epochs`` epochs of ``steps`` steps are done."""

    def on_step_end(self, state: TrainState) -> None:
        """A step is done: number ``state.step`` of its epoch, which is counted in ``state.tally``."""

    def on_checkpoint(self, state: TrainState) -> None:
        """The state is complete, with its random streams: this is the moment to save it."""

    def on_epoch_end(self, state: TrainState) -> None:
        """An epoch and its validation are done; its row is ``state.history[-1]``."""

    def on_train_end(self, state: TrainState) -> None:
        """Training ends, complete or not, also by an error."""


MONITORS = {"valid_loss": -1, "valid_accuracy": 1, "train_loss": -1, "train_accuracy": 1}
"""Columns of the history to monitor, and whether more (1) or less (-1) is better."""


def best_epoch(
    history: list[dict[str, Any]], monitor: str = "valid_loss", min_delta: float = 0.0
) -> int:
    """Return the number, from 1, of the epoch with the best value in a column; 0 if there is none.

    >>> best_epoch([{"epoch": 1, "valid_loss": 0.3}, {"epoch": 2, "valid_loss": 0.4}])
    1
    """
    best, number = -math.inf, 0
    for row in history:
        value = math.nan if row[monitor] is None else row[monitor] * MONITORS[monitor]
        if value > best + min_delta:
            best, number = value, row["epoch"]
    return number


def epochs_waited(
    history: list[dict[str, Any]], planned: int, monitor: str = "valid_loss", min_delta: float = 0.0
) -> int:
    """Return how many epochs there are since the best one, or since a training was extended.

    Args:
        history: of the training.
        planned: epochs to reach; a row with another number is of the training before it was extended.
        monitor: see `EarlyStopping`.
        min_delta: see `EarlyStopping`.
    """
    before = [row for row in history if row.get("planned") != planned]
    return len(history) - max(len(before), best_epoch(history, monitor, min_delta))


def is_finished(history: list[dict[str, Any]], planned: int, patience: int) -> bool:
    """Tell whether the planned epochs are done, or early stopping (0: never) has ended the training."""
    waited = epochs_waited(history, planned) if patience else 0
    return len(history) >= planned or 0 < patience <= waited


class EarlyStopping(Callback):
    """End training when a column of the history has not improved for some epochs.

    It looks at the whole history, so that a training that is resumed ends where it would have ended.

    Args:
        patience: epochs to wait for an improvement, at least 1.
        monitor: one of `MONITORS`.
        min_delta: smallest change that counts as an improvement, in the column's units.

    Attributes:
        best_epoch: number of the best epoch so far, from 1; 0 before the first.

    Raises:
        UsageError: if an argument is out of range.
    """

    def __init__(self, patience: int = 3, monitor: str = "valid_loss", min_delta: float = 0.0) -> None:
        if monitor not in MONITORS:
            raise UsageError(unknown("monitor", monitor, MONITORS))
        self.patience, self.monitor = require_whole("patience", patience, 1), monitor
        self.min_delta = require_number("min_delta", min_delta)
        self.best_epoch = 0

    def on_train_begin(self, state: TrainState, epochs: int, steps: int) -> None:
        """Look at the epochs that are done."""
        self._planned = epochs
        self._look(state)

    def on_epoch_end(self, state: TrainState) -> None:
        """Compare the epoch with the best one.

        Raises:
            UsageError: if the monitored column is empty.
        """
        if state.history[-1][self.monitor] is None:
            raise UsageError(f"there is no {self.monitor} to monitor: give a validation loader.")
        self._look(state)

    def _look(self, state: TrainState) -> None:
        given = self.monitor, self.min_delta
        self.best_epoch = best_epoch(state.history, *given)
        self.done = epochs_waited(state.history, self._planned, *given) >= self.patience
