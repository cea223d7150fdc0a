"""The layers of a network, in the order in which they run.

In: a model and the shape of one input. Out: a row for each layer that runs: what it is, what it puts
out, how many parameters it learns.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lenetscope.tables import Table, column
from lenetscope.untouched import device_of, eval_mode


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
        model: its modes and weights are as before when this returns or raises.
        input_shape: of one input, without N.
    """
    rows: list[LayerRow] = []
    seen: set[nn.Module] = set()
    handles = []

    def recorder(name: str) -> Any:
        def record(layer: nn.Module, _inputs: Any, outputs: Any) -> None:
            shape = tuple(outputs.shape[1:]) if isinstance(outputs, Tensor) else ()
            learns = 0 if layer in seen else sum(p.numel() for p in layer.parameters())
            seen.add(layer)
            rows.append(LayerRow(name, type(layer).__name__, shape, learns))

        return record

    try:
        for name, layer in model.named_modules():
            if not list(layer.children()) and name:
                handles.append(layer.register_forward_hook(recorder(name)))
        with eval_mode(model), torch.no_grad():
            model(torch.zeros(1, *input_shape, device=device_of(model)))
    finally:
        for handle in handles:
            handle.remove()
    return Table(rows)


def telling_layers(rows: Sequence[LayerRow]) -> list[str]:
    """Return the layers that learn or change the size: not those that work number by number."""
    before = [0, *(math.prod(row.shape) for row in rows)]
    return [
        row.name
        for row, size in zip(rows, before, strict=False)
        if row.parameters or math.prod(row.shape) != size
    ]
