"""Callbacks, which are called during training, and early stopping, which is one of them.

Early stopping: L. Prechelt, "Early stopping - but when?", in Neural Networks: Tricks of the Trade,
1998.
"""

import math

from lenetscope.errors import UsageError, unknown
from lenetscope.training.state import TrainState


class Callback:
    """Called at the beginning and end of a training, after each step and epoch, and to save.

    A callback overrides the methods that it needs; it may read the state and must not change it. Each
    of several processes calls callbacks of its own; those that write check ``state.is_main`` first.

    Attributes:
        done: set by a callback that wants training to end after the current epoch.
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


class EarlyStopping(Callback):
    """End training when a column of the history has not improved for some epochs.

    The last weights are kept.

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
        if patience < 1:
            raise UsageError(f"patience must be at least 1, not {patience}.")
        if monitor not in MONITORS:
            raise UsageError(unknown("monitor", monitor, MONITORS))
        self.patience, self.monitor, self.min_delta = patience, monitor, min_delta
        self.best_epoch, self._best = 0, -math.inf

    def on_epoch_end(self, state: TrainState) -> None:
        """Compare the epoch with the best one.

        Raises:
            UsageError: if the monitored column is empty.
        """
        row = state.history[-1]
        if row[self.monitor] is None:
            raise UsageError(f"there is no {self.monitor} to monitor: give a validation loader.")
        value = row[self.monitor] * MONITORS[self.monitor]
        if value > self._best + self.min_delta:
            self._best, self.best_epoch = value, row["epoch"]
        self.done = row["epoch"] - self.best_epoch >= self.patience
