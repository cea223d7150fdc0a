"""The header and the source of a network in C99: tables, the layers that it needs, and one function.

Everything the C computes is a whole number, and nothing is allocated: the activations lie in one static
block (see `memory`), the tables are constants.
"""

import math
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from torch import Tensor

from lenetscope.export.c.integers import (
    Addition,
    Average,
    Convolution,
    Dense,
    IntegerNetwork,
    Layer,
    Lookup,
    Maximum,
    Output,
    Scores,
)
from lenetscope.export.c.memory import plan
from lenetscope.export.c.steps import Window

WIDTH = 100
"""Characters per line of a table."""

FIELDS = {
    "Window": "in_height in_width out_height out_width height width stride_y stride_x pad_y pad_x "
    "dilation_y dilation_x pad",
    "Convolution": "window weight bias multiplier shift groups in_channels out_channels pool_height "
    "pool_width zero low",
    "Dense": "weight bias multiplier shift in_size out_size zero low",
    "Average": "window channels bias multiplier shift zero low",
    "Addition": "size first_multiplier second_multiplier first_zero second_zero shift zero low",
}
"""Of the structures of ``layers.c``, in the order in which values are given here."""

PARTS = re.compile(r"^/\* -- (\w+):([\w ]*)\*/\n", re.MULTILINE)
"""Opens a part of ``layers.c``: its name, and those of the parts that it needs."""


@dataclass(frozen=True)
class Source:
    """A network in C.

    Attributes:
        header: text of ``NAME.h``.
        source: text of ``NAME.c``.
        table_bytes: size of its tables.
        memory_bytes: size of its variables, without the image and the scores, which are the caller's.
    """

    header: str
    source: str
    table_bytes: int
    memory_bytes: int


def write_c(
    network: IntegerNetwork, name: str, classes: Sequence[str], facts: Iterable[str] = ()
) -> Source:
    """Write a network as C.

    Args:
        network: in whole numbers.
        name: what public names begin with: lower-case letters, digits and underscores.
        classes: names of the classes.
        facts: lines for the comment of the header, such as how accurate it is.
    """
    assert re.fullmatch(r"[a-z][a-z0-9_]*", name), name
    writer = _Writer(network, name)
    source = writer.source(classes)
    channels, height, width = network.layers[0].shape
    header = HEADER.format(
        comment=comment([*facts]),
        name=name,
        upper=name.upper(),
        channels=channels,
        height=height,
        width=width,
        classes=len(classes),
        bits=network.score_bits,
        size=channels * height * width,
    )
    return Source(header, source, writer.table_bytes, writer.memory_bytes)


def comment(lines: Sequence[str]) -> str:
    """Return lines of a C comment, in which nothing ends it and nothing is a trigraph."""
    plain = [line.encode("ascii", "replace").decode() for line in lines]
    safe = [re.sub(r"\*/|/\*|\?\?|\\", lambda found: " ".join(found[0]), line) for line in plain]
    wrapped = [part for line in safe for part in textwrap.wrap(line, WIDTH) or [""]]
    return "\n".join(f" * {line}".rstrip().removesuffix("\\") for line in wrapped)


def literal(text: str) -> str:
    r"""Return a C string; what is not plain ASCII is written as octal numbers of its UTF-8.

    >>> print(literal('a"b?'))
    "a\042b\077"
    """
    plain = {byte for byte in range(32, 127) if chr(byte) not in '"\\?'}
    return '"' + "".join(chr(b) if b in plain else f"\\{b:03o}" for b in text.encode()) + '"'


def parts(names: Iterable[str]) -> str:
    """Return these parts of ``layers.c``, and those that they need, in its order."""
    text = resources.files(__package__).joinpath("layers.c").read_text("utf-8")
    _, *found = PARTS.split(text)
    needs = dict(zip(found[::3], map(str.split, found[1::3]), strict=True))
    bodies = dict(zip(found[::3], found[2::3], strict=True))
    wanted, new = set[str](), set(names)
    while new:
        wanted |= new
        new = {each for part in new for each in needs[part]} - wanted
    return "".join(body for part, body in bodies.items() if part in wanted)


class _Writer:
    """Writes the tables and calls of one network."""

    def __init__(self, network: IntegerNetwork, name: str) -> None:
        self.network, self.name = network, name
        self.plan = plan(network.layers)
        self.parts: set[str] = set()
        self.tables: list[str] = []
        self.calls: list[str] = []
        self.identifiers: list[str] = []
        self.table_bytes = 0
        convolutions = [each for each in network.layers if isinstance(each, Convolution)]
        self.patch = max((each.weight[0].numel() for each in convolutions), default=0)
        self.largest = max((len(each.weight) // each.groups for each in convolutions), default=0)
        self.memory_bytes = self.plan.size + self.patch + 4 * self.largest

    def source(self, classes: Sequence[str]) -> str:
        for place, layer in enumerate(self.network.layers):
            self.identifiers.append(self._identifier(layer.name))
            self._write(place, layer)
        names = ",\n".join(f"    {literal(each)}" for each in classes)
        scratch = f"#define PATCH {self.patch}\n#define LARGEST {self.largest}\n" if self.patch else ""
        return SOURCE.format(
            name=self.name,
            upper=self.name.upper(),
            classes=names,
            scratch=scratch,
            arena=self.plan.size,
            size=math.prod(self.network.layers[0].shape),
            parts=parts(self.parts),
            tables="\n".join(self.tables),
            calls="\n".join(f"    {call}" for call in self.calls),
        )

    def _identifier(self, name: str) -> str:
        """Return a name for C that no other layer has; no keyword, because ``_layer`` is added."""
        plain = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_") or "layer"
        plain = f"layer{plain}" if plain[0].isdigit() else plain
        number, found = 2, plain
        while found in self.identifiers:
            number, found = number + 1, f"{plain}_{number}"
        return found

    def _write(self, place: int, layer: Layer) -> None:
        of = self.identifiers[place]
        sources = [f"arena + {self.plan.offsets[each]}" for each in layer.inputs]
        last = place == len(self.network.layers) - 1
        out = "scores" if last else f"arena + {self.plan.offsets[place]}"
        match layer:
            case Lookup():
                self._look_up(of, layer, sources, out)
            case Convolution():
                pool = f", pooled {_size(layer.pool)}" if layer.pool != (1, 1) else ""
                kernel = f"{layer.groups} x " if layer.groups > 1 else ""
                o, i, h, w = layer.weight.shape
                self._heading(of, layer, f"convolution {kernel}{o}x{i}x{h}x{w}{pool}")
                self._weights(of, layer.weight, layer.bias, layer.output)
                window = _nested("Window", _window(layer, layer.window, layer.pad))
                channels = layer.groups, i, o // layer.groups
                ends = layer.output.zero, layer.output.low
                values = [window, *self._names(of), *channels, *layer.pool, *ends]
                self._struct("convolve", "Convolution", of, values)
                self._call("convolve", layer, [f"&{of}_layer", *sources, out])
            case Dense():
                o, i = layer.weight.shape
                self._heading(of, layer, f"linear {o}x{i}")
                self._weights(of, layer.weight, layer.bias, layer.output)
                values = [*self._names(of), i, o, layer.output.zero, layer.output.low]
                function = "score" if isinstance(layer, Scores) else "connect"
                self._struct(function, "Dense", of, values)
                self._call(function, layer, [f"&{of}_layer", *sources, out])
            case Maximum():
                self._heading(of, layer, f"max pooling {_size(layer.window.size)}")
                self._struct("maximum", "Window", of, _window(layer, layer.window, 0))
                channels_of = str(layer.source[0])
                self._call("maximum", layer, [f"&{of}_layer", channels_of, *sources, out])
            case Average():
                self._heading(of, layer, f"average pooling {_size(layer.window.size)}")
                multiplier, shift = int(layer.output.multiplier[0]), int(layer.output.shift[0])
                values = [
                    _nested("Window", _window(layer, layer.window, layer.pad)), layer.source[0],
                    layer.bias, multiplier, shift, layer.output.zero, layer.output.low,
                ]  # fmt: skip
                self._struct("average", "Average", of, values)
                self._call("average", layer, [f"&{of}_layer", *sources, out])
            case Addition():
                self._heading(of, layer, "sum of two layers")
                size = math.prod(layer.shape)
                values = [size, *layer.multipliers, *layer.zeros, layer.shift, layer.zero, layer.low]
                self._struct("add", "Addition", of, values)
                self._call("add", layer, [f"&{of}_layer", *sources, out])

    def _look_up(self, of: str, layer: Lookup, sources: list[str], out: str) -> None:
        self.parts.add("look_up")
        self._heading(of, layer, "one number per pixel" if not sources else "one number per activation")
        self._table("int8_t", f"{of}_table", layer.table)
        size = math.prod(layer.shape) // len(layer.table)
        begin = f"(const uint8_t *)({sources[0]})" if sources else "image"
        for row in range(len(layer.table)):
            table, source, target = f"{of}_table", begin, out
            if row:
                at = row * size
                table, source, target = f"{table} + {256 * row}", f"{begin} + {at}", f"{out} + {at}"
            self._call("look_up", layer, [table, source, target, str(size)])

    def _heading(self, of: str, layer: Layer, what: str) -> None:
        self.tables.append(f"/* {of}: {what}, {_size(layer.source)} to {_size(layer.shape)} */")

    def _weights(self, of: str, weight: Tensor, bias: Tensor, output: Output) -> None:
        self._table("int8_t", f"{of}_weight", weight)
        self._table("int32_t", f"{of}_bias", bias)
        self._table("int32_t", f"{of}_multiplier", output.multiplier)
        self._table("uint8_t", f"{of}_shift", output.shift)

    def _names(self, of: str) -> list[str]:
        return [f"{of}_{part}" for part in ("weight", "bias", "multiplier", "shift")]

    def _table(self, kind: str, name: str, values: Tensor) -> None:
        numbers = list(map(str, values.flatten().tolist()))
        per_line = (WIDTH - 4) // (max(map(len, numbers)) + 2)
        lines = [", ".join(numbers[k : k + per_line]) for k in range(0, len(numbers), per_line)]
        body = ",\n".join(f"    {line}" for line in lines)
        self.tables.append(f"static const {kind} {name}[{len(numbers)}] = {{\n{body}\n}};")
        self.table_bytes += len(numbers) * (4 if kind == "int32_t" else 1)

    def _struct(self, part: str, kind: str, of: str, values: Iterable[Any]) -> None:
        self.parts.add(part)
        body = _nested(kind, values)[1:-1].replace(" = ", "\0")  # not broken there
        lines = textwrap.fill(body, WIDTH - 4, initial_indent="    ", subsequent_indent="    ")
        lines = lines.replace("\0", " = ")
        self.tables.append(f"static const {kind} {of}_layer = {{\n{lines}\n}};\n")

    def _call(self, function: str, layer: Layer, arguments: Sequence[str]) -> None:
        call = f"{function}({', '.join(arguments)});"
        self.calls.append(f"{call:<72}/* {_size(layer.shape)} */")


def _nested(kind: str, values: Iterable[Any]) -> str:
    """Return the values of a structure with the names of its fields."""
    named = zip(FIELDS[kind].split(), values, strict=True)
    return f"{{{', '.join(f'.{name} = {value}' for name, value in named)}}}"


def _window(layer: Layer, window: Window, pad: int) -> list[int]:
    pairs = layer.source[1:], layer.shape[1:], window.size, window.stride, window.padding
    return [*(number for pair in (*pairs, window.dilation) for number in pair), pad]


def _size(shape: Iterable[int]) -> str:
    return "x".join(map(str, shape))


HEADER = """\
/*
{comment}
 */
#ifndef {upper}_H
#define {upper}_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

#define {upper}_CHANNELS {channels}
#define {upper}_HEIGHT {height}
#define {upper}_WIDTH {width}
#define {upper}_CLASSES {classes}

/* A score is a logit times 2 to this power. */
#define {upper}_SCORE_BITS {bits}

/* Names of the classes, UTF-8. */
extern const char *const {name}_class_names[{upper}_CLASSES];

/*
 * Return the most probable class, 0 to {upper}_CLASSES - 1; of equal scores the first.
 *
 * image: grey values or colours from 0 to 255 as in the training data, channel by channel,
 *        each row by row.
 * scores: is given one score per class, the higher the more probable.
 *
 * It keeps its variables in static memory: one call at a time.
 */
int {name}_predict(const uint8_t image[{size}], int32_t scores[{upper}_CLASSES]);

#ifdef __cplusplus
}}
#endif

#endif
"""

SOURCE = """\
/* See {name}.h. Generated; plain C99 without floating point. */
#include "{name}.h"

{scratch}
static int8_t arena[{arena}]; /* the outputs of layers; those not needed together share places */

{parts}
{tables}
const char *const {name}_class_names[{upper}_CLASSES] = {{
{classes}
}};

int {name}_predict(const uint8_t image[{size}], int32_t scores[{upper}_CLASSES])
{{
    int best = 0;
    int k;
{calls}
    for (k = 1; k < {upper}_CLASSES; ++k)
        if (scores[k] > scores[best])
            best = k;
    return best;
}}
"""
