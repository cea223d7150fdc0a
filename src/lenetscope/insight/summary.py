"""The layers of a network, in the order in which they run.

In: a model and the shape of one input. Out: a row for each layer that runs: what it is, what it puts
out, how many parameters it learns.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lenetscope.models import eval_mode


@dataclass(frozen=True)
class LayerRow:
    """One layer: name, kind, shape of its output for one input (without N), parameters."""

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int


def summarize(model: nn.Module, input_shape: tuple[int, ...]) -> list[LayerRow]:
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

    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    try:
        for name, layer in model.named_modules():
            if not list(layer.children()) and name:
                handles.append(layer.register_forward_hook(recorder(name)))
        with eval_mode(model), torch.no_grad():
            model(torch.zeros(1, *input_shape, device=device))
    finally:
        for handle in handles:
            handle.remove()
    return rows
