"""A trained network as a list of steps that arithmetic with whole numbers can follow.

`torch.fx` records what the network does to an image. Each operation becomes a `Step`, or part of the
step before it: batch normalisation goes into the weights, ReLU and max pooling to the layer that they
follow. An operation that is not known is refused by name; none is left out.
"""

import operator
from collections.abc import Iterable, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from lenetscope.errors import UsageError
from lenetscope.export.c.steps import Kind, Pair, Pointwise, Shape, Step, Window
from lenetscope.failures import explained

ACTIVATIONS = (
    *(nn.Tanh, nn.Sigmoid, nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish, nn.ReLU6, nn.LeakyReLU),
    *(nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus, nn.Softsign),
)
"""Modules of one number at a time; ReLU is known as well, but costs nothing after most layers."""

FUNCTIONS = {
    torch.tanh, torch.sigmoid, torch.neg, operator.neg, F.tanh, F.sigmoid, F.hardtanh, F.hardswish,
    F.relu6, F.leaky_relu, F.elu, F.selu, F.gelu, F.silu, F.mish, F.softplus,
}  # fmt: skip
ARITHMETIC = {operator.mul, operator.truediv, operator.add, operator.sub, torch.mul, torch.div}
ADDITIONS = {operator.add, operator.iadd, torch.add}
CLAMPED = ("conv", "linear", "add", "average")  # kinds of steps that can cut off what is negative
RESHAPES = {"flatten", "view", "reshape", "squeeze", "contiguous"}

SUPPORTED = (
    "Conv2d, Linear, BatchNorm, ReLU, MaxPool2d, AvgPool2d, AdaptiveAvgPool2d, Flatten, Dropout, the "
    "sum of two layers, and activation functions of one number such as Tanh"
)


class Shapes(fx.Interpreter):
    """Runs the network once and remembers the shape of each output, without N."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.shapes: dict[fx.Node, tuple[int, ...]] = {}

    def run_node(self, n: fx.Node) -> Any:
        """Run one operation."""
        result = super().run_node(n)
        if isinstance(result, Tensor):
            self.shapes[n] = tuple(result.shape[1:])
        return result


def trace(model: nn.Module, image_shape: Shape) -> tuple[list[Step], fx.GraphModule]:
    """Read the steps of a network.

    >>> model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))
    >>> [(step.kind, step.relu) for step in trace(model, (1, 4, 4))[0]]
    [('image', False), ('conv', True), ('linear', False)]

    Args:
        model: is copied; the copy is put into evaluation mode.
        image_shape: (C, H, W).

    Returns:
        The steps, and the graph whose nodes they refer to; it takes normalised images (N, C, H, W).

    Raises:
        UsageError: if it does something that is not supported; the message names the layer.
    """
    model = deepcopy(model).cpu().eval().to(memory_format=torch.contiguous_format).float()
    try:
        graph = fx.symbolic_trace(model)
    except Exception as error:  # tracing runs the model's own code, which may raise anything
        words = " ".join(str(error).split())
        raise UsageError(
            f"the network cannot be written as fixed steps ({words}): its forward must not decide by "
            "the values of its input."
        ) from error
    found = Shapes(graph)
    with torch.no_grad(), explained(model):
        found.run(torch.zeros(2, *image_shape))
    return _Reader(graph, found.shapes).steps(), graph


class _Reader:
    """Turns nodes of a graph into steps, one after another."""

    def __init__(self, graph: fx.GraphModule, shapes: dict[fx.Node, tuple[int, ...]]) -> None:
        self.graph, self.shapes = graph, shapes
        self.found: list[Step] = []
        self.place: dict[fx.Node, int] = {}  # of the step that gives a node's output

    def steps(self) -> list[Step]:
        self.graph.graph.eliminate_dead_code()
        nodes = list(self.graph.graph.nodes)
        if sum(node.op == "placeholder" for node in nodes) != 1:
            raise UsageError("the network must take one input, the images.")
        for node in nodes:
            if node.op == "placeholder":
                self._append("image", node, ())
            elif node.op == "output":
                self._end(node)
            elif node in self.shapes:  # else a size or another plain value
                self._read(node)
        return self.found

    def _end(self, node: fx.Node) -> None:
        last, result = self.found[-1], node.args[0]
        if not isinstance(result, fx.Node) or self.place.get(result) != len(self.found) - 1:
            raise UsageError("the network must return one tensor, the logits.")
        if last.kind != "linear" or last.relu or len(self.shapes[result]) != 1:
            raise UsageError(
                f"the network ends with layer '{last.name}': the scores must come from a Linear layer "
                "that nothing follows."
            )

    def _read(self, node: fx.Node) -> None:
        name = str(node.target) if node.op == "call_module" else _called(node)
        layer = self._layer(node)
        sources = [self.place[each] for each in node.all_input_nodes if each in self.shapes]
        if node.op == "get_attr" or not sources:
            raise self._refusal(name, "a constant")
        before = self.found[sources[0]]
        if _in_place(node, layer) and not self._only(before):
            raise self._refusal(name, "one that changes in place what others take")
        match layer:
            case nn.Dropout() | nn.Dropout2d() | nn.Identity() | nn.Flatten():
                self._pass_on(node, sources[0], name)
            case nn.ReLU() if before.kind in CLAMPED and self._only(before):
                before.relu = True
                self._extend(before, node)
            case nn.ReLU():
                self._pointwise(node, before, torch.relu)
            case nn.Conv2d():
                self._convolution(node, layer, sources)
            case nn.Linear():
                if len(self.shapes[node.all_input_nodes[0]]) != 1:
                    raise self._refusal(name, "a Linear on one side of a map")
                self._append("linear", node, sources, **_weights(layer))
            case nn.BatchNorm2d() | nn.BatchNorm1d():
                self._normalization(node, layer, before, sources)
            case nn.MaxPool2d() | nn.AvgPool2d() | nn.AdaptiveAvgPool2d():
                self._pooling(node, layer, before, sources)
            case nn.Module() if isinstance(layer, ACTIVATIONS):
                self._pointwise(node, before, layer)
            case "add":
                first, second = node.all_input_nodes[0], node.all_input_nodes[-1]
                if self.shapes[first] != self.shapes[second]:
                    raise self._refusal(name, "a sum of different shapes")
                self._append("add", node, (self.place[first], self.place[second]))
            case "reshape":
                self._pass_on(node, sources[0], name)
            case "pointwise":
                self._pointwise(node, before, _as_function(node))
            case _:
                kind = type(layer).__name__ if isinstance(layer, nn.Module) else "an operation"
                raise self._refusal(name, kind)

    def _layer(self, node: fx.Node) -> "nn.Module | str | None":
        """Return the module of a node, that which does the same as its function, or a word for it."""
        if node.op == "call_module":
            return self.graph.get_submodule(str(node.target))
        rest: tuple[Any, ...] = node.args[1:]
        options: dict[str, Any] = dict(node.kwargs)
        target = node.target
        tensors = [each for each in node.all_input_nodes if each in self.shapes]
        if target in (F.relu, torch.relu, "relu"):
            return nn.ReLU()
        if target in (F.max_pool2d, torch.max_pool2d):
            return nn.MaxPool2d(*rest, **options)
        if target is F.avg_pool2d:
            return nn.AvgPool2d(*rest, **options)
        if target in (torch.mean, "mean") and _over_pixels(*rest, **options):
            return nn.AdaptiveAvgPool2d(1)
        if target is F.adaptive_avg_pool2d:
            return nn.AdaptiveAvgPool2d(*rest, **options)
        if target in (F.dropout, F.dropout2d) and not options.get("training", True):
            return nn.Identity()
        if target in RESHAPES or target in (torch.flatten, torch.reshape):
            return "reshape"
        if (target in ADDITIONS or target == "add") and len(tensors) == len(node.all_input_nodes):
            operands = [each for each in node.args if isinstance(each, fx.Node)]
            if len(operands) == 2 and not options:
                return "add"
        plain = not any(isinstance(each, fx.Node) for each in (*rest, *options.values()))
        known = target in FUNCTIONS or target in ARITHMETIC or target in ("tanh", "sigmoid")
        alone = len(node.all_input_nodes) == len(tensors) == 1
        return "pointwise" if known and alone and (plain or target in ARITHMETIC) else None

    def _refusal(self, name: str, kind: str) -> UsageError:
        return UsageError(f"layer '{name}' ({kind}) cannot be written as C; supported are {SUPPORTED}.")

    def _only(self, before: Step) -> bool:
        """Tell whether one operation alone takes the output of a step, so that it can be part of it."""
        return sum(user in self.shapes or user.op == "output" for user in before.node.users) == 1

    def _append(self, kind: Kind, node: fx.Node, inputs: Sequence[int], **options: Any) -> None:
        name = str(node.target) if node.op == "call_module" else str(node.name)
        source = _three(self.shapes[node.all_input_nodes[0]]) if inputs else _three(self.shapes[node])
        shape = _three(self.shapes[node])
        self.found.append(Step(name, kind, tuple(inputs), node, source, shape, **options))
        self.place[node] = len(self.found) - 1

    def _extend(self, step: Step, node: fx.Node) -> None:
        self.place[node] = self.place[step.node]
        step.node = node

    def _pass_on(self, node: fx.Node, source: int, name: str) -> None:
        """Take a node as the output of an earlier step: its numbers are the same, in the same order."""
        before = self.shapes[self.found[source].node]
        after = self.shapes[node]
        if torch.Size(before).numel() != torch.Size(after).numel():
            raise self._refusal(name, "one that mixes the images of a batch")
        if self._only(self.found[source]):
            self._extend(self.found[source], node)
        else:
            self.place[node] = source

    def _pointwise(self, node: fx.Node, before: Step, function: Pointwise) -> None:
        if before.kind == "pointwise" and self._only(before):
            first = before.function
            before.function = lambda values: function(first(values))
            self._extend(before, node)
        else:
            place = self.place[before.node]
            self._append("pointwise", node, (place,), function=function)

    def _convolution(self, node: fx.Node, layer: nn.Conv2d, sources: Sequence[int]) -> None:
        if layer.padding_mode != "zeros":
            raise self._refusal(str(node.target), f"a Conv2d that pads with '{layer.padding_mode}'")
        spans = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
        if layer.padding == "same" and any(span % 2 for span in spans):
            raise self._refusal(str(node.target), "a Conv2d that pads one side more than the other")
        known = {"same": tuple(span // 2 for span in spans), "valid": (0, 0)}
        padding = known[layer.padding] if isinstance(layer.padding, str) else layer.padding
        numbers = layer.kernel_size, layer.stride, padding, layer.dilation
        window = Window(*map(_pair, numbers))
        self._append("conv", node, sources, window=window, groups=layer.groups, **_weights(layer))

    def _normalization(
        self,
        node: fx.Node,
        layer: nn.BatchNorm2d | nn.BatchNorm1d,
        before: Step,
        sources: Sequence[int],
    ) -> None:
        if layer.running_mean is None or layer.running_var is None:
            raise self._refusal(str(node.target), "a BatchNorm without running statistics")
        scale = (layer.running_var.double() + layer.eps).rsqrt()
        scale = scale if layer.weight is None else scale * layer.weight.detach().double()
        shift = -layer.running_mean.double() * scale
        shift = shift if layer.bias is None else shift + layer.bias.detach().double()
        plain = not before.relu and before.pool == (1, 1)
        if before.kind in ("conv", "linear") and plain and self._only(before):
            before.weight = before.weight * scale.reshape(-1, *[1] * (before.weight.ndim - 1))
            before.bias = before.bias * scale + shift
            self._extend(before, node)
        else:  # a convolution of 1x1, each channel by itself
            one = {"weight": scale.reshape(-1, 1, 1, 1), "bias": shift, "groups": len(scale)}
            self._append("conv", node, sources, window=Window((1, 1), (1, 1)), **one)

    def _pooling(self, node: fx.Node, layer: Any, before: Step, sources: Sequence[int]) -> None:
        name = str(node.target) if node.op == "call_module" else _called(node)
        if isinstance(layer, nn.AdaptiveAvgPool2d):
            size = self.shapes[node.all_input_nodes[0]][1:]
            parts = _three(self.shapes[node])[1:]
            if any(s % p for s, p in zip(size, parts, strict=True)):
                raise self._refusal(name, "an AdaptiveAvgPool2d whose windows differ in size")
            layer = nn.AvgPool2d(_pair(s // p for s, p in zip(size, parts, strict=True)))
        if layer.ceil_mode or getattr(layer, "return_indices", False):
            raise self._refusal(name, "a pooling with ceil_mode or return_indices")
        numbers = layer.kernel_size, layer.stride, layer.padding, getattr(layer, "dilation", 1)
        window = Window(*map(_pair, numbers))
        if isinstance(layer, nn.AvgPool2d):
            if window.padding != (0, 0) and not layer.count_include_pad:
                raise self._refusal(name, "an AvgPool2d that does not count its padding")
            divisor = layer.divisor_override or window.size[0] * window.size[1]
            self._append("average", node, sources, window=window, divisor=divisor)
        elif (
            before.kind == "conv"
            and before.pool == (1, 1)
            and self._only(before)
            and window == Window(window.size, window.size)
        ):
            before.pool, before.shape = window.size, _three(self.shapes[node])
            self._extend(before, node)
        else:
            self._append("max", node, sources, window=window)


def _called(node: fx.Node) -> str:
    """Return the name of what a node calls that is not a module."""
    return str(getattr(node.target, "__name__", node.target))


def _in_place(node: fx.Node, layer: Any) -> bool:
    """Tell whether a node overwrites its first input."""
    options = getattr(layer, "inplace", False), node.kwargs.get("inplace", False)
    return node.target is operator.iadd or any(options)


def _over_pixels(dim: Any = None, keepdim: bool = False, **_options: Any) -> bool:
    """Tell whether these are the arguments of a mean over rows and columns."""
    return isinstance(dim, (tuple, list)) and sorted(each % 4 for each in dim) == [2, 3]


def _three(shape: tuple[int, ...]) -> Shape:
    """Return a shape of a map or a vector as (C, H, W)."""
    channels, height, width = (*shape, 1, 1)[:3]
    return channels, height, width


def _pair(value: "int | Iterable[int]") -> Pair:
    first, second = (value, value) if isinstance(value, int) else value
    return int(first), int(second)


def _weights(layer: nn.Conv2d | nn.Linear) -> dict[str, Tensor]:
    weight = layer.weight.detach().double()
    none = torch.zeros(len(weight), dtype=torch.float64)
    return {"weight": weight, "bias": none if layer.bias is None else layer.bias.detach().double()}


def _as_function(node: fx.Node) -> Pointwise:
    """Return what a node does to its only tensor."""

    def function(values: Tensor) -> Tensor:
        args = [values if isinstance(each, fx.Node) else each for each in node.args]
        if isinstance(node.target, str):
            return getattr(values, node.target)(*args[1:], **node.kwargs)  # type: ignore[no-any-return]
        assert callable(node.target)
        return node.target(*args, **node.kwargs)  # type: ignore[no-any-return]

    return function
