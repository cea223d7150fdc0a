"""What layers' parameters and their gradients are while a model trains.

In: a model and names of layers. Out: arrays, one a pass, within a budget of bytes.
"""

from collections.abc import Iterable
from typing import Any

import numpy.typing as npt
from torch import Tensor, nn

from lenetscope.insight.budget import DEFAULT_BUDGET, Budget, bytes_of
from lenetscope.insight.capture import to_cpu
from lenetscope.insight.hooks import Hooks, find_layers


class ParameterRecord(Hooks):
    """Record the parameters of layers at each forward pass, or their gradients at each backward.

    Args:
        model: any module.
        layers: names or patterns, see `find_layers`.
        gradients: record gradients in place of values.
        max_bytes: when the next values would go past it, recording stops with a warning.

    Attributes:
        values: ``values[layer][parameter]`` is a list of arrays, one a pass.

    Raises:
        LayerError: if the model has no such layer.
    """

    def __init__(
        self,
        model: nn.Module,
        layers: str | Iterable[str],
        *,
        gradients: bool = False,
        max_bytes: int = DEFAULT_BUDGET,
    ) -> None:
        super().__init__()
        found = find_layers(model, layers)
        self.budget = Budget(max_bytes)
        self.values: dict[str, dict[str, list[npt.NDArray[Any]]]] = {}
        for name, layer in found.items():
            parameters = dict(layer.named_parameters())
            if gradients:
                parameters = {key: p for key, p in parameters.items() if p.requires_grad}
            rows = self.values[name] = {key: [] for key in parameters}
            if not gradients:
                self._handles.append(layer.register_forward_hook(self._parameters(parameters, rows)))
                continue
            for key, parameter in parameters.items():
                self._handles.append(parameter.register_hook(self._gradient(rows[key])))  # type: ignore[no-untyped-call]

    def _keep(self, row: list[npt.NDArray[Any]], value: Tensor) -> None:
        if self.budget.admits(bytes_of(value)):
            row.append(to_cpu(value).numpy())

    def _parameters(
        self, parameters: dict[str, nn.Parameter], rows: dict[str, list[npt.NDArray[Any]]]
    ) -> Any:
        def record(_layer: nn.Module, _inputs: Any, _outputs: Any) -> None:
            for key, parameter in parameters.items():
                self._keep(rows[key], parameter)

        return record

    def _gradient(self, row: list[npt.NDArray[Any]]) -> Any:
        def record(gradient: Tensor) -> None:
            self._keep(row, gradient)

        return record
