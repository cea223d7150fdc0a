"""A network as a chain of layers that ``static/network.js`` runs in a browser.

A model is such a chain if its layers, run one after another, give its outputs to the last bit. That is
tried before anything is written, so that a model with branches, or with steps between its layers, is
refused instead of shown wrongly.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lenetscope.arguments import main_output
from lenetscope.errors import LayerError, listed
from lenetscope.layers import summarize
from lenetscope.observe import find_layers
from lenetscope.plots.html import base64_of
from lenetscope.restore import device_of, eval_mode

TRIALS, SCALES = 16, (0.1, 1.0, 10.0, 100.0)
"""Random images of each scale on which model and chain must agree: small values clip nowhere."""

Weights = list[npt.NDArray[np.float32]]
Settings = dict[str, Any] | str
"""Settings of a layer; a text says what about it the page cannot run."""


@dataclass(frozen=True)
class Chain:
    """A network that runs as a chain.

    Attributes:
        input_shape: (C, H, W) of one image.
        layers: of each its name, kind, output ``shape`` and settings as plain values. Where a layer has
            weights, ``weight`` and ``bias`` are the places in ``weights`` at which they begin.
        weights: (M,) float32, of all layers.
    """

    input_shape: tuple[int, ...]
    layers: tuple[dict[str, Any], ...]
    weights: npt.NDArray[np.float32]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; the weights as base64 of little-endian float32."""
        weights = base64_of(self.weights.astype("<f4"))
        return {"inputShape": list(self.input_shape), "layers": list(self.layers), "weights": weights}


def describe(model: nn.Module, input_shape: tuple[int, ...]) -> Chain:
    """Describe a model as a chain of layers, and make sure that it is one.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> [layer["kind"] for layer in describe(model, (1, 2, 2)).layers]
    ['Flatten', 'Linear', 'ReLU', 'Linear']

    Args:
        model: its modes are as before when this returns or raises.
        input_shape: (C, H, W) of one image.

    Raises:
        LayerError: if a layer is of a kind, or has a setting, that the page cannot run, or the model is
            not a chain.
    """
    rows = summarize(model, input_shape)
    if not rows:
        raise LayerError("the model has no layers inside that could be shown one after another.")
    modules = find_layers(model)
    weights: Weights = [np.zeros(0, np.float32)]
    layers, shape = [], tuple(input_shape)
    for row in rows:
        layer = modules[row.name]
        if type(layer) not in KINDS:
            known = listed(kind.__name__ for kind in KINDS)
            raise LayerError(f"layer '{row.name}' is a {row.kind}; the page can run {known}.")
        settings = KINDS[type(layer)](layer, shape, weights)
        if isinstance(settings, str):
            raise LayerError(f"layer '{row.name}' ({row.kind}) {settings}, which the page cannot run.")
        layers.append({"name": row.name, "kind": row.kind, "shape": list(row.shape), **settings})
        shape = row.shape
    if len(shape) != 1:
        raise LayerError(f"the model returns {'x'.join(map(str, shape))}, not one number per class.")
    _require_chain(model, [modules[row.name] for row in rows], input_shape)
    return Chain(tuple(input_shape), tuple(layers), np.concatenate(weights))


def _require_chain(model: nn.Module, layers: list[nn.Module], input_shape: tuple[int, ...]) -> None:
    """Run the layers one after another and compare with the model, bit for bit."""
    random = torch.randn(TRIALS, *input_shape, generator=torch.Generator().manual_seed(0))
    dtype = next((p.dtype for p in model.parameters()), torch.float32)
    images = torch.cat([scale * random for scale in SCALES]).to(device_of(model), dtype)
    with eval_mode(model), torch.no_grad():
        expected = main_output(model(images))
        try:
            values = nn.Sequential(*layers)(images)
            same = expected is not None and torch.equal(values, expected)
        except (RuntimeError, TypeError, ValueError):  # shapes that do not fit: not a chain either
            same = False
    if not same:
        raise LayerError(
            "the layers of this model, run one after another, do not give its outputs: it has "
            "branches, or steps between its layers that are not layers themselves."
        )


def _add(weights: Weights, values: Tensor) -> int:
    """Append values and return the place at which they begin."""
    place = sum(map(len, weights))
    weights.append(values.detach().to("cpu", torch.float32).contiguous().numpy().reshape(-1))
    return place


def _pair(value: Any) -> list[int]:
    return [int(v) for v in value] if isinstance(value, (tuple, list)) else [int(value)] * 2


def _weights_of(layer: Any, weights: Weights) -> dict[str, int | None]:
    place = _add(weights, layer.weight)
    return {"weight": place, "bias": None if layer.bias is None else _add(weights, layer.bias)}


def _convolution(layer: Any, shape: tuple[int, ...], weights: Weights) -> Settings:
    if layer.padding_mode != "zeros":
        return f"pads with '{layer.padding_mode}'"
    kernel, dilation = _pair(layer.kernel_size), _pair(layer.dilation)
    if layer.padding == "same":  # what is odd goes to the far side, so the near side is what counts
        padding = [d * (k - 1) // 2 for k, d in zip(kernel, dilation, strict=True)]
    else:
        padding = [0, 0] if layer.padding == "valid" else _pair(layer.padding)
    return {
        "kernel": kernel,
        "stride": _pair(layer.stride),
        "padding": padding,
        "dilation": dilation,
        "groups": layer.groups,
        **_weights_of(layer, weights),
    }


def _pooling(layer: Any, shape: tuple[int, ...], weights: Weights) -> Settings:
    if layer.ceil_mode:
        return "rounds its size up"
    names = ("stride", "padding", "dilation")
    settings: dict[str, Any] = {name: _pair(getattr(layer, name, 1)) for name in names}
    if isinstance(layer, nn.AvgPool2d):
        settings |= {"countPadding": layer.count_include_pad, "divisor": layer.divisor_override}
    return {"kernel": _pair(layer.kernel_size), **settings}


def _linear(layer: Any, shape: tuple[int, ...], weights: Weights) -> Settings:
    return _weights_of(layer, weights) if len(shape) == 1 else "works on one side of a map only"


def _normalization(layer: Any, shape: tuple[int, ...], weights: Weights) -> Settings:
    if layer.running_mean is None:
        return "has no running statistics"
    scale = (layer.running_var.double() + layer.eps).rsqrt() * (
        1 if layer.weight is None else layer.weight
    )
    shift = (0 if layer.bias is None else layer.bias) - layer.running_mean.double() * scale
    return {"weight": _add(weights, scale), "bias": _add(weights, shift)}


def _flatten(layer: Any, shape: tuple[int, ...], weights: Weights) -> Settings:
    whole = layer.start_dim == 1 and layer.end_dim in (-1, len(shape))
    return {} if whole else "flattens some dimensions only"


def _softmax(layer: Any, shape: tuple[int, ...], weights: Weights) -> Settings:
    return {} if len(shape) == 1 and layer.dim in (1, -1) else "works across another dimension"


def _plain(layer: Any, shape: tuple[int, ...], weights: Weights) -> Settings:
    return {}


KINDS: dict[type[nn.Module], Callable[[Any, tuple[int, ...], Weights], Settings]] = {
    nn.Conv2d: _convolution,
    **dict.fromkeys((nn.MaxPool2d, nn.AvgPool2d), _pooling),
    nn.BatchNorm2d: _normalization,
    nn.Linear: _linear,
    nn.Flatten: _flatten,
    nn.Softmax: _softmax,
    **dict.fromkeys((nn.ReLU, nn.Tanh, nn.Sigmoid, nn.Dropout, nn.Identity), _plain),
}
