"""What a run recorded after each epoch: loss and accuracy."""

import math
from typing import Any

from lenetscope.playground.answers import RUN, Answer
from lenetscope.playground.lab import Lab

SHOWN = {
    "trainLoss": "train_loss",
    "validLoss": "valid_loss",
    "trainAccuracy": "train_accuracy",
    "validAccuracy": "valid_accuracy",
}
"""What the page is told of an epoch, and its name in the history."""


def epochs(lab: Lab, asked: dict[str, Any]) -> dict[str, Any]:
    """Return one row per epoch that was trained; what is not finite, or was not measured, is None."""
    history = lab.run(asked.get("run")).inspection.run.history()
    return {
        "history": [
            {"epoch": row["epoch"], **{name: _finite(row[key]) for name, key in SHOWN.items()}}
            for row in history
        ]
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


Answer(
    name="epochs",
    summary="the loss and the accuracy of a run after each epoch",
    fields={"run": RUN["run"]},
    compute=epochs,
).register()
