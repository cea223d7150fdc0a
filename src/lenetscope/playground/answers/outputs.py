"""What each layer returns for an image: for networks that the page cannot run by itself."""

import math
from collections import Counter
from typing import Any

import torch
from torch import Tensor

from lenetscope.errors import LayerError
from lenetscope.evaluation.outputs import model_outputs, probabilities
from lenetscope.observe import Call, layer_outputs
from lenetscope.playground.answers import RUN, Answer, decoded
from lenetscope.playground.lab import Lab


def outputs(lab: Lab, asked: dict[str, Any]) -> bytes:
    """Return the outputs of the layers that `network` lists, then the probabilities, in one row.

    They are little-endian float32. A layer that does not run for this image has zeros.

    Raises:
        LayerError: if the shape of a layer's outputs depends on the image.
    """
    opened = lab.run(asked.get("run"))
    model = opened.model(asked.get("epoch"))
    images = opened.inspection.prepared(opened.images(asked["pixels"]))
    seen: dict[str, Tensor] = {}

    def see(call: Call) -> None:
        if isinstance(call.outputs, Tensor):
            seen[call.key] = call.outputs[0].float().flatten()

    layer_outputs(model, images, None, see)
    parts, calls = [], Counter[str]()
    for row in opened.layers:
        key = f"{row.name}:{calls[row.name]}" if calls[row.name] else row.name
        calls[row.name] += 1
        size = math.prod(row.shape)
        found = seen.get(key, torch.zeros(size))
        if len(found) != size:
            raise LayerError(f"layer '{row.name}' returns other shapes for other images.")
        parts.append(found)
    found_probabilities = probabilities(model_outputs(model, images), opened.inspection.arch.loss_fn)
    assert found_probabilities is not None
    return torch.cat([*parts, found_probabilities[0]]).numpy().astype("<f4").tobytes()


Answer(
    name="outputs",
    summary="what each layer returns for an image, for networks that the page cannot run",
    fields=RUN | {"pixels": decoded},
    compute=outputs,
    required=("pixels",),
).register()
