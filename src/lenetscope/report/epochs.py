"""How the network came to be: its first filters and its answers, epoch by epoch.

In: a `Study` of a run that kept its weights after each epoch. Out: numbers that the page draws: filters
of the first convolution, probabilities for sample images, and how many of the first test images were
right. The same images for every epoch, so that epochs can be compared.
"""

import math
from typing import Any

import numpy as np
import torch

from lenetscope.evaluation import probabilities
from lenetscope.evaluation.predictions import model_outputs
from lenetscope.insight.filters import filters_of
from lenetscope.inspection import Study
from lenetscope.report.pictures import base64_of
from lenetscope.tracking import Track, untracked

JUDGED = 1000
"""Test images by which each epoch is judged, the first ones."""
FILTER_BYTES = 1_000_000
"""What the filters of all epochs may take; beyond, epochs in between are left out."""
MOST = 60
"""Epochs that a slider can show."""


def describe(study: Study, samples: list[int], track: Track = untracked) -> dict[str, Any] | None:
    """Return what the slider shows, or None if the run has kept fewer than two epochs.

    Args:
        study: of the run.
        samples: numbers of test images whose answers are shown.
        track: is handed the epochs and shows how far one has come.
    """
    kept = study.snapshot_epochs
    if len(kept) < 2:
        return None
    layer = study.convolutions[0] if study.convolutions else None
    filters_size = filters_of(study.model, layer).nbytes if layer else 1
    chosen = thinned(kept, min(MOST, max(2, FILTER_BYTES // filters_size)))
    judged = study.images[:JUDGED]
    labels = study.labels[:JUDGED]
    rows: list[dict[str, Any]] = []
    filters = []
    history = {row["epoch"]: row for row in study.run.history()}
    for epoch in track(chosen):
        model = study.model_at(epoch)
        outputs = model_outputs(model, torch.cat([judged, study.images[samples]]))
        shares = probabilities(outputs[len(judged) :], study.arch.loss_fn)
        assert shares is not None
        row = history.get(epoch, {})
        rows.append(
            {
                "epoch": epoch,
                "right": int((outputs[: len(judged)].argmax(dim=1) == labels).sum()),
                "trainLoss": row.get("train_loss"),
                "validAccuracy": row.get("valid_accuracy"),
                "probabilities": [[round(p, 5) for p in line] for line in shares.tolist()],
            }
        )
        if layer:
            filters.append(filters_of(model, layer))
    shape = filters[0].shape if layer else ()
    return {
        "judged": len(judged),
        "leftOut": len(kept) - len(chosen),
        "epochs": rows,
        "layer": layer,
        "filters": base64_of(np.stack(filters).astype("<f4")) if layer else None,
        "filterShape": list(shape),  # [filters, channels, H, W]
        "filterCount": math.prod(shape[:1]) if shape else 0,
    }


def thinned(epochs: list[int], most: int) -> list[int]:
    """Return at most so many of the epochs, evenly spread, the first and the last among them.

    >>> thinned([0, 1, 2, 3, 4, 5, 6], 4)
    [0, 2, 4, 6]
    """
    if len(epochs) <= most:
        return epochs
    places = np.linspace(0, len(epochs) - 1, most).round().astype(int)
    return [epochs[i] for i in dict.fromkeys(places.tolist())]
