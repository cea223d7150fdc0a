"""What a training says while it runs, on standard error.

In: the moments of `training.Callback`. Out: on a terminal a bar that moves and a line an epoch; off a
terminal lines alone, at most about twenty a call.
"""

import sys
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from lenetscope.training import Callback, TrainState

LINES = 20
"""How many epochs of one call are told of, off a terminal."""


class ProgressDisplay(Callback):
    """Show epochs, losses, accuracies and the time left."""

    def __init__(self) -> None:
        # soft_wrap keeps one epoch on one line, also where the terminal's width is not known
        self.console = Console(file=sys.stderr, soft_wrap=True, highlight=False)
        self.progress: Progress | None = None
        self.task: Any = None

    def on_start(self, state: TrainState, epochs: int, steps: int) -> None:
        """Draw the bar, if there is a terminal to draw on."""
        self.first, self.epochs, self.steps = state.epoch + 1, epochs, steps
        if state.is_main and self.console.is_terminal and not self.console.is_dumb_terminal:
            self.progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=30),
                TextColumn("{task.fields[figures]}"),
                TimeRemainingColumn(),
                console=self.console,
                transient=True,
            )
            done = state.epoch * steps + state.step
            self.task = self.progress.add_task(
                self._name(state.epoch + 1), total=epochs * steps, completed=done, figures=""
            )
            self.progress.start()

    def on_step(self, state: TrainState) -> None:
        """Move the bar."""
        if self.progress and (state.step % 10 == 0 or state.step == self.steps):
            self.progress.update(
                self.task,
                description=self._name(state.epoch + 1),
                completed=state.epoch * self.steps + state.step,
                figures=_figures(state.tally.loss, state.tally.accuracy),
            )

    def on_epoch(self, state: TrainState) -> None:
        """Write the line of the epoch."""
        row = state.history[-1]
        every = max(1, (self.epochs - self.first + 1) // LINES)
        number = row["epoch"]
        if state.is_main and ((number - self.first) % every == 0 or number == self.epochs):
            text = f"{self._name(number)}  train {_figures(row['train_loss'], row['train_accuracy'])}"
            if row["valid_loss"] is not None:
                text += f"  valid {_figures(row['valid_loss'], row['valid_accuracy'])}"
            seconds = row["train_seconds"] + row["valid_seconds"]
            self.console.print(f"{text}  {seconds:.1f} s")

    def on_stop(self, state: TrainState) -> None:
        """Take the bar away."""
        if self.progress:
            self.progress.stop()
            self.progress = None

    def _name(self, epoch: int) -> str:
        width = len(str(self.epochs))
        return f"epoch {min(epoch, self.epochs):{width}}/{self.epochs}"


def _figures(loss: float, accuracy: float | None) -> str:
    share = "" if accuracy is None else f"  {100 * accuracy:6.2f} %"
    return f"loss {loss:.4f}{share}"
