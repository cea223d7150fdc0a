"""Progress of a training, on standard error: a bar on a terminal, and a line per epoch."""

import sys

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TimeRemainingColumn

from lenetscope.training.callbacks import Callback
from lenetscope.training.state import TrainState

LINES = 20
"""About how many epochs of one call have a line, so that a log stays short."""
STEPS = 10
"""Steps between two movements of the bar, which cost more than a small step."""


class ProgressDisplay(Callback):
    """Show what is trained, epochs, losses, accuracies and the time left.

    Args:
        title: lines that come first.
    """

    def __init__(self, title: str = "") -> None:
        self.title = title
        # soft_wrap keeps an epoch on one line, also where the terminal's width is not known
        self.console = Console(file=sys.stderr, soft_wrap=True, highlight=False)
        self.progress: Progress | None = None

    def on_train_begin(self, state: TrainState, epochs: int, steps: int) -> None:
        """Draw the bar, if there is a terminal to draw on."""
        self.first, self.epochs, self.steps = state.epoch + 1, epochs, steps
        if state.is_main and self.title:
            self.console.print(self.title, markup=False)
        if state.is_main and 0 < state.epoch == epochs:
            self.console.print(f"nothing to train: the {epochs} epochs are done; ask for more to go on")
        if state.is_main and self.console.is_terminal and not self.console.is_dumb_terminal:
            columns = (
                "{task.description}",
                BarColumn(30),
                "{task.fields[loss]}",
                TimeRemainingColumn(),
            )
            self.progress = Progress(*columns, console=self.console, transient=True)
            self.progress.add_task("", total=epochs * steps, loss="")
            self._move(state)
            self.progress.start()

    def on_step_end(self, state: TrainState) -> None:
        """Move the bar."""
        if self.progress and (state.step % STEPS == 0 or state.step == self.steps):
            self._move(state)

    def on_epoch_end(self, state: TrainState) -> None:
        """Write the line of the epoch."""
        row = state.history[-1]
        every = max(1, (self.epochs - self.first + 1) // LINES)
        number = row["epoch"]
        if state.is_main and ((number - self.first) % every == 0 or number == self.epochs):
            text = f"{self._name(number)}  train {_figures(row['train_loss'], row['train_accuracy'])}"
            if row["valid_loss"] is not None:
                text += f"  valid {_figures(row['valid_loss'], row['valid_accuracy'])}"
            self.console.print(f"{text}  {row['train_seconds'] + row['valid_seconds']:.1f} s")

    def on_train_end(self, state: TrainState) -> None:
        """Remove the bar."""
        if self.progress:
            self.progress.stop()
            self.progress = None

    def _move(self, state: TrainState) -> None:
        assert self.progress is not None
        done = state.epoch * self.steps + state.step
        loss = _figures(state.tally.loss, state.tally.accuracy) if state.step else ""
        name = self._name(state.epoch + 1)
        self.progress.update(TaskID(0), completed=done, description=name, loss=loss)

    def _name(self, epoch: int) -> str:
        width = len(str(self.epochs))
        return f"epoch {min(epoch, self.epochs):{width}}/{self.epochs}"


def _figures(loss: float, accuracy: float | None) -> str:
    percent = "" if accuracy is None else f"  {100 * accuracy:6.2f} %"
    return f"loss {loss:.4f}{percent}"
