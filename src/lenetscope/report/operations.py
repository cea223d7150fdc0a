"""The operations of PyTorch that the page can run, and what it must know of each.

`OPERATIONS` has a function per operation of PyTorch; it is given a `Traced` operation and returns
the settings that ``static/operations.js`` runs it with. Whatever only moves values, such as padding,
slicing or concatenating, is one kind: PyTorch applies it to the numbers of the places.
"""

import math
from collections.abc import Callable
from typing import Any

import torch

from lenetscope.report.traced import IMAGES, Place, Settings, Traced, UnsupportedError


def _convolution(op: Traced) -> Settings:
    source, weight = op.place(), op.constant("weight")
    assert weight is not None
    kernel, dilation = list(weight.shape[2:]), op.pair("dilation")
    padding: Any = op.given["padding"]
    if padding == "same":  # what is odd goes to the far side, so the near side is what counts
        padding = [d * (k - 1) // 2 for k, d in zip(kernel, dilation, strict=True)]
    else:
        padding = [0, 0] if padding == "valid" else op.pair("padding")
    return {
        **{"kind": "Conv2d", "inputs": [source], "kernel": kernel, "stride": op.pair("stride")},
        **{"padding": padding, "dilation": dilation, "groups": op.given["groups"]},
        **{"weight": op.stored("weight"), "bias": op.stored("bias")},
    }


def _linear(op: Traced) -> Settings:
    source = op.place()
    return {
        **{"kind": "Linear", "inputs": [source]},
        **{"weight": op.stored("weight"), "bias": op.stored("bias")},
    }


def _product(op: Traced) -> Settings:
    """Multiply by a matrix of constants: a linear layer without a bias."""
    other = op.constant("other") if "other" in op.given else op.constant("mat2")
    if other is None or other.ndim != 2:
        raise UnsupportedError("multiplies by something else than a matrix")
    weight = op.weights.add(other.T)
    return {"kind": "Linear", "inputs": [op.place()], "weight": weight, "bias": None}


def _pooling(kind: str) -> Callable[[Traced], Settings]:
    def settings(op: Traced) -> Settings:
        source, kernel, padding = op.place(), op.pair("kernel_size"), op.pair("padding")
        stride = op.pair("stride") if op.given["stride"] else kernel
        found = {"kind": kind, "inputs": [source], "kernel": kernel, "stride": stride}
        found |= {
            "padding": padding,
            "dilation": op.pair("dilation") if kind == "MaxPool2d" else [1, 1],
        }
        if kind == "MaxPool2d":
            return found
        down = [
            (size + 2 * p - k) // s + 1
            for size, p, k, s in zip(source.shape[1:], padding, kernel, stride, strict=True)
        ]
        if down != list(op.shape[1:]):
            raise UnsupportedError("rounds its size up")
        counts = {
            "countPadding": op.given["count_include_pad"],
            "divisor": op.given["divisor_override"],
        }
        return found | counts

    return settings


def _adaptive(kind: str) -> Callable[[Traced], Settings]:
    def settings(op: Traced) -> Settings:
        source = op.place()
        parts = list(zip(source.shape[1:], op.shape[1:], strict=True))
        if any(size % count for size, count in parts):
            raise UnsupportedError("pools parts of unequal size")
        kernel = [size // count for size, count in parts]
        found = {"kind": kind, "inputs": [source], "kernel": kernel, "stride": kernel}
        return found | {
            **{"padding": [0, 0], "dilation": [1, 1]},
            **({"countPadding": True, "divisor": None} if kind == "AvgPool2d" else {}),
        }

    return settings


def _normalization(op: Traced) -> Settings:
    if op.given.get("training"):
        raise UnsupportedError("has no running statistics")
    mean, variance = op.constant("running_mean"), op.constant("running_var")
    assert mean is not None
    assert variance is not None
    weight, bias = op.constant("weight"), op.constant("bias")
    scale = (variance.double() + op.given["eps"]).rsqrt() * (1 if weight is None else weight)
    shift = (0 if bias is None else bias) - mean.double() * scale
    place = op.weights.add(scale)
    return {"kind": "BatchNorm", "inputs": [op.place()], "weight": place, "bias": op.weights.add(shift)}


def _dropout(op: Traced) -> Settings:
    if op.given["train"]:
        raise UnsupportedError("drops values in evaluation mode, too")
    return {"kind": "Dropout", "inputs": [op.place()]}


def _function(kind: str, *names: str) -> Callable[[Traced], Settings]:
    """Return a function of one value at a time; ``names`` are the arguments that it takes."""

    def settings(op: Traced) -> Settings:
        given = [op.given[name] for name in names]
        return {"kind": kind, "inputs": [op.place()], "args": [_number(value) for value in given]}

    return settings


def _between(low: str | int | None, high: str | int | None) -> Callable[[Traced], Settings]:
    """Return what cuts values off at two limits, or one: names of arguments, or numbers."""

    def settings(op: Traced) -> Settings:
        limits = [op.given[each] if isinstance(each, str) else each for each in (low, high)]
        return {"kind": "Clamp", "inputs": [op.place()], "args": [_number(value) for value in limits]}

    return settings


def _number(value: Any) -> float | None:
    """Return a setting that can be written as JSON."""
    if value is None or (isinstance(value, (int, float)) and math.isfinite(value)):
        return value
    raise UnsupportedError("takes something else than numbers that are finite")


def _gelu(op: Traced) -> Settings:
    return _function("GELUTanh" if op.given["approximate"] == "tanh" else "GELU")(op)


def _binary(kind: str, *, swapped: bool = False) -> Callable[[Traced], Settings]:
    """Return arithmetic of two: each the output of a step, or constants."""

    def settings(op: Traced) -> Settings:
        first, second = op.given["self"], op.given.get("other", op.given.get("exponent"))
        if op.given.get("rounding_mode") is not None:
            raise UnsupportedError("rounds")
        if (alpha := op.given.get("alpha", 1)) != 1:
            if isinstance(second, Place):
                raise UnsupportedError("adds a multiple")
            second = second * alpha
        inputs: list[Place] = []
        operands = []
        for value in (second, first) if swapped else (first, second):
            if isinstance(value, Place):
                if len(value.shape) != len(op.shape):
                    raise UnsupportedError("combines outputs with different numbers of dimensions")
                operands.append({"input": len(inputs), "shape": list(value.shape)})
                inputs.append(value)
            else:
                constant = torch.as_tensor(value)
                if constant.ndim > len(op.shape):
                    if len(constant) > 1:
                        raise UnsupportedError("takes other numbers for each image of a batch")
                    constant = constant[0]
                shape = list(constant.shape)
                operands.append({"weight": op.weights.add(constant), "shape": shape})
        return {"kind": kind, "inputs": inputs, "operands": operands}

    return settings


def _along(kind: str, name: str = "dim") -> Callable[[Traced], Settings]:
    """Return something along dimensions that lie side by side: `between` x `count` x `inner` values."""

    def settings(op: Traced) -> Settings:
        source, given = op.place(), op.given.get(name)
        if given is None or given == []:
            raise UnsupportedError("mixes the images of a batch")
        if op.given.get("ord", 2) != 2:
            raise UnsupportedError("has a norm other than the Euclidean")
        found = [given] if isinstance(given, int) else given
        dims = sorted(op.dimension(d, source.shape) for d in found)
        if dims != list(range(dims[0], dims[-1] + 1)):
            raise UnsupportedError("works along dimensions that do not lie side by side")
        count = math.prod(source.shape[dims[0] : dims[-1] + 1])
        inner = math.prod(source.shape[dims[-1] + 1 :])
        return {"kind": kind, "inputs": [source], "count": count, "inner": inner}

    return settings


def move(op: Traced, call: Callable[..., Any], number: int | None = None) -> Settings:
    """Return where the values go, from what PyTorch does to the numbers of their places.

    Args:
        op: whose arguments may be places, or lists of them.
        call: the operation.
        number: which of its outputs, where there are several.
    """
    inputs: list[Place] = []
    filling = op.given.get("value") or 0.0

    def numbered(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [numbered(each) for each in value]
        if not isinstance(value, Place):
            return value
        size, before = math.prod(value.shape), sum(math.prod(p.shape) for p in inputs)
        inputs.append(value)
        one = torch.arange(1, size + 1, dtype=torch.float64) + before
        total = 2.0**40  # more than there are values: tells the images apart
        images = torch.arange(IMAGES, dtype=torch.float64)[:, None] * total
        return (one + images).reshape(IMAGES, *value.shape)

    given = {name: numbered(value) for name, value in op.given.items()}
    if "value" in given:
        given["value"] = 0.0
    result = call(**given)
    result = result if number is None else result[number]
    if result.ndim < 1 or len(result) != IMAGES:
        raise UnsupportedError("mixes the images of a batch")
    places = result.reshape(IMAGES, -1)
    offset = torch.arange(IMAGES)[:, None] * 2.0**40
    if not torch.equal(torch.where(places > 0, places - offset, 0), places[0].expand_as(places)):
        raise UnsupportedError("mixes the images of a batch")
    index = places[0] - 1
    total = sum(math.prod(p.shape) for p in inputs)
    shape = tuple(result.shape[1:])
    if len(inputs) == 1 and torch.equal(index, torch.arange(total, dtype=torch.float64)):
        return {"kind": "Flatten" if len(shape) == 1 else "Reshape", "inputs": inputs, "shape": shape}
    return {
        **{"kind": "Move", "inputs": inputs, "shape": shape, "filling": _number(filling)},
        **{"from": op.weights.add(index), "what": op.name},
    }


OPERATIONS: dict[str, Callable[[Traced], Settings]] = {
    "conv2d": _convolution,
    "linear": _linear,
    **dict.fromkeys(("matmul", "mm"), _product),
    **dict.fromkeys(("max_pool2d", "max_pool2d_with_indices"), _pooling("MaxPool2d")),
    "avg_pool2d": _pooling("AvgPool2d"),
    "adaptive_avg_pool2d": _adaptive("AvgPool2d"),
    "adaptive_max_pool2d": _adaptive("MaxPool2d"),
    **dict.fromkeys(("batch_norm", "_native_batch_norm_legit_no_training"), _normalization),
    **dict.fromkeys(("dropout", "feature_dropout", "alpha_dropout"), _dropout),
    "relu": _function("ReLU"),
    "relu6": _between(0, 6),
    "tanh": _function("Tanh"),
    "sigmoid": _function("Sigmoid"),
    "silu": _function("SiLU"),
    "gelu": _gelu,
    "leaky_relu": _function("LeakyReLU", "negative_slope"),
    "elu": _function("ELU", "alpha", "scale", "input_scale"),
    "selu": _function("SELU"),
    "softplus": _function("Softplus", "beta", "threshold"),
    "mish": _function("Mish"),
    "hardswish": _function("Hardswish"),
    "hardsigmoid": _function("Hardsigmoid"),
    "hardtanh": _between("min_val", "max_val"),
    "clamp": _between("min", "max"),
    "clamp_min": _between("min", None),
    "clamp_max": _between(None, "max"),
    "exp": _function("Exp"),
    "log": _function("Log"),
    "log1p": _function("Log1p"),
    "neg": _function("Neg"),
    "abs": _function("Abs"),
    "sqrt": _function("Sqrt"),
    "rsqrt": _function("Rsqrt"),
    "reciprocal": _function("Reciprocal"),
    "pow": _function("Power", "exponent"),
    "square": _function("Square"),
    "add": _binary("Add"),
    "sub": _binary("Sub"),
    "rsub": _binary("Sub", swapped=True),
    "mul": _binary("Mul"),
    "div": _binary("Div"),
    "maximum": _binary("Maximum"),
    "minimum": _binary("Minimum"),
    "softmax": _along("Softmax"),
    "log_softmax": _along("LogSoftmax"),
    "sum": _along("Sum"),
    "mean": _along("Mean"),
    "amax": _along("Max"),
    "amin": _along("Min"),
    "logsumexp": _along("LogSumExp"),
    "linalg_vector_norm": _along("Norm"),
    "cumsum": _along("CumSum"),
    "logcumsumexp": _along("LogCumSumExp"),
}

UNCHANGED = frozenset({"contiguous", "clone", "detach", "alias", "to", "_to_copy", "lift_fresh_copy"})
"""Operations that change no value and no shape, and are left out."""

MOVES = frozenset(
    {
        *("view", "_unsafe_view", "reshape", "flatten", "unflatten", "unsqueeze", "squeeze", "permute"),
        *("transpose", "movedim", "select", "slice", "narrow", "index", "index_select", "flip", "roll"),
        *("expand", "repeat", "tile", "cat", "concat", "stack", "chunk", "split", "split_with_sizes"),
        *("unbind", "pad", "constant_pad_nd", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle"),
        *("upsample_nearest2d", "rot90", "swapaxes", "t"),
    }
)
"""Operations that put values elsewhere, repeat them, or leave some out; see `move`."""
