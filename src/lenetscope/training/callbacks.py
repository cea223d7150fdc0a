"""What can be told about a training while it runs.

In: the state, at five moments. A callback overrides the methods that it needs; it may read the state
and must not change it. In several processes every one calls its own callbacks; those that write look
at ``state.is_main`` first.
"""

from lenetscope.training.state import TrainState


class Callback:
    """Told of the start, of each step, of each moment to save, of each epoch, and of the end.

    Attributes:
        done: set by a callback that wants training to end after the epoch under way.
    """

    done = False

    def on_start(self, state: TrainState, epochs: int, steps: int) -> None:
        """Training starts: it will run until ``epochs`` epochs of ``steps`` steps are done."""

    def on_step(self, state: TrainState) -> None:
        """One more step is done: ``state.step`` of this epoch, their figures in ``state.tally``."""

    def on_checkpoint(self, state: TrainState) -> None:
        """The state is whole and its random streams are taken down: save it now or never."""

    def on_epoch(self, state: TrainState) -> None:
        """An epoch and its validation are done; its figures are ``state.history[-1]``."""

    def on_stop(self, state: TrainState) -> None:
        """Training ends, done or not, also by an error."""
