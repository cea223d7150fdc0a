"""The recorders that an `Architecture` has on its model, and what they have recorded."""

from collections.abc import Iterable
from operator import attrgetter
from typing import Any

import numpy.typing as npt
from torch import nn

from lenetscope.errors import DataError, LayerError, unknown
from lenetscope.observe import Layers, observe
from lenetscope.recording import Capture, ParameterRecord

Array = npt.NDArray[Any]
Records = dict[str, dict[str, list[Array]]]


class Recorders:
    """Recorders of outputs, of gradients and of parameters, at most one of each kind.

    Attributes:
        handles: name of a layer, and of the kind for the last two, to what has hooks on it, an object
            with ``remove()``; empty without hooks.
        gradients, parameters: ``[layer][parameter]`` is a list of arrays.
    """

    def __init__(self) -> None:
        self.handles: dict[str, Any] = {}
        self.gradients: Records = {}
        self.parameters: Records = {}
        self._seen: Capture | dict[str, Any] = {}
        self._recorders: dict[str, Any] = {}

    def attach(self, model: nn.Module, layers: Layers, hook_fn: Any, max_bytes: int) -> None:
        """Record the outputs of layers, or call ``hook_fn`` with (layer, inputs, outputs)."""
        if hook_fn is None:
            hooks: Any = Capture(model, layers, max_bytes=max_bytes)
        else:
            hooks = observe(model, layers, lambda c: hook_fn(c.layer, c.inputs, c.outputs))
        self._replace("", hooks, hooks.layers)
        self._seen = hooks if hook_fn is None else dict.fromkeys(hooks.layers)

    @property
    def visualization(self) -> dict[str, Any]:
        """Recorded outputs by layer: arrays (N, …), None before a forward pass."""
        seen = self._seen
        if isinstance(seen, dict):
            return seen
        return {name: seen[name].numpy() if name in seen else None for name in seen.names}

    @visualization.setter
    def visualization(self, values: dict[str, Any]) -> None:
        self._seen = values

    def outputs_of(self, layers: str | Iterable[str], count: int) -> dict[str, Array]:
        """Return the recorded outputs of some layers for the first images."""
        names, seen = [layers] if isinstance(layers, str) else list(layers), self.visualization
        for name in names:
            if name not in seen:
                raise LayerError(f"{unknown('hooked layer', name, seen)} Call attach_hooks first.")
            if seen[name] is None:
                raise DataError(f"nothing has gone through layer '{name}' since it was hooked.")
        return {name: seen[name][:count] for name in names}

    def capture(self, what: str, model: nn.Module, layers: Layers, max_bytes: int) -> None:
        """Record the ``gradients`` or the ``parameters`` of layers."""
        record = ParameterRecord(model, layers, gradients=what == "gradients", max_bytes=max_bytes)
        self._replace(f".{what}", record, record.values)
        setattr(self, what, record.values)

    def remove(self) -> None:
        """Remove all hooks from the model; what they recorded stays."""
        while self.handles:
            self.handles.popitem()[1].remove()

    def _replace(self, kind: str, hooks: Any, layers: Iterable[str]) -> None:
        former, self._recorders[kind] = self._recorders.get(kind), hooks
        if former is not None:
            former.remove()
            self.handles = {key: each for key, each in self.handles.items() if each is not former}
        self.handles |= {f"{layer}{kind}": hooks for layer in layers}


def recorded(name: str, doc: str) -> Any:
    """Return a property that reads and assigns an attribute of the ``_recorders`` of its owner."""
    read = attrgetter(f"_recorders.{name}")
    return property(read, lambda owner, value: setattr(owner._recorders, name, value), doc=doc)
