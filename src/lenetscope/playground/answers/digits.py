"""The drawings that were kept, and what a network makes of them."""

from typing import Any

import torch
from torch import Tensor, nn

from lenetscope.evaluation.evaluate import evaluate
from lenetscope.evaluation.outputs import model_outputs, probabilities
from lenetscope.evaluation.scores import Scores
from lenetscope.playground.answers import RUN, Answer
from lenetscope.playground.fine_tuning import LEAST, drawings_of
from lenetscope.playground.kept import MOST
from lenetscope.playground.lab import Lab, Opened
from lenetscope.plots.html import base64_of

SHOWN = 200
"""Drawings whose pixels are sent, the newest of each class first."""


def digits(lab: Lab, asked: dict[str, Any]) -> dict[str, Any]:
    """Predict every drawing, and count.

    Raises:
        UsageError, DataError: see `Kept.all`.
        RunError: if the run has not kept that epoch.
    """
    opened = lab.run(asked.get("run"))
    model = opened.model(asked.get("epoch"))
    drawings = lab.kept(opened).all()
    found: dict[str, Any] = {
        "run": opened.name,
        "folder": str(lab.kept(opened).folder),
        "n": len(drawings),
        "most": MOST,
        "least": LEAST,
        "busy": lab.busy,
        "drawings": [],
        "all": None,
        "new": None,
    }
    if not drawings:
        return found
    images = torch.stack([drawing.pixels for drawing in drawings])  # (N, C, H, W)
    labels = torch.tensor([drawing.label for drawing in drawings])
    logits = model_outputs(model, opened.inspection.prepared(images))  # (N, K)
    sure = probabilities(logits, opened.inspection.arch.loss_fn)
    assert sure is not None
    # a fine-tuned network knows some of them
    known = drawings_of(opened.inspection.run)
    trained = torch.tensor([drawing.digest in known for drawing in drawings])
    found["drawings"] = [
        {
            "label": drawing.label,
            "number": drawing.number,
            "predicted": int(row.argmax()),
            "probability": float(row.max()),
            "trained": bool(is_trained),
            "pixels": base64_of(drawing.pixels.numpy()),
        }
        for drawing, row, is_trained in _newest(list(zip(drawings, sure, trained, strict=True)))
    ]
    found["all"] = _counts(opened, logits, labels)
    if trained.any() and not trained.all():
        found["new"] = _counts(opened, logits[~trained], labels[~trained])
    return found


def _newest(rows: list[Any]) -> list[Any]:
    """Return as many rows as are shown, in their order, of each class the newest."""
    order = sorted(rows, key=lambda row: row[0].number, reverse=True)[:SHOWN]
    return sorted(order, key=lambda row: row[0][:2])


def _counts(opened: Opened, logits: Tensor, labels: Tensor) -> dict[str, Any]:
    """Return how many of some drawings are read right, and which class is taken for which other."""
    inspection = opened.inspection
    tally = evaluate(nn.Identity(), [(logits, labels)], inspection.arch.loss_fn)
    scores = Scores.from_tally(tally, inspection.classes)
    return {
        "n": scores.n,
        "correct": scores.n - scores.errors,
        "accuracy": scores.accuracy,
        "interval": list(scores.accuracy_interval),
        "confused": scores.most_confused(3).as_dicts(),
    }


Answer(
    name="digits",
    summary="the drawings that were kept, and what a network makes of them",
    fields=RUN,
    compute=digits,
).register()
