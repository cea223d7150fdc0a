"""Everything that training changes, in one place: saved and restored as a whole, after any step."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lenetscope import rng
from lenetscope.evaluation.tally import Tally
from lenetscope.schema import Check, SchemaError, anything, list_of, number, optional, record, whole

FORMAT = 2
"""Version of what `TrainState.state_dict` returns."""

_LOSS, _ACCURACY = optional(number(finite=False)), optional(number(0, 1))
_SECONDS, _RATE = number(0), number()

ROW: dict[str, Check] = {
    "epoch": whole(1),
    "train_loss": _LOSS,
    "train_accuracy": _ACCURACY,
    "valid_loss": _LOSS,
    "valid_accuracy": _ACCURACY,
    "lr": optional(_RATE),
    "train_seconds": optional(_SECONDS),
    "valid_seconds": optional(_SECONDS),
}
ROW_CHECK = record(ROW, {"planned": optional(whole(1))})
"""What each row of the history holds; ``planned`` was not there from the beginning."""

PLAIN: dict[str, Check] = {
    "epoch": whole(),
    "step": whole(),
    "seconds": _SECONDS,
    "history": list_of(ROW_CHECK),
    "learning_rates": list_of(list_of(_RATE)),
    "schedule_ends": list_of(whole(1)),
    "best": anything,  # as the model, see `checkpoint`
    "last": anything,
    "seed": optional(whole(0, 2**32 - 1)),
    "rng": optional(list_of(rng.check, least=1)),
    "epoch_rng": optional(list_of(rng.check, least=1)),
}
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
            ``valid_accuracy``, ``lr``, ``train_seconds``, ``valid_seconds`` and ``planned`` (epochs
            that the training was to reach then). Losses are means over samples, accuracies fractions
            from 0 to 1; None where there is none.
        learning_rates: of all parameter groups, after each step of the scheduler.
        schedule_ends: epochs at which the schedules of a recipe end; each begins where the former ends.
        best: weights of the best epoch so far, as a state dict; None if they are not kept.
        last: weights of the last epoch, while the model has the best; None while it has the last.
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
    schedule_ends: list[int] = field(default_factory=list)
    best: dict[str, Tensor] | None = None
    last: dict[str, Tensor] | None = None
    seed: int | None = None
    rng: list[dict[str, Any]] | None = None
    epoch_rng: list[dict[str, Any]] | None = None
    is_main: bool = True

    def begin_stream(self, seed: int) -> None:
        """Let training continue with new random streams, from the beginning of an epoch."""
        self.seed, self.rng = seed, None
        self.step, self.seconds, self.tally = 0, 0.0, Tally()

    def weights(self) -> dict[str, Tensor]:
        """Return a copy of the model's weights."""
        return {name: value.detach().clone() for name, value in self.model.state_dict().items()}

    def take_best(self) -> None:
        """Give the model its best weights, if they are kept."""
        if self.best is not None and self.last is None:
            self.last = self.weights()
            self.model.load_state_dict(self.best)

    def take_last(self) -> None:
        """Give the model the weights of the last epoch again, unless its weights were changed."""
        if self.best is not None and self.last is not None:
            now = self.model.state_dict()
            if all(torch.equal(now[name].cpu(), value.cpu()) for name, value in self.best.items()):
                self.model.load_state_dict(self.last)
        self.last = None

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
        """Restore what `state_dict` returned and `checkpoint.checked` found to fit."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler:
            self.scheduler.load_state_dict(state["scheduler"])
        for name in ("tally", *PLAIN):
            setattr(self, name, state[name])


def require_consistent(state: dict[str, Any]) -> None:
    """Compare the fields of a state with each other.

    Raises:
        SchemaError: if they cannot be those of one moment of a training.
    """
    epochs = [row["epoch"] for row in state["history"]]
    if epochs != list(range(1, state["epoch"] + 1)):
        raise SchemaError(
            f"history must have a row for each of {state['epoch']} epochs, in their order"
        )
    if (state["step"] > 0) != (state["tally"].n > 0):
        raise SchemaError(f"step is {state['step']}, and tally.n is {state['tally'].n}")
    if state["step"] and not (state["rng"] and state["epoch_rng"]):
        raise SchemaError(
            f"step is {state['step']}, and the random streams rng and epoch_rng are missing"
        )
