"""What layers see and put out while a model runs, caught by hooks that cannot leak.

In: a model, and names or patterns of layers. Out: for each layer detached CPU copies of its outputs,
its inputs, or the gradients that come back to its outputs. A layer that runs several times in one
forward pass is indexed by call: ``relu``, ``relu:1``, ``relu:2``. A budget in bytes bounds it all.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lenetscope.errors import DataError, LayerError, UsageError, listed, unknown
from lenetscope.insight.budget import DEFAULT_BUDGET, Budget, bytes_of
from lenetscope.insight.hooks import Hooks, find_layers
from lenetscope.untouched import untouched

What = Literal["outputs", "inputs", "gradients"]
WhenFull = Literal["stop", "sample"]


def capture(
    model: nn.Module,
    layers: str | Iterable[str] | None = None,
    *,
    what: What = "outputs",
    max_bytes: int = DEFAULT_BUDGET,
    when_full: WhenFull = "stop",
) -> "Capture":
    """Record what layers see and put out, for the length of a ``with`` block.

    >>> model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    >>> with capture(model, "1") as seen:
    ...     _ = model(torch.zeros(5, 3))
    >>> seen["1"].shape
    torch.Size([5, 2])

    At the end of the block, however it ends, the hooks are gone, and modes, gradients of parameters
    and random streams are as they were at its beginning; what was recorded stays.

    Args:
        model: any module, in any mode, on any device, also under autocast.
        layers: exact names, or patterns with ``*``, ``?`` and ``[…]``; None for every layer that has
            no layers inside.
        what: ``"outputs"``, ``"inputs"`` (the first tensor that a layer is given), or ``"gradients"``
            (of whatever ``backward()`` is called on, with respect to a layer's outputs).
        max_bytes: of what is kept in all, as float32 or wider.
        when_full: ``"stop"``: when the next values would go past ``max_bytes``, recording stops with
            a warning; what complete passes gave is kept. ``"sample"``: every second row is let go,
            then every fourth, and so on, the same rows of every layer, so that all of the data stays
            evenly represented.

    Raises:
        LayerError: if the model has no such layer.
        UsageError: if ``what`` or ``when_full`` is none of the above.
    """
    return Capture(model, layers, what=what, max_bytes=max_bytes, when_full=when_full)


class Capture(Hooks, Mapping[str, Tensor]):
    """What `capture` records: a mapping from the name of a layer (and call) to a tensor (N, …).

    It holds the layers that ran. Without a ``with`` block it records until `remove`.
    """

    def __init__(
        self,
        model: nn.Module,
        layers: str | Iterable[str] | None = None,
        *,
        what: What = "outputs",
        max_bytes: int = DEFAULT_BUDGET,
        when_full: WhenFull = "stop",
    ) -> None:
        super().__init__()
        for given, allowed in ((what, What), (when_full, WhenFull)):
            if given not in allowed.__args__:  # type: ignore[attr-defined]
                raise UsageError(f"'{given}' is none of {listed(allowed.__args__)}.")  # type: ignore[attr-defined]
        self.layers = find_layers(model, layers)
        self.what, self.when_full = what, when_full
        self.budget = Budget(max_bytes)
        self.stride = 1
        self._model = model
        self._block = ExitStack()
        self._batches: dict[str, list[Tensor]] = {}
        self._passes: dict[str, int] = {}
        self._rows: dict[str, int] = {}
        self._calls: dict[str, int] = {}
        self._handles.append(model.register_forward_pre_hook(self._restart_count))
        for name, layer in self.layers.items():
            if what == "inputs":  # before the layer runs: it may work in place
                hook = layer.register_forward_pre_hook(self._on_inputs(name), with_kwargs=True)
            else:
                hook = layer.register_forward_hook(self._on_outputs(name))
            self._handles.append(hook)

    def __enter__(self) -> Self:
        self._block.enter_context(untouched(self._model))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()
        self._block.close()

    def __getitem__(self, name: str) -> Tensor:
        """Return what was recorded of a layer, all batches together, (N, …).

        Raises:
            LayerError: if the layer is not recorded, or its batches differ in more than N.
            DataError: if nothing has come through it.
        """
        if name not in self._batches:
            if name not in self.names:
                raise LayerError(unknown("recorded layer", str(name), self.names))
            if self.what == "gradients":
                raise DataError(
                    f"no gradient has come back to layer '{name}': run the model with gradients "
                    "enabled, and call backward() before the recording ends."
                )
            raise DataError(f"nothing has gone through layer '{name}' since it was hooked.")
        return self._merged(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._batches)

    def __len__(self) -> int:
        return len(self._batches)

    def __contains__(self, name: object) -> bool:
        return name in self._batches

    def __repr__(self) -> str:
        shapes = (f"{name} {tuple(self[name].shape)}" for name in self)
        return f"Capture({self.what}: {', '.join(shapes) or 'nothing yet'})"

    @property
    def names(self) -> list[str]:
        """The layers asked for, and the further calls of those that ran more than once."""
        return [*self.layers, *(name for name in self._batches if name not in self.layers)]

    def _merged(self, name: str) -> Tensor:
        batches = self._batches[name]
        if len({batch.shape[1:] for batch in batches}) > 1:
            shapes = sorted({tuple(batch.shape[1:]) for batch in batches})
            raise LayerError(f"{self.what} of '{name}' differ in shape between batches: {shapes}.")
        if len(batches) > 1:
            batches[:] = [torch.cat(batches)]  # one copy is kept, not one a reader
        return batches[0]

    def _restart_count(self, _model: nn.Module, _inputs: Any) -> None:
        self._calls.clear()

    def _key(self, name: str) -> str:
        call = self._calls.get(name, 0)
        self._calls[name] = call + 1
        return name if call == 0 else f"{name}:{call}"

    def _on_inputs(self, name: str) -> Any:
        def record(_layer: nn.Module, inputs: Any, named: dict[str, Any]) -> None:
            tensors = [v for v in (*inputs, *named.values()) if isinstance(v, Tensor)]
            if not tensors:
                raise LayerError(f"layer '{name}' is given no tensor; record a layer inside it.")
            self._keep(self._key(name), tensors[0])

        return record

    def _on_outputs(self, name: str) -> Any:
        def record(_layer: nn.Module, _inputs: Any, outputs: Any) -> None:
            key = self._key(name)
            values = outputs[0] if isinstance(outputs, (tuple, list)) and outputs else outputs
            if not isinstance(values, Tensor):
                raise LayerError(
                    f"layer '{name}' puts out {type(values).__name__}, not a tensor; record a layer "
                    "inside it."
                )
            if self.what == "outputs":
                self._keep(key, values)
            elif values.requires_grad:
                handle = values.register_hook(lambda gradient: self._keep(key, gradient))  # type: ignore[no-untyped-call]
                self._handles.append(handle)

        return record

    def _keep(self, key: str, values: Tensor) -> None:
        """Keep the rows of one pass whose numbers the stride divides, if the budget lets them."""
        rows = values if values.ndim else values[None]
        start = self._rows.get(key, 0)
        self._rows[key] = start + len(rows)
        kept = self._every(rows, start)
        while (
            self.when_full == "sample"
            and not self.budget.has_room(bytes_of(kept))
            and self._let_half_go(rows, start)
        ):
            kept = self._every(rows, start)
        if len(kept) and self.budget.admits(bytes_of(kept)):
            self._batches.setdefault(key, []).append(to_cpu(kept))
            self._passes[key] = self._passes.get(key, 0) + 1
        elif self.budget.exceeded:
            self._drop_unfinished_pass(self._passes.get(key, 0))

    def _every(self, rows: Tensor, start: int) -> Tensor:
        return rows[(-start) % self.stride :: self.stride]

    def _let_half_go(self, rows: Tensor, start: int) -> bool:
        """Double the stride; return False when there is nothing left to let go."""
        if self.stride > start + len(rows):
            return False
        self.stride *= 2
        for name, batches in self._batches.items():
            # a clone, because a view would hold on to all the rows
            batches[:] = [self._merged(name)[::2].clone()]
        self.budget.used = sum(bytes_of(b) for batches in self._batches.values() for b in batches)
        return True

    def _drop_unfinished_pass(self, complete: int) -> None:
        """Let every layer keep as many passes as the one that found no room."""
        for key, batches in list(self._batches.items()):
            if self._passes[key] > complete:
                batches.pop()
                self._passes[key] -= 1
            if not batches:
                del self._batches[key]


def to_cpu(values: Tensor) -> Tensor:
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
