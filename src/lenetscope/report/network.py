"""A network as a list of steps that ``static/network.js`` runs in a browser.

`torch.export` traces the model: each operation of PyTorch with what it is given, in order. So branches,
and steps between the layers, are as good as layers. What cannot be traced, or has an operation that
the page cannot run, is refused instead of shown wrongly.
"""

import operator
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, fx, nn

from lenetscope.arguments import main_output
from lenetscope.errors import LayerError
from lenetscope.failures import explained
from lenetscope.observe import find_layers
from lenetscope.plots.html import base64_of
from lenetscope.report.operations import MOVES, OPERATIONS, UNCHANGED, move
from lenetscope.report.traced import IMAGES, Place, Settings, Traced, UnsupportedError, Weights
from lenetscope.restore import device_of, eval_mode

if TYPE_CHECKING:
    from torch.export import ExportedProgram

TRIALS, SCALES = 5, (0.1, 1.0, 10.0, 100.0)
"""Random batches of each scale on which model and trace must agree: small values clip nowhere."""


@dataclass(frozen=True)
class Graph:
    """A network as steps, in the order in which they run.

    Attributes:
        input_shape: (C, H, W) of one image.
        layers: of each step its name, kind, output ``shape``, the numbers of the steps that it takes as
            ``inputs`` (-1 is the image), and settings as plain values. Where it has weights, ``weight``
            and ``bias`` are the places in ``weights`` at which they begin. Where it is what a layer
            returns, ``layer`` is the key of that call, see `Call`; where that took several steps,
            ``steps`` is their number, ``of`` the layer's class, and the others are ``inside``.
        weights: (M,) float32, of all steps.
    """

    input_shape: tuple[int, ...]
    layers: tuple[dict[str, Any], ...]
    weights: npt.NDArray[np.float32]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; the weights as base64 of little-endian float32."""
        weights = base64_of(self.weights.astype("<f4"))
        return {"inputShape": list(self.input_shape), "layers": list(self.layers), "weights": weights}


def describe(model: nn.Module, input_shape: tuple[int, ...]) -> Graph:
    """Describe a model as steps that the page can run.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> [layer["kind"] for layer in describe(model, (1, 2, 2)).layers]
    ['Flatten', 'Linear', 'ReLU', 'Linear']

    Args:
        model: its modes are as before when this returns or raises.
        input_shape: (C, H, W) of one image.

    Raises:
        LayerError: if the model cannot be traced, or a step is none that the page can run.
        DataError: if the model cannot take such images.
    """
    return Described.of(model, input_shape).graph(model)


@dataclass(frozen=True)
class Described:
    """A model that was traced, to be described again whenever its weights have changed.

    Tracing takes a second or more, and what follows it some milliseconds.
    """

    program: "ExportedProgram"
    input_shape: tuple[int, ...]
    leaves: frozenset[str]

    @classmethod
    def of(cls, model: nn.Module, input_shape: tuple[int, ...]) -> Self:
        """Trace a model; see `describe`."""
        return cls(_trace(model, input_shape), tuple(input_shape), frozenset(find_layers(model)))

    def graph(self, model: nn.Module) -> Graph:
        """Describe the model that was traced, with the weights that it has now; see `describe`."""
        whole: nn.Module = getattr(model, "_orig_mod", model)
        now = {f"model.{name}": value for name, value in whole.state_dict().items()}
        steps = _Steps(self.input_shape, self.leaves)
        output = steps.translate(self.program, now)
        if not steps.layers:
            raise LayerError("the model has no layers inside that could be shown one after another.")
        if len(output.shape) != 1:
            shape = "x".join(map(str, output.shape)) or "one number"
            raise LayerError(f"the model returns {shape} per image, not one number per class.")
        weights = np.concatenate([np.zeros(0, np.float32), *steps.weights.parts])
        return Graph(self.input_shape, tuple(steps.layers), weights)


class _Main(nn.Module):
    """A model that returns one tensor: what its predictions are made from."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor | None:
        return main_output(self.model(images))


def _trace(model: nn.Module, input_shape: tuple[int, ...]) -> "ExportedProgram":
    """Trace a model, and compare what was traced with it on random images."""
    from torch.export import export  # late: slow to import

    whole: nn.Module = getattr(model, "_orig_mod", model)
    dtype = next((p.dtype for p in whole.parameters()), torch.float32)
    generator = torch.Generator().manual_seed(0)
    random = torch.randn(TRIALS, IMAGES, *input_shape, generator=generator).to(dtype)
    with eval_mode(whole), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        device = device_of(whole)
        batches = [scale * batch.to(device) for scale in SCALES for batch in random]
        main = _Main(whole)
        with explained(whole):
            expected = [main(batch) for batch in batches]
        if expected[0] is None:
            raise LayerError("the model returns no tensor, or several of which none is the main one.")
        try:
            program = export(main, (batches[0].clone(),))
            if any(_overwrites(node) for node in program.graph.nodes):
                program = program.run_decompositions({})  # decomposes none, but leaves nothing in place
            traced = program.module()
            found = [traced(batch) for batch in batches]
        except Exception as error:  # what export raises is not documented
            why = next(iter(str(error).splitlines()), "") or type(error).__name__
            raise LayerError(
                f"the steps of this model cannot be traced, because they depend on the image: {why}"
            ) from error
    pairs = zip(found, expected, strict=True)
    if not all(torch.allclose(a, b, 1e-4, 1e-5, equal_nan=True) for a, b in pairs):
        raise LayerError(
            "the steps of this model, as they were traced, do not give its outputs: they are not the "
            "same for every image."
        )
    return program


def _overwrites(node: fx.Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return schema is not None and bool(schema.is_mutable)


@dataclass
class _Steps:
    """The translation of what was traced: from nodes to steps."""

    input_shape: tuple[int, ...]
    leaves: frozenset[str]
    layers: list[Settings] = field(default_factory=list)
    weights: Weights = field(default_factory=Weights)
    values: dict[fx.Node, Any] = field(default_factory=dict)
    """Of each node: its `Place`, or its value where that does not depend on the image."""

    def translate(self, program: "ExportedProgram", weights: dict[str, Tensor]) -> Place:
        """Return the place of the outputs; weights that are not given are those of the trace."""
        from torch.export.graph_signature import InputKind

        specs = {spec.arg.name: spec for spec in program.graph_signature.input_specs}
        (result,) = next(n for n in program.graph.nodes if n.op == "output").args[0]
        needed = _needed(result)
        stored = program.state_dict | program.constants | weights
        for node in program.graph.nodes:
            if node not in needed:
                continue
            if node.op == "placeholder":
                spec = specs[node.name]
                is_image = spec.kind is InputKind.USER_INPUT
                self.values[node] = Place(-1, self.input_shape) if is_image else stored[spec.target]
            else:
                self.values[node] = self._value(node)
        output = self.values[result]
        if not isinstance(output, Place):
            raise LayerError("the outputs of this model do not depend on the image.")
        self._name(needed)
        return output

    def _value(self, node: fx.Node) -> Any:
        """Return what a node is; a step is added where one is needed for it."""
        if node.target is operator.getitem:
            return self._part(node)
        args, named = fx.map_arg((node.args, node.kwargs), self.values.__getitem__)
        target: Any = node.target
        if not any(isinstance(v, Place) for v in _flat([args, named])):
            return target(*args, **named)
        kind = target.overloadpacket.__name__.rstrip("_")
        names = [argument.name for argument in target._schema.arguments]
        defaults = {a.name: a.default_value for a in target._schema.arguments}
        given = defaults | dict(zip(names, args, strict=False)) | named
        found = node.meta["val"]
        several = isinstance(found, (tuple, list))
        shape = tuple((found[0] if several else found).shape)
        operation = Traced(kind, given, shape[1:], self.weights)
        try:
            if kind in UNCHANGED:
                return next(v for v in _flat([args, named]) if isinstance(v, Place))
            if kind in MOVES and several:
                return lambda number: self._step(move(operation, target, number), node)
            if kind in MOVES:
                settings = move(operation, target)
            elif kind in OPERATIONS:
                if not shape or shape[0] != IMAGES:
                    raise UnsupportedError("mixes the images of a batch")
                settings = OPERATIONS[kind](operation)
            else:
                raise UnsupportedError(f"uses '{kind}'")
        except UnsupportedError as error:
            where = _layer(node)[0]
            layer = f"layer '{where}' ({kind})" if where else f"a step between the layers ({kind})"
            raise LayerError(f"{layer} {error}, which the page cannot run.") from error
        return self._step({"shape": shape[1:], **settings}, node)

    def _part(self, node: fx.Node) -> Any:
        """Return one of several outputs."""
        source, number = node.args
        assert isinstance(source, fx.Node)
        value = self.values[source]
        if isinstance(value, Place):  # the first of what pooling and normalization return
            if number == 0:
                return value
            raise LayerError(f"a step takes the second output of '{source.name}'; the page has one.")
        return value(number) if callable(value) else value[number]

    def _step(self, settings: Settings, node: fx.Node) -> Place:
        shape = tuple(settings["shape"])
        inputs = [place.number for place in settings["inputs"]]
        self.layers.append({**settings, "shape": list(shape), "inputs": inputs})
        return Place(len(self.layers) - 1, shape)

    def _name(self, needed: set[fx.Node]) -> None:
        """Give each step a name: that of its layer, or of the part of the model in which it is."""
        last: dict[str, int] = {}
        steps: dict[int, tuple[str, str, str]] = {}
        for node, value in self.values.items():
            if not isinstance(value, Place) or node.op != "call_function" or value.number in steps:
                continue
            name, key, kind = _layer(node)
            steps[value.number] = name, key, kind
            if name in self.leaves:
                last[key] = value.number
        counts = {key: sum(k == key for _, k, _ in steps.values()) for key in last}
        for number, (name, key, kind) in steps.items():
            step = self.layers[number]
            what = str(step.get("what", step["kind"])).lower()
            if last.get(key) == number:
                step |= {"name": name, "layer": key}
                if counts[key] > 1:
                    step |= {"steps": counts[key], "of": kind}
            else:
                step |= {"name": f"{name}: {what}" if name else what}
                step |= {"inside": True} if key in last else {}


def _needed(result: fx.Node) -> set[fx.Node]:
    """Return the nodes that a result depends on."""
    found: set[fx.Node] = set()
    waiting = [result]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += node.all_input_nodes
    return found


def _layer(node: fx.Node) -> tuple[str, str, str]:
    """Return the innermost module that a node is from: its name, its key as in `Call`, its class."""
    stack = list(node.meta.get("nn_module_stack", {}).items())
    if not stack:
        return "", "", ""
    path, (name, kind) = stack[-1]
    name = name.removeprefix("model").removeprefix(".")
    call = path.partition("@")[2]
    kind = kind if isinstance(kind, str) else kind.__name__
    return name, f"{name}:{call}" if call else name, kind.rpartition(".")[2]


def _flat(value: Any) -> list[Any]:
    """Return what lies in nested lists and dictionaries."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [inner for each in value for inner in _flat(each)]
    return [value]
