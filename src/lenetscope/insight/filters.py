"""What a convolution looks for: its filters.

In: a model and the name of a convolution of any kind. Out: its weights as an array, a row a filter,
laid out alike for all kinds: a transposed convolution keeps its input channels first, and is turned.
"""

from typing import Any

import numpy.typing as npt
from torch import nn

from lenetscope.errors import LayerError, listed
from lenetscope.insight.stream import find_layer

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED)


def filters_of(model: nn.Module, layer: str) -> npt.NDArray[Any]:
    """Return the filters of a convolution.

    >>> filters_of(nn.Sequential(nn.ConvTranspose2d(4, 6, 3, groups=2)), "0").shape
    (6, 2, 3, 3)

    Args:
        model: any module.
        layer: exact name of a convolution of one, two or three dimensions, transposed or not.

    Returns:
        (filters, input channels, …) float32, where … is the kernel: (W,), (H, W) or (D, H, W). With
        groups, the input channels are those of the filter's own group: channel c of filter f is
        channel ``f // (filters / groups) * (channels / groups) + c`` of what the layer is given.

    Raises:
        LayerError: if there is no such layer, or it is no convolution, or has no weights yet.
    """
    found = find_layer(model, layer).layer
    if not isinstance(found, CONVOLUTIONS):
        convolutions = [n for n, m in model.named_modules() if isinstance(m, CONVOLUTIONS)]
        where = f"; those that have some: {listed(convolutions)}" if convolutions else ""
        raise LayerError(f"layer '{layer}' is a {type(found).__name__} and has no filters{where}.")
    if isinstance(found.weight, nn.UninitializedParameter):
        raise LayerError(f"layer '{layer}' has no weights yet: run the model once, then look.")
    weights = found.weight.detach()
    if isinstance(found, TRANSPOSED):  # (input channels, filters / groups, …)
        kernel, groups = weights.shape[2:], found.groups
        grouped = weights.reshape(groups, -1, weights.shape[1], *kernel).transpose(1, 2)
        weights = grouped.reshape(found.out_channels, -1, *kernel)
    array: npt.NDArray[Any] = weights.float().cpu().numpy()
    return array
