"""A network as a chain of layers that a browser can run.

In: a model and the shape of its inputs. Out: what each layer does, in the order in which they run, and
all weights as one array of float32. ``static/network.js`` runs it. A model is a chain if its layers,
run one after another, give its outputs to the last bit; that is tried before anything is written, so a
model with branches, or with steps between its layers, is refused instead of told wrongly.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lenetscope.errors import LayerError, listed
from lenetscope.evaluation.predictions import main_output
from lenetscope.insight.hooks import find_layers
from lenetscope.insight.summary import summarize
from lenetscope.untouched import device_of, eval_mode

TRIALS, STRENGTHS = 16, (0.1, 1.0, 10.0, 100.0)
"""Random images of each strength that model and chain must agree on: weak ones reach no limit."""


@dataclass(frozen=True)
class Chain:
    """A network that runs as a chain.

    Attributes:
        input_shape: (C, H, W) of one image.
        layers: for each its name, kind, output ``shape`` and settings as plain values. Where a layer
            has weights, ``weight`` and ``bias`` say at which number of ``weights`` they begin.
        weights: (M,) float32, of all layers.
    """

    input_shape: tuple[int, ...]
    layers: tuple[dict[str, Any], ...]
    weights: npt.NDArray[np.float32]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; the weights as base64 of little-endian float32."""
        return {
            "inputShape": list(self.input_shape),
            "layers": [dict(layer) for layer in self.layers],
            "weights": {
                "dtype": "float32",
                "byteOrder": "little",
                "count": len(self.weights),
                "base64": base64.b64encode(self.weights.astype("<f4").tobytes()).decode("ascii"),
            },
        }


def describe(model: nn.Module, input_shape: tuple[int, ...]) -> Chain:
    """Describe a model as a chain of layers, and make sure that it is one.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> [layer["kind"] for layer in describe(model, (1, 2, 2)).layers]
    ['Flatten', 'Linear', 'ReLU', 'Linear']

    Args:
        model: its modes are as before when this returns or raises.
        input_shape: (C, H, W) of one image.

    Raises:
        LayerError: if a layer is of a kind, or has a setting, that is not known here, or the model is
            no chain. The message can be shown to a reader.
    """
    rows = summarize(model, input_shape)
    if not rows:
        raise LayerError("the model has no layers inside that could be shown one after another.")
    modules = find_layers(model, sorted({row.name for row in rows}))
    weights = _Weights()
    layers, shape = [], tuple(input_shape)
    for row in rows:
        layer = modules[row.name]
        if type(layer) not in _KINDS:
            known = listed(kind.__name__ for kind in _KINDS)
            raise LayerError(f"layer '{row.name}' is a {row.kind}; what can be run here is {known}.")
        settings = _KINDS[type(layer)](layer, shape, weights)
        if isinstance(settings, str):
            raise LayerError(f"layer '{row.name}' ({row.kind}) {settings}, which is not run here.")
        layers.append({"name": row.name, "kind": row.kind, "shape": list(row.shape), **settings})
        shape = row.shape
    if len(shape) != 1:
        raise LayerError(
            f"the last layer puts out {'x'.join(map(str, shape))}, not one number a class."
        )
    _require_chain(model, [modules[row.name] for row in rows], input_shape)
    return Chain(tuple(input_shape), tuple(layers), weights.joined())


def _require_chain(model: nn.Module, layers: list[nn.Module], input_shape: tuple[int, ...]) -> None:
    """Run the layers one after another and compare with the model, bit for bit."""
    random = torch.randn(TRIALS, *input_shape, generator=torch.Generator().manual_seed(0))
    images = torch.cat([strength * random for strength in STRENGTHS])
    dtype = next((p.dtype for p in model.parameters()), torch.float32)
    images = images.to(device_of(model), dtype)
    with eval_mode(model), torch.no_grad():
        expected = main_output(model(images))
        try:
            values = images
            for layer in layers:
                values = layer(values)
            same = expected is not None and torch.equal(values, expected)
        except (RuntimeError, TypeError, ValueError):  # shapes that do not fit: no chain either
            same = False
    if not same:
        raise LayerError(
            "the layers of this model, run one after another, do not give its outputs: it has "
            "branches, or steps between its layers that are no layers themselves."
        )


class _Weights:
    """Numbers laid one after another."""

    def __init__(self) -> None:
        self._parts: list[npt.NDArray[np.float32]] = []
        self._count = 0

    def add(self, values: Tensor) -> int:
        """Append values and return where they begin."""
        part = values.detach().to("cpu", torch.float32).contiguous().numpy().reshape(-1)
        start, self._count = self._count, self._count + len(part)
        self._parts.append(part)
        return start

    def joined(self) -> npt.NDArray[np.float32]:
        return np.concatenate(self._parts) if self._parts else np.zeros(0, np.float32)


_Settings = dict[str, Any] | str
"""Settings of a layer; a text says what about it is not known."""


def _pair(value: Any) -> list[int]:
    return [int(v) for v in value] if isinstance(value, (tuple, list)) else [int(value)] * 2


def _learned(layer: Any, weights: _Weights) -> dict[str, int | None]:
    start = weights.add(layer.weight)
    return {"weight": start, "bias": None if layer.bias is None else weights.add(layer.bias)}


def _convolution(layer: Any, shape: tuple[int, ...], weights: _Weights) -> _Settings:
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
        **_learned(layer, weights),
    }


def _pooling(layer: Any, shape: tuple[int, ...], weights: _Weights) -> _Settings:
    if layer.ceil_mode:
        return "rounds its size up"
    if getattr(layer, "return_indices", False):
        return "returns indices"
    settings: dict[str, Any] = {
        "kernel": _pair(layer.kernel_size),
        "stride": _pair(layer.stride),
        "padding": _pair(layer.padding),
        "dilation": _pair(getattr(layer, "dilation", 1)),
    }
    if isinstance(layer, nn.AvgPool2d):
        settings |= {"countPadding": layer.count_include_pad, "divisor": layer.divisor_override}
    return settings


def _linear(layer: Any, shape: tuple[int, ...], weights: _Weights) -> _Settings:
    return _learned(layer, weights) if len(shape) == 1 else "works on one side of a map only"


def _normalization(layer: Any, shape: tuple[int, ...], weights: _Weights) -> _Settings:
    if layer.running_mean is None:
        return "has no running statistics"
    scale = (layer.running_var.double() + layer.eps).rsqrt()
    scale = scale if layer.weight is None else scale * layer.weight.double()
    shift = -layer.running_mean.double() * scale
    shift = shift if layer.bias is None else shift + layer.bias.double()
    return {"weight": weights.add(scale), "bias": weights.add(shift)}


def _flatten(layer: Any, shape: tuple[int, ...], weights: _Weights) -> _Settings:
    whole = layer.start_dim == 1 and layer.end_dim in (-1, len(shape))
    return {} if whole else "flattens some dimensions only"


def _softmax(layer: Any, shape: tuple[int, ...], weights: _Weights) -> _Settings:
    return {} if len(shape) == 1 and layer.dim in (1, -1) else "works across another dimension"


def _plain(layer: Any, shape: tuple[int, ...], weights: _Weights) -> _Settings:
    return {}


_KINDS: dict[type[nn.Module], Callable[[Any, tuple[int, ...], _Weights], _Settings]] = {
    nn.Conv2d: _convolution,
    nn.MaxPool2d: _pooling,
    nn.AvgPool2d: _pooling,
    nn.BatchNorm2d: _normalization,
    nn.Linear: _linear,
    nn.Flatten: _flatten,
    nn.ReLU: _plain,
    nn.Tanh: _plain,
    nn.Sigmoid: _plain,
    nn.Softmax: _softmax,
    nn.Dropout: _plain,
    nn.Identity: _plain,
}
