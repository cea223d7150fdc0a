"""Recording what layers are given, what they return, the gradients that come back, and parameters.

`capture` keeps detached copies on the CPU, within a budget in bytes. It is built on `observe`.
"""

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import numpy.typing as npt
import torch
from torch import Tensor, nn

from lenetscope.arguments import require_callable, require_number, require_whole
from lenetscope.errors import DataError, LayerError, unknown
from lenetscope.observe import (
    Call,
    Layers,
    find_layers,
    listed_layers,
    observe,
    on_gradient,
    require_one_of,
)
from lenetscope.table import ShowsFacts

if TYPE_CHECKING:
    from lenetscope.architecture import Architecture

Array = npt.NDArray[Any]
Records = dict[str, dict[str, list[Array]]]
What = Literal["outputs", "inputs", "gradients"]
WhenFull = Literal["stop", "sample"]

DEFAULT_BUDGET = 256 * 2**20
"""Bytes that a recording keeps before it stops: 256 MiB."""


class Recorder(ShowsFacts):
    """Hooks on a model, and the bytes that what they record may take.

    Args:
        max_bytes: how many in all.

    Attributes:
        used: how many are used.
        exceeded: whether recording has stopped for want of room.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = require_number("max_bytes", max_bytes, above=0)
        self.used, self.exceeded = 0, False
        self._handles: list[Any] = []

    def remove(self) -> None:
        """Remove every hook from the model; what was recorded stays."""
        while self._handles:
            self._handles.pop().remove()

    def _has_room(self, size: int) -> bool:
        return not self.exceeded and self.used + size <= self.max_bytes

    def _admits(self, size: int) -> bool:
        """Count so many bytes if there is room for them; else stop for good, and warn once."""
        if self._has_room(size):
            self.used += size
            return True
        if not self.exceeded:
            warnings.warn(
                f"recording stopped: the next values would exceed the budget of "
                f"{self.max_bytes / 2**20:.0f} MiB. What was recorded until now is kept; remove the "
                "hooks when done, record fewer layers, or give a larger max_bytes.",
                stacklevel=3,
            )
        self.exceeded = True
        return False


class Capture(Recorder, Mapping[str, Tensor]):
    """Record what layers are given or return, for the length of a ``with`` block.

    >>> model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    >>> with capture(model, "1") as seen:
    ...     _ = model(torch.zeros(5, 3))
    >>> seen["1"].shape
    torch.Size([5, 2])

    It is a mapping from the names (and calls) of the layers that ran to tensors (N, …). At the end of
    the block, however it ends, the model and the random streams are as they were, see `observe`; what
    was recorded stays. Without a block it records until `remove`.

    Args:
        model: any module, in any mode, on any device, also under autocast.
        layers: see `find_layers`; None for every layer that has no layers inside.
        what: ``"outputs"``, ``"inputs"`` (the first tensor that a layer is given), or ``"gradients"``
            (of whatever ``backward()`` is called on, with respect to a layer's outputs).
        max_bytes: of what is kept in all, as float32 or wider.
        when_full: ``"stop"``: when the next values would exceed ``max_bytes``, recording stops with a
            warning, and what was recorded in complete passes is kept. ``"sample"``: every second row
            is dropped, then every fourth, and so on, the same rows of every layer, so that all of the
            data stays evenly represented.

    Attributes:
        stride: every ``stride``-th row is kept; 1 until ``"sample"`` drops any.

    Raises:
        LayerError: if the model has no such layer.
        UsageError: if ``what`` or ``when_full`` is none of the above.
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
        super().__init__(max_bytes)
        self.what, self.when_full, self.stride = what, when_full, 1
        self._batches: dict[str, list[Tensor]] = {}
        self._passes: Counter[str] = Counter()
        self._rows: Counter[str] = Counter()
        # inputs before the layer runs, because it may work in place
        self._observer = observe(
            model, layers, self._record, when="before" if what == "inputs" else "after"
        )
        self._handles.append(self._observer)
        self.layers = self._observer.layers

    def __enter__(self) -> Self:
        self._observer.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        self.remove()
        self._observer.__exit__(*raised)

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

    def facts(self) -> dict[str, str]:
        """Return the shape of what was recorded of each layer."""
        return {
            name: f"{self.what} {tuple(self[name].shape)}" if name in self else f"no {self.what} yet"
            for name in self.names
        }

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
        """Keep those rows of a pass whose numbers the stride divides, if the budget has room."""
        rows = values if values.ndim else values[None]
        start = self._rows[key]
        self._rows[key] = end = start + len(rows)
        kept = rows[-start % self.stride :: self.stride]
        while self.when_full == "sample" and self.stride <= end:
            if self._has_room(bytes_of(kept)):
                break
            self._drop_every_second_row()
            kept = rows[-start % self.stride :: self.stride]
        if len(kept) and self._admits(bytes_of(kept)):
            self._batches.setdefault(key, []).append(to_cpu(kept))
            self._passes[key] += 1
        elif self.exceeded:
            self._drop_unfinished_pass(self._passes[key])

    def _drop_every_second_row(self) -> None:
        self.stride *= 2
        for name, batches in self._batches.items():
            # a clone, because a view would hold on to all the rows
            batches[:] = [self._merged(name)[::2].clone()]
        self.used = sum(bytes_of(b) for batches in self._batches.values() for b in batches)

    def _drop_unfinished_pass(self, complete: int) -> None:
        """Let every layer keep as many passes as the one that found no room."""
        for key, batches in list(self._batches.items()):
            if self._passes[key] > complete:
                batches.pop()
                self._passes[key] -= 1
            if not batches:
                del self._batches[key]


capture = Capture
"""`Capture` under a name that reads well in a ``with`` statement."""


class ParameterRecord(Recorder):
    """Record the parameters of layers at each forward pass, or their gradients at each backward pass.

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
        self, model: nn.Module, layers: Layers, *, gradients: bool, max_bytes: int = DEFAULT_BUDGET
    ) -> None:
        super().__init__(max_bytes)
        self.values: Records = {}
        for name, layer in find_layers(model, layers).items():
            chosen = [(k, p) for k, p in layer.named_parameters() if p.requires_grad or not gradients]
            self.values[name] = {key: [] for key, _ in chosen}
            for key, parameter in chosen if gradients else ():
                keep = partial(self._keep, self.values[name][key])
                self._handles.append(on_gradient(parameter, keep))
        if not gradients:
            self._handles.append(observe(model, layers, self._record))

    def facts(self) -> dict[str, str]:
        """Return how often each parameter was recorded, and its shape."""
        return {
            f"{layer}.{key}": f"{len(kept)} times {kept[0].shape}" if kept else "nothing yet"
            for layer, parameters in self.values.items()
            for key, kept in parameters.items()
        }

    def _record(self, call: Call) -> None:
        for key, parameter in call.layer.named_parameters():
            self._keep(self.values[call.name][key], parameter)

    def _keep(self, row: list[Array], value: Tensor) -> None:
        if self._admits(bytes_of(value)):
            row.append(to_cpu(value).numpy())


# The methods of `Architecture` that record layers of its model.


def attach_hooks(
    self: "Architecture",
    layers_to_hook: Layers,
    hook_fn: Any = None,
    *,
    max_bytes: int = DEFAULT_BUDGET,
) -> None:
    """Record outputs of layers, see `find_layers`, in place of those hooked before.

    Or call ``hook_fn`` with (layer, inputs, outputs). `Capture` says what ``max_bytes`` does.
    """
    if hook_fn is None:
        hooks: Any = Capture(self.model, layers_to_hook, max_bytes=max_bytes)
    else:
        require_callable("hook_fn", hook_fn, "(layer, inputs, outputs)")
        hooks = observe(self.model, layers_to_hook, lambda c: hook_fn(c.layer, c.inputs, c.outputs))
    _replace(self, "", hooks, hooks.layers)
    self.visualization = hooks if hook_fn is None else dict.fromkeys(hooks.layers)


def capture_gradients(
    self: "Architecture", layers_to_hook: Layers, *, max_bytes: int = DEFAULT_BUDGET
) -> None:
    """Record the gradients of layers' parameters at each backward pass, in `gradients`."""
    record = ParameterRecord(self.model, layers_to_hook, gradients=True, max_bytes=max_bytes)
    _replace(self, ".gradients", record, record.values)
    self._gradients = record.values


def capture_parameters(
    self: "Architecture", layers_to_hook: Layers, *, max_bytes: int = DEFAULT_BUDGET
) -> None:
    """Record the parameters of layers at each forward pass, in `parameters`."""
    record = ParameterRecord(self.model, layers_to_hook, gradients=False, max_bytes=max_bytes)
    _replace(self, ".parameters", record, record.values)
    self._parameters = record.values


def remove_hooks(self: "Architecture") -> None:
    """Remove all hooks from the model; what they recorded stays."""
    while self.handles:
        self.handles.popitem()[1].remove()


def visualization(self: "Architecture") -> dict[str, Any]:
    """Outputs of hooked layers: arrays (N, …), None before a forward pass."""
    if not isinstance(seen := self._seen, Capture):
        return seen  # type: ignore[no-any-return]  # a method of the user's own may change it
    return {name: seen[name].numpy() if name in seen else None for name in seen.names}


def set_visualization(self: "Architecture", values: Any) -> None:
    """Keep what a method of the user's own recorded."""
    self._seen = values


def outputs_of(self: "Architecture", layers: str | Iterable[str], count: int) -> dict[str, Array]:
    """Return the recorded outputs of some layers for the first images.

    Raises:
        LayerError: if a layer is not hooked.
        DataError: if nothing has gone through it.
    """
    names, seen, count = listed_layers(layers), self.visualization, require_whole("n_images", count, 1)
    for name in names:
        if name not in seen:
            raise LayerError(f"{unknown('hooked layer', name, seen)} Call attach_hooks first.")
        if seen[name] is None:
            raise DataError(f"nothing has gone through layer '{name}' since it was hooked.")
    return {name: seen[name][:count] for name in names}


def _replace(self: "Architecture", kind: str, hooks: Any, layers: Iterable[str]) -> None:
    """Put the handles of new hooks in the place of those of the same kind."""
    former, self._recorders[kind] = self._recorders.get(kind), hooks
    if former is not None:
        former.remove()
        self.handles = {key: each for key, each in self.handles.items() if each is not former}
    self.handles |= {f"{layer}{kind}": hooks for layer in layers}


def bytes_of(values: Tensor) -> int:
    """Return what a tensor takes as it is recorded: half precisions are widened to four bytes."""
    return values.numel() * max(values.element_size(), 4)


def to_cpu(values: Tensor) -> Tensor:
    """Copy to the CPU, away from what later steps overwrite; NumPy has no bfloat16."""
    detached = values.detach()
    if detached.dtype in (torch.bfloat16, torch.float16):
        detached = detached.float()
    return detached.to("cpu", copy=True, memory_format=torch.contiguous_format)
