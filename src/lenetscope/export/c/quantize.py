"""From a trained network to whole numbers: which scale each layer's weights and activations get.

A weight's scale follows from the largest weight of its output channel. An activation's scale is the one
with the smallest mean squared error on calibration images, among those that cut off nothing, little or
more of the range that was seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from lenetscope.errors import UsageError
from lenetscope.export.c import integers
from lenetscope.export.c.integers import HIGHEST, LOWEST, IntegerNetwork, Layer, Output
from lenetscope.export.c.steps import Shape, Step
from lenetscope.export.c.trace import trace

BINS = 2048
"""Of the histogram of a layer's activations: eight times finer than int8."""

FRACTIONS = tuple(k / 40 for k in range(12, 41))
"""Of the range that was seen, from which a scale is chosen."""

LARGEST = 2**31 - 1
"""Of int32."""

SCORE_BITS = 16
"""A score is a logit times 2 to this power, if that leaves it inside of int32."""


@dataclass(frozen=True)
class Scale:
    """An activation q stands for ``size * (q - zero)``.

    Attributes:
        size: of one step.
        zero: stands for 0; whole, except for that of the image, whose pixels need no rounding then.
    """

    size: float
    zero: float

    def quantize(self, values: Tensor) -> Tensor:
        """Return the nearest activations, int8."""
        steps = (values.double() / self.size + self.zero + 0.5).floor()
        return steps.clamp(LOWEST, HIGHEST).to(torch.int8)

    @property
    def nearest_zero(self) -> int:
        """The activation nearest to ``zero``."""
        return min(max(round(self.zero), LOWEST), HIGHEST)


def quantize(
    model: nn.Module, image_shape: Shape, mean: Sequence[float], std: Sequence[float], images: Tensor
) -> IntegerNetwork:
    """Make a network of whole numbers from a trained one.

    Args:
        model: returns logits for normalised images; it stays as it is.
        image_shape: (C, H, W).
        mean: subtracted from pixels in [0, 1], one number per channel, or one for all.
        std: then divides them.
        images: (N, C, H, W) uint8, to see the range of each layer's activations.

    Raises:
        UsageError: if the network does something that is not supported, or has weights that are not
            finite numbers.
    """
    steps, graph = trace(model, image_shape)
    for step in steps:
        if not bool(step.weight.isfinite().all() and step.bias.isfinite().all()):
            raise UsageError(f"layer '{step.name}' has weights that are not finite numbers.")
    pixels = normalized_pixels(image_shape[0], mean, std)  # (C, 256)
    planes = [row[plane.long()] for row, plane in zip(pixels, images.unbind(1), strict=True)]
    found = _Ranges(graph, {step.node for step in steps})
    with torch.no_grad():
        found.run(torch.stack(planes, dim=1).float())
    return _Quantizer(found.scales, pixels).network(steps)


def normalized_pixels(channels: int, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Return what the 256 values of a pixel become, (C, 256) float64."""
    factors = [torch.tensor(each, dtype=torch.float64).reshape(-1, 1) for each in (mean, std)]
    values = (torch.arange(256, dtype=torch.float64) / 255 - factors[0]) / factors[1]
    return values.expand(channels, 256)


def choose_scale(values: Tensor) -> Scale:
    """Choose the scale with the smallest mean squared error.

    >>> scale = choose_scale(torch.linspace(0, 2.55, 1001))
    >>> round(scale.size, 3), scale.zero
    (0.01, -128)
    """
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    if low == high:
        return Scale(1.0, 0)
    counts, edges = np.histogram(values.double().numpy(), bins=BINS, range=(low, high))
    centres = (edges[1:] + edges[:-1]) / 2

    def scale(fraction: float) -> Scale:
        size = fraction * (high - low) / (HIGHEST - LOWEST)
        return Scale(size, round(LOWEST - fraction * low / size))

    def error(each: Scale) -> float:
        steps = np.clip(np.round(centres / each.size) + each.zero, LOWEST, HIGHEST)
        return float((counts * np.square((steps - each.zero) * each.size - centres)).sum())

    return min((scale(fraction) for fraction in FRACTIONS), key=error)


class _Ranges(fx.Interpreter):
    """Runs the network and chooses the scale of each wanted node's output."""

    def __init__(self, graph: fx.GraphModule, wanted: set[fx.Node]) -> None:
        super().__init__(graph)
        self.wanted, self.scales = wanted, dict[fx.Node, Scale]()

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if n in self.wanted:
            if not bool(result.isfinite().all()):
                raise UsageError(f"layer '{n.name}' returns numbers that are not finite.")
            self.scales[n] = choose_scale(result)
        return result


def fixed_point(factors: Tensor) -> tuple[Tensor, Tensor]:
    """Return multipliers and shifts with ``factor`` = multiplier / 2**shift, to 31 bits.

    >>> multiplier, shift = fixed_point(torch.tensor([0.75], dtype=torch.float64))
    >>> multiplier.item() == 3 * 2**29, shift.item()
    (True, 31)
    """
    exponent = torch.frexp(factors).exponent
    shift = (31 - exponent.long()).clamp(max=62)
    multiplier = (torch.ldexp(factors, shift.double()) + 0.5).floor().long()
    over = multiplier > LARGEST
    multiplier, shift = torch.where(over, multiplier // 2, multiplier), shift - over.long()
    if bool((shift < 1).any()):
        raise UsageError("the network's weights differ too much in size for whole numbers.")
    return multiplier, shift


class _Quantizer:
    """Turns steps into layers of whole numbers, one after another."""

    def __init__(self, scales: dict[fx.Node, Scale], pixels: Tensor) -> None:
        self.scales, self.pixels = scales, pixels
        self.found: list[Scale] = []  # of each step's output

    def network(self, steps: Sequence[Step]) -> IntegerNetwork:
        make = {
            "image": self._image, "conv": self._conv, "linear": self._linear, "max": self._max,
            "average": self._average, "add": self._add, "pointwise": self._pointwise,
        }  # fmt: skip
        layers: list[Layer] = []
        for step in steps[:-1]:
            self.found.append(self._scale(step))
            layers.append(make[step.kind](step))
        scores, bits = self._scores(steps[-1])
        return IntegerNetwork((*layers, scores), bits)

    def _scale(self, step: Step) -> Scale:
        if step.kind == "image":
            low, high = float(self.pixels.min()), float(self.pixels.max())
            size = (high - low) / (HIGHEST - LOWEST)
            return Scale(size, LOWEST - low / size)
        return self.found[step.inputs[0]] if step.kind == "max" else self.scales[step.node]

    def _image(self, step: Step) -> Layer:
        scale = self.found[-1]
        return integers.Lookup(*_place(step), scale.quantize(self.pixels))

    def _pointwise(self, step: Step) -> Layer:
        before, after = self.found[step.inputs[0]], self.found[-1]
        activations = torch.arange(256)
        activations = torch.where(activations > HIGHEST, activations - 256, activations)
        values = step.function(((activations - before.zero) * before.size).float())
        return integers.Lookup(*_place(step), after.quantize(values)[None])

    def _weights(self, step: Step) -> tuple[Tensor, Tensor, Tensor]:
        """Return int8 weights, int64 biases and the size of a sum's step, (O,) float64."""
        before = self.found[step.inputs[0]]
        rows = step.weight.flatten(1)
        # a bias must fit into int32, also that of a channel whose weights are all 0
        sizes = (rows.abs().amax(dim=1) / 127).maximum(step.bias.abs() / before.size / 2**29)
        sizes = torch.where(sizes > 0, sizes, 1.0)
        weight = (rows / sizes[:, None]).round()
        unit = sizes * before.size
        bias = (step.bias / unit - before.zero * weight.sum(dim=1)).round()
        if bool((weight.abs().sum(dim=1) * 128 + bias.abs() > LARGEST).any()):
            raise UsageError(f"the sums of layer '{step.name}' can leave the range of 32 bits.")
        return weight.to(torch.int8).reshape(step.weight.shape), bias.long(), unit

    def _output(self, step: Step, unit: Tensor) -> Output:
        scale = self.found[-1]
        low = scale.nearest_zero if step.relu else LOWEST
        return Output(*fixed_point(unit / scale.size), scale.nearest_zero, low)

    def _conv(self, step: Step) -> Layer:
        weight, bias, unit = self._weights(step)
        assert step.window is not None
        pad = self.found[step.inputs[0]].nearest_zero
        output = self._output(step, unit)
        return integers.Convolution(
            *_place(step), weight, bias, step.window, step.groups, step.pool, pad, output
        )

    def _linear(self, step: Step) -> Layer:
        weight, bias, unit = self._weights(step)
        return integers.Dense(*_place(step), weight, bias, self._output(step, unit))

    def _scores(self, step: Step) -> tuple[Layer, int]:
        weight, bias, unit = self._weights(step)
        largest = float(((weight.abs().long().sum(dim=1) * 128 + bias.abs()) * unit).max())
        bits = min(SCORE_BITS, 30 - int(np.frexp(largest)[1]))
        if bits < 0:
            raise UsageError("the network's logits are too large for whole numbers.")
        output = Output(*fixed_point(unit * 2.0**bits), 0, LOWEST)
        return integers.Scores(*_place(step), weight, bias, output), bits

    def _max(self, step: Step) -> Layer:
        assert step.window is not None
        return integers.Maximum(*_place(step), step.window)

    def _average(self, step: Step) -> Layer:
        before, window = self.found[step.inputs[0]], step.window
        assert window is not None
        bias = round(-before.zero * window.size[0] * window.size[1])
        unit = torch.tensor([before.size / step.divisor], dtype=torch.float64)
        return integers.Average(
            *_place(step), window, bias, before.nearest_zero, self._output(step, unit)
        )

    def _add(self, step: Step) -> Layer:
        first, second = (self.found[place] for place in step.inputs)
        after = self.found[-1]
        factors = torch.tensor([first.size, second.size], dtype=torch.float64) / after.size
        shift = int(fixed_point(factors.max().reshape(1))[1])
        a, b = (int(torch.ldexp(f, torch.tensor(float(shift))).round()) for f in factors)
        zeros = first.nearest_zero, second.nearest_zero
        low = after.nearest_zero if step.relu else LOWEST
        return integers.Addition(*_place(step), zeros, (a, b), shift, after.nearest_zero, low)


def _place(step: Step) -> tuple[str, tuple[int, ...], Shape, Shape]:
    return step.name, step.inputs, step.source, step.shape
