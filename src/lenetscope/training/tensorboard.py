"""Losses, accuracies and the learning rate to TensorBoard, a point an epoch."""

import warnings
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor, nn

from lenetscope.errors import UsageError
from lenetscope.training.callbacks import Callback
from lenetscope.training.state import TrainState
from lenetscope.untouched import eval_mode

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter


def make_writer(name: str, folder: str | Path = "runs") -> "SummaryWriter":
    """Return a writer to ``folder/name_<date and time>``.

    Raises:
        UsageError: if TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard.writer import SummaryWriter
    except ImportError as error:
        raise UsageError(
            "TensorBoard is not installed: pip install 'lenetscope[tensorboard]'."
        ) from error
    moment = datetime.now().strftime("%Y%m%d%H%M%S")
    return SummaryWriter(str(Path(folder) / f"{name}_{moment}"))


def add_graph(writer: "SummaryWriter", model: nn.Module, inputs: Tensor) -> None:
    """Write the model's graph, as one pass of ``inputs`` (N, …) traces it."""
    with eval_mode(model), warnings.catch_warnings():
        # torch's own writer traces in a way that torch calls deprecated
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        writer.add_graph(model, inputs)


class TensorBoardCallback(Callback):
    """Write the figures of each epoch to a writer, and close it when training ends."""

    def __init__(self, writer: "SummaryWriter") -> None:
        self.writer = writer

    def on_epoch(self, state: TrainState) -> None:
        """Write ``loss`` and ``accuracy``, training and validation in one chart, and ``lr``."""
        row = state.history[-1]
        for key in ("loss", "accuracy"):
            values = {"training": row[f"train_{key}"], "validation": row[f"valid_{key}"]}
            scalars = {name: value for name, value in values.items() if value is not None}
            if scalars:
                self.writer.add_scalars(key, scalars, row["epoch"])
        self.writer.add_scalar("lr", row["lr"], row["epoch"])

    def on_stop(self, state: TrainState) -> None:
        """Close the files; writing again opens new ones."""
        self.writer.close()
