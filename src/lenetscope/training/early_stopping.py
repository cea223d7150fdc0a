"""Ending a training that no longer gets better.

In: the figures of each epoch. Out: the wish to end. L. Prechelt, "Early stopping - but when?", in
Neural Networks: Tricks of the Trade, 1998.
"""

import math

from lenetscope.errors import UsageError, unknown
from lenetscope.training.callbacks import Callback
from lenetscope.training.state import TrainState

MONITORS = {"valid_loss": -1, "valid_accuracy": 1, "train_loss": -1, "train_accuracy": 1}
"""What can be followed, and whether more (1) or less (-1) of it is better."""


class EarlyStopping(Callback):
    """End training when a figure has not improved for some epochs; the last weights are kept.

    Args:
        patience: epochs without improvement to wait for, at least 1.
        monitor: one of `MONITORS`.
        min_delta: smallest change that counts as an improvement, in the figure's own units.

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
        self.best_epoch = 0
        self._best = -math.inf

    def on_epoch(self, state: TrainState) -> None:
        """Compare the epoch with the best.

        Raises:
            UsageError: if the figure is not measured in this training.
        """
        row = state.history[-1]
        if row[self.monitor] is None:
            raise UsageError(f"there is no {self.monitor} to follow: give a validation loader.")
        value = row[self.monitor] * MONITORS[self.monitor]
        if value > self._best + self.min_delta:
            self._best, self.best_epoch = value, row["epoch"]
        self.done = row["epoch"] - self.best_epoch >= self.patience
