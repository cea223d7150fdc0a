"""Continue an unfinished run, bit for bit as if it had not been interrupted."""

from typing import Any

from lenetscope.playground.answers import Answer
from lenetscope.playground.lab import Lab
from lenetscope.schema import text


def training_resume(lab: Lab, asked: dict[str, Any]) -> dict[str, Any]:
    """Start the process; the event "training" tells what becomes of it."""
    lab.training.resume(asked["run"])
    return {}


Answer(
    name="training-resume",
    summary="continue an unfinished run",
    fields={"run": text},
    compute=training_resume,
    required=("run",),
    quick=True,
).register()
