"""Everything that training changes, in one place: saved and restored as a whole, after any step."""

from dataclasses import dataclass, field
from typing import Any

from torch import nn
from torch.optim import Optimizer

from lenetscope.errors import CheckpointError
from lenetscope.evaluation.tally import Tally

FORMAT = 1
"""Version of what `TrainState.state_dict` returns."""

PLAIN = ("epoch", "step", "seconds", "history", "learning_rates", "seed", "rng", "epoch_rng")
"""Fields that a checkpoint holds as they are."""


@dataclass
class TrainState:
    """The state of a training.

    Attributes:
        model: holds the weights.
        optimizer: holds its moments.
        scheduler: of the learning rate; None for a constant one.
        epoch: epochs done.
        step: steps done of the current epoch.
        tally: sums over the samples of those steps.
        seconds: how long those steps took.
        history: one row per epoch: ``epoch``, ``train_loss``, ``train_accuracy``, ``valid_loss``,
            ``valid_accuracy``, ``lr``, ``train_seconds`` and ``valid_seconds``. Losses are means over
            samples, accuracies fractions from 0 to 1; None where there is none.
        learning_rates: of all parameter groups, after each step of the scheduler.
        seed: of the random streams; None before it is decided.
        rng: the random streams as training left them, see `lenetscope.rng`; None before it began.
        epoch_rng: the random streams at the beginning of the current epoch.
        is_main: whether this process is the one that writes.
    """

    model: nn.Module
    optimizer: Optimizer
    scheduler: Any = None
    epoch: int = 0
    step: int = 0
    tally: Tally = field(default_factory=Tally)
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    learning_rates: list[list[float]] = field(default_factory=list)
    seed: int | None = None
    rng: list[dict[str, Any]] | None = None
    epoch_rng: list[dict[str, Any]] | None = None
    is_main: bool = True

    def begin_stream(self, seed: int) -> None:
        """Let training continue with new random streams, from the beginning of an epoch."""
        self.seed, self.rng = seed, None
        self.step, self.seconds, self.tally = 0, 0.0, Tally()

    def state_dict(self) -> dict[str, Any]:
        """Return the state as tensors and plain values, which share memory with the model."""
        return {
            "format": FORMAT,
            "optimizer_kind": type(self.optimizer).__name__,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict() if self.scheduler else None,
            "tally": self.tally.state_dict(),
        } | {name: getattr(self, name) for name in PLAIN}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned; the model's tensors must have been compared before.

        Raises:
            CheckpointError: if it is the state of another optimizer, or only one of the two has a
                learning rate schedule.
        """
        mine, theirs = type(self.optimizer).__name__, state["optimizer_kind"]
        if mine != theirs:
            raise CheckpointError(f"the checkpoint is of optimizer {theirs}, the training of {mine}.")
        if (state["scheduler"] is None) != (self.scheduler is None):
            which = "training" if self.scheduler else "checkpoint"
            raise CheckpointError(f"only the {which} has a learning rate schedule.")
        try:
            self.optimizer.load_state_dict(state["optimizer"])
        except ValueError as error:  # other parameter groups
            raise CheckpointError(f"the checkpoint is of another optimizer: {error}.") from error
        self.model.load_state_dict(state["model"])
        if self.scheduler:
            self.scheduler.load_state_dict(state["scheduler"])
        self.tally = Tally()
        self.tally.load_state_dict(state["tally"])
        for name in PLAIN:
            setattr(self, name, state[name])
