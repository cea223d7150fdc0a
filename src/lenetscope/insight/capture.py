"""What layers put out while a model runs, caught by hooks that cannot leak.

In: a model and the exact names of layers. Out: for each layer, detached CPU copies of its outputs. A
layer that runs several times in one forward pass is indexed by call: ``relu``, ``relu:1``, ``relu:2``.
A budget in bytes bounds what is kept.
"""

import warnings
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from lenetscope.errors import DataError, LayerError, unknown

DEFAULT_BUDGET = 256 * 2**20
"""Bytes that a `Capture` keeps before it stops: 256 MiB."""


def find_layers(model: nn.Module, names: str | Iterable[str]) -> dict[str, nn.Module]:
    """Return the layers of exactly these names; an alias of a shared layer counts as a name.

    Raises:
        LayerError: if the model has no layer of one of the names; the nearest is suggested.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    modules.pop("", None)
    wanted = [names] if isinstance(names, str) else list(names)
    for name in wanted:
        if name not in modules:
            raise LayerError(unknown("layer", str(name), modules))
    return {name: modules[name] for name in wanted}


class _Budget:
    """Bytes that may still be kept; says so once when they are gone."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.used = 0
        self.exceeded = False

    def admits(self, size: int) -> bool:
        if self.exceeded or self.used + size > self.size:
            if not self.exceeded:
                warnings.warn(
                    f"recording stopped: the next values would go past the budget of "
                    f"{self.size / 2**20:.0f} MiB. What was recorded until now is kept; call "
                    "remove_hooks() when done, or give a larger max_bytes.",
                    stacklevel=3,
                )
            self.exceeded = True
            return False
        self.used += size
        return True


class _Hooks:
    """Handles of hooks, removed by `remove` or at the end of a ``with`` block."""

    def __init__(self) -> None:
        self._handles: list[RemovableHandle] = []

    def remove(self) -> None:
        """Take every hook off the model; what was recorded stays."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()


class CustomHooks(_Hooks):
    """Call a function of one's own at each forward pass of some layers.

    Args:
        model: any module.
        layers: exact names.
        hook_fn: of (layer, inputs, outputs), as `torch.nn.Module.register_forward_hook` takes it.

    Raises:
        LayerError: if the model has no such layer.
    """

    def __init__(self, model: nn.Module, layers: str | Iterable[str], hook_fn: Any) -> None:
        super().__init__()
        for layer in find_layers(model, layers).values():
            self._handles.append(layer.register_forward_hook(hook_fn))


class Capture(_Hooks):
    """Record the outputs of layers over all forward passes until `remove` or the end of ``with``.

    >>> model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    >>> with Capture(model, ["1"]) as seen:
    ...     _ = model(torch.zeros(5, 3))
    >>> seen.outputs("1").shape
    (5, 2)

    Args:
        model: any module.
        layers: exact names, as `torch.nn.Module.named_modules` gives them.
        max_bytes: when the next values would go past it, recording stops with a warning.

    Raises:
        LayerError: if the model has no such layer.
    """

    def __init__(
        self, model: nn.Module, layers: str | Iterable[str], max_bytes: int = DEFAULT_BUDGET
    ) -> None:
        super().__init__()
        found = find_layers(model, layers)
        self.budget = _Budget(max_bytes)
        self._batches: dict[str, list[Tensor]] = {name: [] for name in found}
        self._calls: dict[str, int] = {}
        self._merged: dict[str, npt.NDArray[Any]] = {}
        self._handles.append(model.register_forward_pre_hook(self._restart_count))
        for name, layer in found.items():
            self._handles.append(layer.register_forward_hook(self._recorder(name)))

    @property
    def names(self) -> list[str]:
        """The layers asked for, and the further calls of those that ran more than once."""
        return list(self._batches)

    def outputs(self, name: str) -> npt.NDArray[Any] | None:
        """Return what a layer put out, all batches together, (N, …); None before the first.

        Raises:
            LayerError: if the layer is not recorded, or its batches differ in more than N.
        """
        if name not in self._batches:
            raise LayerError(unknown("recorded layer", name, self._batches))
        batches = self._batches[name]
        if not batches:
            return None
        if name not in self._merged or len(batches) > 1:
            if len({batch.shape[1:] for batch in batches}) > 1:
                shapes = sorted({tuple(batch.shape[1:]) for batch in batches})
                raise LayerError(f"outputs of '{name}' differ in shape between batches: {shapes}.")
            batches[:] = [torch.cat(batches)]  # one copy is kept, not one a reader
            self._merged[name] = batches[0].numpy()
        return self._merged[name]

    def _restart_count(self, _model: nn.Module, _inputs: Any) -> None:
        self._calls.clear()

    def _recorder(self, name: str) -> Any:
        def record(_layer: nn.Module, _inputs: Any, outputs: Any) -> None:
            call = self._calls.get(name, 0)
            self._calls[name] = call + 1
            key = name if call == 0 else f"{name}:{call}"
            values = outputs[0] if isinstance(outputs, (tuple, list)) else outputs
            if not isinstance(values, Tensor):
                raise LayerError(
                    f"layer '{name}' puts out {type(values).__name__}, not a tensor; record a layer "
                    "inside it."
                )
            if self.budget.admits(values.numel() * max(values.element_size(), 4)):
                self._batches.setdefault(key, []).append(_to_cpu(values))

        return record


class ParameterRecord(_Hooks):
    """Record the parameters of layers at each forward pass, or their gradients at each backward.

    Args:
        model: any module.
        layers: exact names.
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
        self.budget = _Budget(max_bytes)
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
        if self.budget.admits(value.numel() * max(value.element_size(), 4)):
            row.append(_to_cpu(value).numpy())

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


def _to_cpu(values: Tensor) -> Tensor:
    """Copy to the CPU, away from what later steps overwrite; NumPy knows no bfloat16."""
    detached = values.detach()
    if detached.dtype in (torch.bfloat16, torch.float16):
        detached = detached.float()
    return detached.to("cpu", copy=True, memory_format=torch.contiguous_format)


def recorded(values: Mapping[str, Any], name: str) -> npt.NDArray[Any]:
    """Return what was recorded of a layer.

    Raises:
        LayerError: if the layer was not hooked.
        DataError: if nothing has gone through it.
    """
    if name not in values:
        if not values:
            raise LayerError("no layer is hooked: call attach_hooks first.")
        raise LayerError(unknown("hooked layer", name, values))
    if values[name] is None:
        raise DataError(f"nothing has gone through layer '{name}' since it was hooked.")
    return np.asarray(values[name])
