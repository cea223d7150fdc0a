"""Recording what layers are given, what they return, the gradients that come back, and parameters.

`capture` keeps detached copies on the CPU, within a budget in bytes. It stands on `observe`.
"""

import warnings
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Literal, Self, get_args

import numpy.typing as npt
import torch
from torch import Tensor, nn

from lenetscope.errors import DataError, LayerError, unknown
from lenetscope.observe import (
    Call,
    Layers,
    find_layers,
    hook_gradients,
    observe,
    on_gradient,
    require_one_of,
)

What = Literal["outputs", "inputs", "gradients"]
WhenFull = Literal["stop", "sample"]

DEFAULT_BUDGET = 256 * 2**20
"""Bytes that a recording keeps before it stops: 256 MiB."""


class Budget:
    """Bytes that may still be kept.

    Args:
        size: how many in all.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.used = 0
        self.exceeded = False

    def has_room(self, size: int) -> bool:
        """Tell whether so many bytes would fit."""
        return not self.exceeded and self.used + size <= self.size

    def admits(self, size: int) -> bool:
        """Count so many bytes if they fit; else stop for good, and warn once."""
        if self.has_room(size):
            self.used += size
            return True
        if not self.exceeded:
            warnings.warn(
                f"recording stopped: the next values would exceed the budget of "
                f"{self.size / 2**20:.0f} MiB. What was recorded until now is kept; remove the hooks "
                "when done, record fewer layers, or give a larger max_bytes.",
                stacklevel=3,
            )
        self.exceeded = True
        return False


def capture(
    model: nn.Module,
    layers: Layers = None,
    *,
    what: What = "outputs",
    max_bytes: int = DEFAULT_BUDGET,
    when_full: WhenFull = "stop",
) -> "Capture":
    """Record what layers are given or return, for the length of a ``with`` block.

    >>> model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    >>> with capture(model, "1") as seen:
    ...     _ = model(torch.zeros(5, 3))
    >>> seen["1"].shape
    torch.Size([5, 2])

    At the end of the block, however it ends, the model and the random streams are as they were, see
    `observe`; what was recorded stays.

    Args:
        model: any module, in any mode, on any device, also under autocast.
        layers: see `find_layers`; None for every layer that has no layers inside.
        what: ``"outputs"``, ``"inputs"`` (the first tensor that a layer is given), or ``"gradients"``
            (of whatever ``backward()`` is called on, with respect to a layer's outputs).
        max_bytes: of what is kept in all, as float32 or wider.
        when_full: ``"stop"``: when the next values would exceed ``max_bytes``, recording stops with a
            warning, and what complete passes gave is kept. ``"sample"``: every second row is dropped,
            then every fourth, and so on, the same rows of every layer, so that all of the data stays
            evenly represented.

    Raises:
        LayerError: if the model has no such layer.
        UsageError: if ``what`` or ``when_full`` is none of the above.
    """
    return Capture(model, layers, what=what, max_bytes=max_bytes, when_full=when_full)


class Capture(Mapping[str, Tensor]):
    """What `capture` records: a mapping from a layer's name (and call) to a tensor (N, …).

    It holds the layers that ran. Without a ``with`` block it records until `remove`.
    """

    def __init__(
        self,
        model: nn.Module,
        layers: Layers = None,
        *,
        what: What = "outputs",
        max_bytes: int = DEFAULT_BUDGET,
        when_full: WhenFull = "stop",
    ) -> None:
        require_one_of("what", what, get_args(What))
        require_one_of("when_full", when_full, get_args(WhenFull))
        self.what, self.when_full = what, when_full
        self.budget = Budget(max_bytes)
        self.stride = 1
        self._batches: dict[str, list[Tensor]] = {}
        self._passes: dict[str, int] = {}
        self._rows: dict[str, int] = {}
        self._handles: list[Any] = []
        # inputs before the layer runs, because it may work in place
        when: Literal["before", "after"] = "before" if what == "inputs" else "after"
        self._observer = observe(model, layers, self._record, when=when)
        self.layers = self._observer.layers

    def remove(self) -> None:
        """Remove every hook from the model; what was recorded stays."""
        self._observer.remove()
        while self._handles:
            self._handles.pop().remove()

    def __enter__(self) -> Self:
        self._observer.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()
        self._observer.__exit__(kind, error, trace)

    def __getitem__(self, name: str) -> Tensor:
        """Return what was recorded of a layer, all batches together, (N, …).

        Raises:
            LayerError: if the layer is not recorded, or its batches differ in more than N.
            DataError: if nothing has come through it.
        """
        if name in self._batches:
            return self._merged(name)
        if name not in self.names:
            raise LayerError(unknown("recorded layer", str(name), self.names))
        if self.what == "gradients":
            raise DataError(
                f"no gradient has come back to layer '{name}': run the model with gradients enabled, "
                "and call backward() before the recording ends."
            )
        raise DataError(f"nothing has gone through layer '{name}' since it was hooked.")

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
            batches[:] = [torch.cat(batches)]  # one copy is kept, not one per reader
        return batches[0]

    def _record(self, call: Call) -> None:
        if self.what == "inputs":
            tensors = [value for value in call.inputs if isinstance(value, Tensor)]
            if not tensors:
                raise LayerError(f"layer '{call.key}' is given no tensor; record a layer inside it.")
            self._keep(call.key, tensors[0])
        elif self.what == "outputs":
            self._keep(call.key, call.tensor)
        elif (values := call.tensor).requires_grad:
            self._handles.append(on_gradient(values, lambda gradient: self._keep(call.key, gradient)))

    def _keep(self, key: str, values: Tensor) -> None:
        """Keep the rows of one pass whose numbers the stride divides, if the budget lets them."""
        rows = values if values.ndim else values[None]
        start = self._rows.get(key, 0)
        self._rows[key] = start + len(rows)
        kept = self._every(rows, start)
        while (
            self.when_full == "sample"
            and not self.budget.has_room(bytes_of(kept))
            and self._drop_every_second_row(rows, start)
        ):
            kept = self._every(rows, start)
        if len(kept) and self.budget.admits(bytes_of(kept)):
            self._batches.setdefault(key, []).append(to_cpu(kept))
            self._passes[key] = self._passes.get(key, 0) + 1
        elif self.budget.exceeded:
            self._drop_unfinished_pass(self._passes.get(key, 0))

    def _every(self, rows: Tensor, start: int) -> Tensor:
        return rows[(-start) % self.stride :: self.stride]

    def _drop_every_second_row(self, rows: Tensor, start: int) -> bool:
        """Double the stride; return False when there is nothing left to drop."""
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


class ParameterRecord:
    """Record the parameters of layers at each forward pass, or their gradients at each backward.

    Args:
        model: any module.
        layers: see `find_layers`.
        gradients: record gradients in place of values.
        max_bytes: when the next values would exceed it, recording stops with a warning.

    Attributes:
        values: ``values[layer][parameter]`` is a list of arrays, one per pass.

    Raises:
        LayerError: if the model has no such layer.
    """

    def __init__(
        self,
        model: nn.Module,
        layers: Layers,
        *,
        gradients: bool = False,
        max_bytes: int = DEFAULT_BUDGET,
    ) -> None:
        self.budget = Budget(max_bytes)
        self.values: dict[str, dict[str, list[npt.NDArray[Any]]]] = {}
        self._handles: list[Any] = []
        for name, layer in find_layers(model, layers).items():
            rows = self.values[name] = {}
            for key, parameter in layer.named_parameters():
                if gradients and parameter.requires_grad:
                    rows[key] = []
                    self._handles += hook_gradients([parameter], self._keeper(rows[key]))
                elif not gradients:
                    rows[key] = []
        if not gradients:
            self._handles.append(observe(model, layers, self._record))

    def remove(self) -> None:
        """Remove every hook from the model; what was recorded stays."""
        while self._handles:
            self._handles.pop().remove()

    def _record(self, call: Call) -> None:
        for key, parameter in call.layer.named_parameters():
            self._keeper(self.values[call.name][key])(parameter)

    def _keeper(self, row: list[npt.NDArray[Any]]) -> Any:
        def keep(value: Tensor) -> None:
            if self.budget.admits(bytes_of(value)):
                row.append(to_cpu(value).numpy())

        return keep


def bytes_of(values: Tensor) -> int:
    """Return what a tensor takes as it is recorded: half precisions are widened to four bytes."""
    return values.numel() * max(values.element_size(), 4)


def to_cpu(values: Tensor) -> Tensor:
    """Copy to the CPU, away from what later steps overwrite; NumPy has no bfloat16."""
    detached = values.detach()
    if detached.dtype in (torch.bfloat16, torch.float16):
        detached = detached.float()
    return detached.to("cpu", copy=True, memory_format=torch.contiguous_format)
