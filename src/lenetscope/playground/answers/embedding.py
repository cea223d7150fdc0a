"""Test images as points of a plane; the first answer for a run takes some seconds."""

from typing import Any

import numpy as np
import torch

from lenetscope.playground.answers import RUN, Answer
from lenetscope.playground.answers.images import predictions
from lenetscope.playground.lab import Lab, Opened
from lenetscope.plots.style import Array
from lenetscope.questions.embedding import COLOURS


def embedding(lab: Lab, asked: dict[str, Any]) -> dict[str, Any]:
    """Return points from 0 to 1, with what they are images of.

    Raises:
        DataError: if there are too few images, or the network does not tell them apart.
    """
    opened = lab.run(asked.get("run"))
    inspection, found = opened.inspection, opened.embedding
    return {
        "points": places(opened).round(4).tolist(),
        "colours": COLOURS,
        "layer": inspection.last_layer,
        "total": len(inspection.labels),
        **predictions(inspection, torch.from_numpy(found.images)),
    }


def places(opened: Opened) -> Array:
    """Return the points of an embedding in the unit square, (n, 2), their proportions kept."""
    points = opened.embedding.points
    low, high = points.min(axis=0), points.max(axis=0)
    scaled: Array = (points - (low + high) / 2) / ((high - low).max() or 1.0) + 0.5
    return np.clip(scaled, 0, 1)  # rounding may leave it


Answer(
    name="embedding",
    summary="test images as points of a plane, near each other where the network finds them similar",
    fields={"run": RUN["run"]},
    compute=embedding,
).register()
