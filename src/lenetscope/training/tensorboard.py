"""Losses, accuracies and the learning rate for TensorBoard, one point per epoch."""

import warnings
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor, nn

from lenetscope.arguments import as_path
from lenetscope.errors import UsageError
from lenetscope.restore import eval_mode
from lenetscope.training.callbacks import Callback
from lenetscope.training.state import TrainState

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter


def writer_class() -> "type[SummaryWriter]":
    """Return torch's writer.

    Raises:
        UsageError: if TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard.writer import SummaryWriter
    except ImportError as error:
        install = "pip install 'lenetscope[tensorboard]'"
        raise UsageError(f"TensorBoard is not installed: {install}.") from error
    return SummaryWriter


def make_writer(name: str, folder: str | Path = "runs") -> "SummaryWriter":
    """Return a writer to ``folder/name_<date and time>``; see `writer_class` for what it raises."""
    return writer_class()(f"{as_path(folder) / as_path(name)}_{datetime.now():%Y%m%d%H%M%S}")


def add_graph(writer: "SummaryWriter", model: nn.Module, inputs: Tensor) -> None:
    """Write the model's graph, as traced by one pass of ``inputs`` (N, …)."""
    with eval_mode(model), warnings.catch_warnings():
        # torch's own writer traces in a way that torch deprecates
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        writer.add_graph(model, inputs)


class TensorBoardCallback(Callback):
    """Write the rows of the history to a writer, and close it when training ends."""

    def __init__(self, writer: "SummaryWriter") -> None:
        self.writer = writer

    def on_epoch_end(self, state: TrainState) -> None:
        """Write ``loss`` and ``accuracy``, training and validation in one chart, and ``lr``."""
        row = state.history[-1]
        for key in ("loss", "accuracy"):
            values = {"training": row[f"train_{key}"], "validation": row[f"valid_{key}"]}
            if scalars := {name: value for name, value in values.items() if value is not None}:
                self.writer.add_scalars(key, scalars, row["epoch"])
        self.writer.add_scalar("lr", row["lr"], row["epoch"])

    def on_train_end(self, state: TrainState) -> None:
        """Close the files; writing again opens new ones."""
        self.writer.close()
