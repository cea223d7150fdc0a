"""Test images of a run, with what the network makes of them: page by page, or by their numbers."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lenetscope.errors import UsageError
from lenetscope.inspection import Inspection
from lenetscope.playground.answers import RUN, Answer
from lenetscope.playground.lab import Lab
from lenetscope.plots.html import base64_of
from lenetscope.schema import equal, list_of, optional, whole

MOST = 60
"""Images per answer."""


def images(lab: Lab, asked: dict[str, Any]) -> dict[str, Any]:
    """Return images of a cell of the confusion matrix, mistakes, given numbers, or of all.

    Of a cell and of mistakes, the first are those with the least probability of the true class.

    Raises:
        UsageError: if more than one of these is asked for, or there is no such class or number.
    """
    inspection = lab.run(asked.get("run")).inspection
    given = [name for name in ("cell", "mistakes", "numbers") if asked.get(name) is not None]
    if len(given) > 1:
        raise UsageError(f"ask for {given[0]} or {given[1]}, not for both.")
    found = _chosen(inspection, asked)
    start, count = asked.get("start") or 0, asked.get("count") or MOST
    page = found[start : start + count]
    return {"total": len(found), "start": start, **described(inspection, page)}


def described(inspection: Inspection, numbers: Tensor) -> dict[str, Any]:
    """Return images by their numbers (n,): one list per column, and their pixels as base64."""
    columns = predictions(inspection, numbers)
    pixels = inspection.splits.test.images[numbers]  # (n, C, H, W)
    return columns | {"pixels": base64_of(pixels.numpy())}


def predictions(inspection: Inspection, numbers: Tensor) -> dict[str, Any]:
    """Return what `described` returns, without pixels."""
    predicted = inspection.predicted[numbers]
    return {
        "index": numbers.tolist(),
        "label": inspection.labels[numbers].tolist(),
        "predicted": predicted.tolist(),
        "probability": inspection.probabilities[numbers, predicted].tolist(),
    }


def _chosen(inspection: Inspection, asked: dict[str, Any]) -> Tensor:
    """Return the numbers of the images that are asked for, (n,) int64, in their order."""
    labels = inspection.labels
    mistakes = inspection.mistakes  # also says so if the network returns NaN
    if asked.get("mistakes"):
        return torch.tensor([row.index for row in mistakes], dtype=torch.int64)
    if (cell := asked.get("cell")) is not None:
        if max(cell) >= (count := len(inspection.classes)):
            raise UsageError(f"a class is a number from 0 to {count - 1}, not {max(cell)}.")
        true, predicted = cell
        inside = np.flatnonzero((labels == true) & (inspection.predicted == predicted))
        likely = inspection.probabilities[inside, true]
        return torch.from_numpy(inside[np.argsort(likely.numpy(), kind="stable")])
    if (numbers := asked.get("numbers")) is not None:
        if len(numbers) > MOST:
            raise UsageError(f"ask for at most {MOST} images, not {len(numbers)}.")
        if numbers and max(numbers) >= len(labels):
            raise UsageError(f"an image is a number from 0 to {len(labels) - 1:,}, not {max(numbers)}.")
        return torch.tensor(numbers, dtype=torch.int64)
    return torch.arange(len(labels))


Answer(
    name="images",
    summary="test images of a run, page by page or by their numbers",
    fields={
        "run": RUN["run"],
        "cell": optional(list_of(whole(0), 2)),
        "mistakes": optional(equal(True)),
        "numbers": optional(list_of(whole(0))),
        "start": optional(whole(0)),
        "count": optional(whole(1, MOST)),
    },
    compute=images,
).register()
