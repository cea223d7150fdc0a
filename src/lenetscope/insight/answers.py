"""Which numbers are a layer's answers: those that its activation lets through.

In: a model while it runs. Out: for each layer that learns, the tensor by which its units are judged.
Tensors are followed: from what the layer puts out, through functions that keep its units apart
(pooling, dropout, normalisation), to the first activation, whether it is ``nn.ReLU``, ``F.relu`` or
``x.relu()``, and whether it stands before or after the pooling. Where none comes (an output layer, a
sum of two branches, a flattening), the layer's own outputs are its answers.
"""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, NamedTuple, Self

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lenetscope.insight.stream import values_of

KEEPS_UNITS = frozenset(
    f"{kind}{dimension}d"
    for dimension in (1, 2, 3)
    for kind in ("max_pool", "avg_pool", "adaptive_max_pool", "adaptive_avg_pool", "lp_pool")
) | {
    "alpha_dropout", "batch_norm", "contiguous", "dropout", "dropout1d", "dropout2d", "dropout3d",
    "feature_alpha_dropout", "group_norm", "instance_norm", "layer_norm",
}  # fmt: skip
"""Functions whose outputs have the units of their first argument, in the same order."""

ACTIVATIONS = frozenset(
    {
        "celu", "clamp", "clamp_min", "elu", "gelu", "hardsigmoid", "hardswish", "hardtanh",
        "leaky_relu", "logsigmoid", "mish", "prelu", "relu", "relu6", "rrelu", "selu",
        "sigmoid", "silu", "softplus", "softsign", "tanh", "threshold",
    }
)  # fmt: skip
"""Functions, of one number at a time, whose outputs are a layer's answers."""

UNITS_LAST = (nn.Linear, nn.Bilinear, nn.LayerNorm, nn.Embedding, nn.MultiheadAttention)
"""Layers whose units are the last dimension; of all others they are the one after N."""

Answer = Callable[[str, str, Tensor], None]
"""Of (name of the layer, what it is judged by, answers (n, units, places))."""


class _Head(NamedTuple):
    """A tensor that still carries the units of some layers."""

    values: Tensor  # held, so that no other tensor gets its id
    layers: tuple[str, ...]


class Answers(TorchFunctionMode):
    """Hand on the answers of the layers that learn, in each forward pass inside a ``with`` block.

    Args:
        model: in the mode in which it is to be judged.
        layers: layers by name.
        tell: is called with each layer's answers, at once, before a later layer may overwrite them; for
            a layer that runs several times once a call.
        alone: names of the layers that are judged by their own outputs, as a first pass found them;
            None for that first pass, which tells what follows an activation and nothing else.
    """

    def __init__(
        self,
        model: nn.Module,
        layers: dict[str, nn.Module],
        tell: Answer,
        alone: Iterable[str] | None = (),
    ) -> None:
        super().__init__()
        self._model, self._layers, self._tell = model, layers, tell
        self._alone = frozenset(alone or ())
        self._heads: dict[int, _Head] = {}
        self._judged: set[tuple[str, int]] = set()
        self._block = ExitStack()

    def __enter__(self) -> Self:
        self._block.callback(self._model.register_forward_pre_hook(self._begin).remove)
        for name, layer in self._layers.items():
            self._block.callback(layer.register_forward_hook(self._hook(name)).remove)
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)  # type: ignore[no-untyped-call]
        self._block.close()
        self._heads.clear()

    def _begin(self, _model: nn.Module, _inputs: Any) -> None:
        self._heads.clear()
        self._judged.clear()

    def _hook(self, name: str) -> Any:
        def follow(_layer: nn.Module, _inputs: Any, outputs: Any) -> None:
            values = values_of(name, outputs)
            if name in self._alone:
                self._hand_on(name, name, values)
            self._add(values, (name,))

        return follow

    def _add(self, values: Tensor, layers: tuple[str, ...]) -> None:
        known = self._heads.get(id(values))
        before = known.layers if known else ()
        self._heads[id(values)] = _Head(values, tuple(dict.fromkeys((*before, *layers))))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do what was asked for, and look whether it goes on with the units of a layer."""
        outputs = func(*args, **(kwargs or {}))
        given = args[0] if args else (kwargs or {}).get("input")
        head = self._heads.get(id(given))
        values = outputs[0] if isinstance(outputs, tuple) and outputs else outputs
        if head is None or not isinstance(values, Tensor):
            return outputs
        name = getattr(func, "__name__", "").strip("_").removesuffix("_with_indices")
        if name in KEEPS_UNITS:
            self._add(values, head.layers)
        elif name in ACTIVATIONS:
            for layer in head.layers:
                if (layer, id(given)) not in self._judged and layer not in self._alone:
                    self._judged.add((layer, id(given)))
                    self._hand_on(layer, name, values)
            if values is given:  # in place: what comes later comes after the activation
                del self._heads[id(given)]
        return outputs

    def _hand_on(self, layer: str, by: str, values: Tensor) -> None:
        self._tell(layer, by, by_unit(self._layers[layer], values))


def by_unit(layer: nn.Module, values: Tensor) -> Tensor:
    """Return what a layer, or its activation, put out as (n, units, places)."""
    if values.ndim < 2:
        return values.reshape(len(values), 1, 1) if values.ndim else values.reshape(1, 1, 1)
    dimension = values.ndim - 1 if isinstance(layer, UNITS_LAST) else 1
    moved = values.movedim(dimension, 1)
    return moved.reshape(len(values), moved.shape[1], -1)
