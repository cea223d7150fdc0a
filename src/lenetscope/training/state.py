"""Everything that training changes, in one place, saved and restored whole.

In: a model, an optimizer, perhaps a schedule. Out: a state that can be written down at any step and
taken up again as if nothing had happened.
"""

from dataclasses import dataclass, field
from typing import Any

from torch import nn
from torch.optim import Optimizer

from lenetscope.errors import CheckpointError
from lenetscope.evaluation import Tally

FORMAT = 1
"""Version of what `TrainState.state_dict` returns."""

History = list[dict[str, Any]]
"""One row of plain numbers an epoch."""


@dataclass
class TrainState:
    """The state of a training.

    Attributes:
        model: holds the weights.
        optimizer: holds its moments.
        scheduler: of the learning rate; None for a constant one.
        epoch: epochs done.
        step: steps done of the epoch under way.
        tally: sums over the samples of those steps.
        seconds: time that those steps took.
        history: a row an epoch: ``epoch``, ``train_loss``, ``train_accuracy``, ``valid_loss``,
            ``valid_accuracy``, ``lr``, ``train_seconds`` and ``valid_seconds``; losses are means
            over samples, accuracies shares, None where there is none.
        learning_rates: the rates of all parameter groups after each step of the schedule.
        seed: that the random streams began with; None before it is decided.
        rng: the random streams as training left them, see `lenetscope.rng`; None before it began.
        epoch_rng: the streams as they were when the epoch under way began.
        is_main: whether this process is the one that writes.
    """

    model: nn.Module
    optimizer: Optimizer
    scheduler: Any = None
    epoch: int = 0
    step: int = 0
    tally: Tally = field(default_factory=Tally)
    seconds: float = 0.0
    history: History = field(default_factory=list)
    learning_rates: list[list[float]] = field(default_factory=list)
    seed: int | None = None
    rng: list[dict[str, Any]] | None = None
    epoch_rng: list[dict[str, Any]] | None = None
    is_main: bool = True

    def begin_stream(self, seed: int) -> None:
        """Let training go on with fresh random streams, at the start of an epoch."""
        self.seed, self.rng = seed, None
        self.step, self.seconds, self.tally = 0, 0.0, Tally()

    def state_dict(self) -> dict[str, Any]:
        """Return the whole state as tensors and plain values, sharing memory with the model."""
        return {
            "format": FORMAT,
            "optimizer_kind": type(self.optimizer).__name__,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict() if self.scheduler else None,
            "epoch": self.epoch,
            "step": self.step,
            "seconds": self.seconds,
            "tally": self.tally.state_dict(),
            "history": self.history,
            "learning_rates": self.learning_rates,
            "seed": self.seed,
            "rng": self.rng,
            "epoch_rng": self.epoch_rng,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take a whole state; names and shapes must have been compared before.

        Raises:
            CheckpointError: if it is the state of another optimizer, or only one of the two has a
                schedule of the learning rate.
        """
        mine, theirs = type(self.optimizer).__name__, state["optimizer_kind"]
        if mine != theirs:
            raise CheckpointError(f"the checkpoint is of optimizer {theirs}, the training of {mine}.")
        if (state["scheduler"] is None) != (self.scheduler is None):
            has, lacks = (
                ("checkpoint", "training") if self.scheduler is None else ("training", "checkpoint")
            )
            raise CheckpointError(f"the {has} has a learning rate schedule and the {lacks} none.")
        try:
            self.optimizer.load_state_dict(state["optimizer"])
        except ValueError as error:  # other parameter groups
            raise CheckpointError(f"the checkpoint is of another optimizer: {error}.") from error
        self.model.load_state_dict(state["model"])
        if self.scheduler:
            self.scheduler.load_state_dict(state["scheduler"])
        self.epoch, self.step = state["epoch"], state["step"]
        self.seconds = state["seconds"]
        self.tally = Tally()
        self.tally.load_state_dict(state["tally"])
        self.history = list(state["history"])
        self.learning_rates = list(state["learning_rates"])
        self.seed = state["seed"]
        self.rng, self.epoch_rng = state["rng"], state["epoch_rng"]
