"""The steps that a network is traced to."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, fx

Pair = tuple[int, int]
Shape = tuple[int, int, int]
Pointwise = Callable[[Tensor], Tensor]
Kind = Literal["image", "conv", "linear", "max", "average", "add", "pointwise"]


@dataclass(frozen=True)
class Window:
    """Where a convolution or pooling reads: (height, width) each."""

    size: Pair
    stride: Pair
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)


@dataclass
class Step:
    """What is computed from the outputs of earlier steps.

    Attributes:
        name: of the layer, as in the model.
        kind: of operation.
        inputs: places of the steps whose outputs it takes.
        node: of the graph, whose output is that of the step.
        source: (C, H, W) of its input; (F, 1, 1) where that is a vector.
        shape: (C, H, W) of its output.
        weight: (O, I, h, w) or (O, I) float64, for ``conv`` and ``linear``.
        bias: (O,) float64.
        window: size, stride, padding and dilation of a convolution or pooling.
        groups: of a convolution.
        pool: height and width of the max pooling that follows a convolution; its stride is as large.
        relu: whether negative results become 0.
        divisor: of an average.
        function: of ``pointwise``.
    """

    name: str
    kind: Kind
    inputs: tuple[int, ...]
    node: fx.Node
    source: Shape
    shape: Shape
    weight: Tensor = field(default_factory=lambda: torch.zeros(0))
    bias: Tensor = field(default_factory=lambda: torch.zeros(0))
    window: Window | None = None
    groups: int = 1
    pool: Pair = (1, 1)
    relu: bool = False
    divisor: int = 1
    function: Pointwise = torch.clone
