"""Arithmetic with whole numbers: what the generated C computes, equal to the last bit.

An activation is an int8 number q that stands for ``size * (q - zero)``, with one scale per layer; a
weight is an int8 number, with one scale per output channel. Products are summed in int32, and a sum
becomes the next activation by one multiplication, ``(sum * multiplier + 2**(shift - 1)) >> shift``: the
nearest whole number, halves upwards. The scheme is that of B. Jacob et al., "Quantization and training
of neural networks for efficient integer-arithmetic-only inference", CVPR 2018, with a single rounding.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from lenetscope.export.c.steps import Pair, Shape, Window

LOWEST, HIGHEST = -128, 127
"""Of int8."""

BATCH = 64
"""Images that are computed together."""


def rescale(product: Tensor, shift: Tensor | int) -> Tensor:
    """Divide int64 numbers by ``2**shift``, to the nearest whole number, halves upwards.

    >>> rescale(torch.tensor([5, 6, 7, -6, -7]), 2).tolist()
    [1, 2, 2, -1, -2]
    """
    half = torch.ones((), dtype=torch.int64) << (torch.as_tensor(shift) - 1)
    return (product + half) >> shift


@dataclass(frozen=True)
class Output:
    """How sums become int8 activations, one number per output channel, or one for all.

    Attributes:
        multiplier: (O,) int64, below 2**31.
        shift: (O,) int64, 1 to 62.
        zero: the activation that stands for 0.
        low: the smallest activation; `zero` for ReLU.
    """

    multiplier: Tensor
    shift: Tensor
    zero: int
    low: int

    def of(self, sums: Tensor) -> Tensor:
        """Return int8 activations (N, O, ...) for int64 sums of the same shape."""
        per_channel = (-1, *[1] * (sums.ndim - 2))
        scaled = rescale(sums * self.multiplier.reshape(per_channel), self.shift.reshape(per_channel))
        return (scaled + self.zero).clamp(self.low, HIGHEST).to(torch.int8)


@dataclass(frozen=True)
class Layer(ABC):
    """A step in whole numbers.

    Attributes:
        name: of the layer, as in the model.
        inputs: places of the layers whose outputs it takes.
        source: (C, H, W) of its input.
        shape: (C, H, W) of its output.
    """

    name: str
    inputs: tuple[int, ...]
    source: Shape
    shape: Shape

    @abstractmethod
    def run(self, *inputs: Tensor) -> Tensor:
        """Compute the output (N, C, H, W) from the outputs of the layers before."""


@dataclass(frozen=True)
class Lookup(Layer):
    """One activation per pixel value or activation, from a table.

    Attributes:
        table: (C, 256) int8 for pixels, (1, 256) for activations, where -1 is at 255.
    """

    table: Tensor

    def run(self, *inputs: Tensor) -> Tensor:
        """Look each number up."""
        rows = [
            row[channel.long() & 255]
            for row, channel in zip(
                self.table.expand(self.shape[0], 256), inputs[0].unbind(1), strict=True
            )
        ]
        return torch.stack(rows, dim=1)


@dataclass(frozen=True)
class Convolution(Layer):
    """A convolution, and the largest of each window of its sums.

    Attributes:
        weight: (O, I, h, w) int8.
        bias: (O,) int64 in the range of int32; holds what ``zero`` of the input adds to each sum.
        window: where it reads.
        groups: of channels.
        pool: rows and columns of sums of which the largest is taken.
        pad: the activation that stands for 0 around the input.
        output: how sums become activations.
    """

    weight: Tensor
    bias: Tensor
    window: Window
    groups: int
    pool: Pair
    pad: int
    output: Output

    def run(self, *inputs: Tensor) -> Tensor:
        """Sum in float64, which is exact for whole numbers below 2**53; these are below 2**31."""
        (rows, columns), window = self.window.padding, self.window
        padded = F.pad(inputs[0].double(), (columns, columns, rows, rows), value=self.pad)
        sums = F.conv2d(
            padded, self.weight.double(), self.bias.double(), window.stride,
            dilation=window.dilation, groups=self.groups,
        )  # fmt: skip
        return self.output.of(F.max_pool2d(sums, self.pool).long())


@dataclass(frozen=True)
class Dense(Layer):
    """A linear layer.

    Attributes:
        weight: (O, I) int8.
        bias: (O,) int64 in the range of int32.
        output: how sums become activations.
    """

    weight: Tensor
    bias: Tensor
    output: Output

    def run(self, *inputs: Tensor) -> Tensor:
        """Return (N, O, 1, 1)."""
        return self.output.of(self.sums(inputs[0]))[:, :, None, None]

    def sums(self, activations: Tensor) -> Tensor:
        """Return (N, O) int64."""
        return F.linear(
            activations.flatten(1).double(), self.weight.double(), self.bias.double()
        ).long()


@dataclass(frozen=True)
class Scores(Dense):
    """The last linear layer: its sums become int32 scores, logits times a power of 2."""

    def run(self, *inputs: Tensor) -> Tensor:
        """Return (N, K) int32."""
        sums = self.sums(inputs[0])
        return rescale(sums * self.output.multiplier, self.output.shift).to(torch.int32)


@dataclass(frozen=True)
class Maximum(Layer):
    """The largest activation of each window."""

    window: Window

    def run(self, *inputs: Tensor) -> Tensor:
        """Pool; activations keep their scale."""
        window = self.window
        pooled = F.max_pool2d(
            inputs[0].float(), window.size, window.stride, window.padding, window.dilation
        )
        return pooled.to(torch.int8)


@dataclass(frozen=True)
class Average(Layer):
    """The sum of each window, scaled; ``bias`` and ``pad`` as in a convolution."""

    window: Window
    bias: int
    pad: int
    output: Output

    def run(self, *inputs: Tensor) -> Tensor:
        """Sum and scale."""
        (rows, columns), window = self.window.padding, self.window
        padded = F.pad(inputs[0].double(), (columns, columns, rows, rows), value=self.pad)
        sums = F.avg_pool2d(padded, window.size, window.stride, divisor_override=1)
        return self.output.of(sums.long() + self.bias)


@dataclass(frozen=True)
class Addition(Layer):
    """The sum of two layers, each with a multiplier of its own and one shift for both.

    Attributes:
        zeros: the activations that stand for 0 in the two inputs.
        multipliers: of the two inputs.
        shift: of their sum.
        zero: the activation of the output that stands for 0.
        low: its smallest activation.
    """

    zeros: Pair
    multipliers: Pair
    shift: int
    zero: int
    low: int

    def run(self, *inputs: Tensor) -> Tensor:
        """Add and scale."""
        parts = zip(inputs, self.zeros, self.multipliers, strict=True)
        product = sum(((each.long() - zero) * factor for each, zero, factor in parts), torch.tensor(0))
        return (rescale(product, self.shift) + self.zero).clamp(self.low, HIGHEST).to(torch.int8)


@dataclass(frozen=True)
class IntegerNetwork:
    """A network that takes uint8 pixels and returns int32 scores, with whole numbers in between.

    Attributes:
        layers: in the order in which they run; the first takes the image, the last returns scores.
        score_bits: a score is a logit times 2 to this power.
    """

    layers: tuple[Layer, ...]
    score_bits: int

    def scores(self, images: Tensor) -> Tensor:
        """Return (N, K) int32 for images (N, C, H, W) uint8."""
        with torch.no_grad():
            return torch.cat([self._scores(part) for part in torch.split(images, BATCH)])

    def _scores(self, images: Tensor) -> Tensor:
        outputs: list[Tensor] = []
        for layer in self.layers:
            sources: Sequence[Tensor] = [outputs[place] for place in layer.inputs] or [images]
            shape = (len(images), *layer.source)
            outputs.append(layer.run(*(each.reshape(shape) for each in sources)))
        return outputs[-1]
