"""The layers of a network in the order in which they run, with their shapes and parameters."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lenetscope.arguments import require_list, require_whole
from lenetscope.failures import explained
from lenetscope.observe import Call, observe
from lenetscope.restore import device_of
from lenetscope.table import Table, column


@dataclass(frozen=True)
class LayerRow:
    """One layer: name, kind, shape of its output for one input (without N), parameters."""

    name: str = column(heading="layer")
    kind: str = column()
    shape: tuple[int, ...] = column(heading="output")
    parameters: int = column(",d")


def summarize(model: nn.Module, input_shape: tuple[int, ...]) -> Table[LayerRow]:
    """Run one input of zeros through the model and list the layers that ran.

    Args:
        model: any module of one input.
        input_shape: of one input, without N.
    """
    given = require_list("input_shape must be a list of sizes", input_shape)
    sizes = [require_whole("a size of input_shape", size, 1) for size in given]
    rows: list[LayerRow] = []
    seen: set[nn.Module] = set()

    def see(call: Call) -> None:
        shape = tuple(call.outputs.shape[1:]) if isinstance(call.outputs, Tensor) else ()
        count = 0 if call.layer in seen else sum(p.numel() for p in call.layer.parameters())
        seen.add(call.layer)
        rows.append(LayerRow(call.name, type(call.layer).__name__, shape, count))

    with observe(model, None, see, mode="eval"), torch.no_grad(), explained(model):
        model(torch.zeros(1, *sizes, device=device_of(model)))
    return Table(rows)


def resizing_layers(rows: Sequence[LayerRow]) -> list[str]:
    """Return the layers that have parameters or change the size: not those of one number at a time."""
    before = [0, *(math.prod(row.shape) for row in rows)]
    return [
        row.name
        for row, size in zip(rows, before, strict=False)
        if row.parameters or math.prod(row.shape) != size
    ]
