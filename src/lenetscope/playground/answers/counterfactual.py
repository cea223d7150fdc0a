"""The smallest strokes that change the prediction of a drawing."""

from typing import Any

import torch

from lenetscope.evaluation.outputs import model_outputs
from lenetscope.playground.answers import RUN, Answer, decoded
from lenetscope.playground.lab import Lab
from lenetscope.plots import html
from lenetscope.questions.counterfactual import as_pixels, counterfactuals
from lenetscope.schema import optional, whole

SECONDS = 4.0
"""For a search: enough for the network that ships on a busy machine, and others wait no longer."""


def counterfactual(lab: Lab, asked: dict[str, Any]) -> dict[str, Any]:
    """Search strokes on one image, and return them with the image after each."""
    opened = lab.run(asked.get("run"))
    inspection, model = opened.inspection, opened.model(asked.get("epoch"))
    pixels = opened.images(asked["pixels"])
    image = inspection.prepared(pixels)  # (1, C, H, W)
    (found,) = counterfactuals(model, image, asked.get("target"), seconds=SECONDS).of_images
    steps = torch.cat([pixels, as_pixels(inspection, found.images[1:])])  # (S+1, C, H, W)
    # of the pixels as the page is given them, which are whole numbers
    probabilities = model_outputs(model, inspection.prepared(steps)).softmax(dim=1)
    return {
        "target": found.target,
        "predicted": probabilities[0].argmax().item(),
        "found": probabilities[-1].argmax().item() == found.target,
        "tried": found.tried,
        "ink": found.ink,
        "added": found.change(added=True),
        "erased": found.change(added=False),
        "strokes": [
            {"points": each.points, "width": each.width, "added": each.added, "ink": each.ink}
            for each in found.strokes
        ],
        "steps": [html.base64_of(each.numpy()) for each in steps],
        "probabilities": probabilities.tolist(),
    }


Answer(
    name="counterfactual",
    summary="the smallest strokes that change the prediction of a drawing",
    fields=RUN | {"pixels": decoded, "target": optional(whole(0))},
    compute=counterfactual,
    required=("pixels",),
).register()
