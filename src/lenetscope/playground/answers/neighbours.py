"""Which images of the embedding are nearest to a drawing, and where it belongs among them."""

from typing import Any

import numpy as np
import torch

from lenetscope.evaluation.mistakes import nearest_images
from lenetscope.inspection import NEAREST
from lenetscope.playground.answers import RUN, Answer, decoded
from lenetscope.playground.answers.embedding import places
from lenetscope.playground.answers.images import described
from lenetscope.playground.lab import Lab


def neighbours(lab: Lab, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the images nearest to a drawing by the inputs of the last layer, nearest first.

    The drawing's point is the mean of theirs, each weighted by one over its distance.

    Raises:
        DataError: if there is no embedding, or the network returns NaN.
        UsageError: if the drawing is not of this network's size.
    """
    opened = lab.run(asked.get("run"))
    inspection = opened.inspection
    drawn = inspection.features_of(opened.images(asked["pixels"]))  # (1, D)
    numbers = torch.from_numpy(opened.embedding.images)  # (n,)
    k = min(NEAREST, len(numbers))
    (near,) = nearest_images(drawn, inspection.features[numbers], inspection.labels[numbers], k)
    weights = 1 / np.maximum(near.distances, 1e-9)  # (k,)
    point = np.average(places(opened)[list(near.indices)], axis=0, weights=weights)
    return {
        "point": point.round(4).tolist(),
        "places": near.indices,
        "distances": near.distances,
        **described(inspection, numbers[list(near.indices)]),
    }


Answer(
    name="neighbours",
    summary="the images of the embedding that are nearest to a drawing",
    fields={"run": RUN["run"], "pixels": decoded},
    compute=neighbours,
    required=("pixels",),
).register()
