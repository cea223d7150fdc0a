"""What a convolution looks for: its filters.

In: a model and the name of a two-dimensional convolution. Out: its weights as an array.
"""

from typing import Any

import numpy.typing as npt
from torch import nn

from lenetscope.errors import LayerError, listed
from lenetscope.insight.hooks import find_layers


def filters_of(model: nn.Module, layer: str) -> npt.NDArray[Any]:
    """Return the filters of a layer, (filters, input channels, H, W) float32.

    Raises:
        LayerError: if there is no such layer, or it is no two-dimensional convolution.
    """
    found = find_layers(model, layer)[layer]
    if not isinstance(found, nn.Conv2d):
        convolutions = [n for n, m in model.named_modules() if isinstance(m, nn.Conv2d)]
        where = f"; those that have some: {listed(convolutions)}" if convolutions else ""
        raise LayerError(f"layer '{layer}' is a {type(found).__name__} and has no filters{where}.")
    weights: npt.NDArray[Any] = found.weight.detach().float().cpu().numpy()
    return weights
