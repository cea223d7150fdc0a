"""Starts to fine-tune a network on the drawings that were kept; events tell the rest."""

from typing import Any

from lenetscope.playground import fine_tuning
from lenetscope.playground.answers import RUN, Answer
from lenetscope.playground.lab import Lab


def fine_tune(lab: Lab, asked: dict[str, Any]) -> dict[str, Any]:
    """Start, and return how many drawings are trained on, and held out.

    Raises:
        UsageError: if there are too few drawings, or something is trained already.
        DataError: if the drawings cannot be read.
        RunError: if the run has not kept that epoch.
    """
    opened, epoch = lab.run(asked.get("run")), asked.get("epoch")
    task = fine_tuning.Task.of(opened, epoch, lab.kept(opened).all())
    opened.model(epoch)
    fine_tuning.start(lab, task)
    return {"trained": len(task.train), "heldOut": len(task.held_out)}


Answer(
    name="fine-tune",
    summary="starts to fine-tune a network on the drawings that were kept",
    fields=RUN,
    compute=fine_tune,
).register()
