"""Compiling a network's C: to ask it for scores, and to see how many bytes it takes."""

import ctypes
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lenetscope.errors import ExportError, RunError, UsageError
from lenetscope.evaluation.outputs import Array

FAST = ("-O3", "-march=native"), ("-O3",)
"""For the proof; the first is not known to every compiler."""

LIBRARY = """\
#include "{name}.h"

const int32_t lenetscope_sizes[5] = {{
    {upper}_CHANNELS, {upper}_HEIGHT, {upper}_WIDTH, {upper}_CLASSES, {upper}_SCORE_BITS
}};

void lenetscope_scores(const uint8_t *images, int32_t count, int32_t *scores)
{{
    int32_t n;
    for (n = 0; n < count; ++n)
        {name}_predict(images + n * {upper}_CHANNELS * {upper}_HEIGHT * {upper}_WIDTH,
                       scores + n * {upper}_CLASSES);
}}
"""
"""Compiled with a network to call it for several images."""


def find_compiler() -> str:
    """Return the path of a C compiler.

    Raises:
        UsageError: if there is none.
    """
    if found := next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None):
        return found
    raise UsageError(
        "exported C is proved by compiling it, and there is no C compiler: install gcc or clang."
    )


def _compile(compiler: str, arguments: Sequence[str | Path]) -> None:
    command = [compiler, "-std=c99", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        why = next((line for line in done.stderr.splitlines() if "error" in line), "it gives no reason")
        raise ExportError(f"the C does not compile with {Path(compiler).name}: {why}")


@dataclass(frozen=True)
class Compiled:
    """A network in C, compiled and loaded; its static memory makes callers wait for each other.

    Attributes:
        image_shape: (C, H, W).
        classes: their names.
        score_bits: a score is a logit times 2 to this power.
        library: that was loaded.
        lock: held during a call.
    """

    image_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    score_bits: int
    library: ctypes.CDLL
    lock: threading.Lock

    def scores(self, images: Array) -> Array:
        """Return (N, K) int32 for images (N, C, H, W) uint8 in one block of memory."""
        found = np.empty((len(images), len(self.classes)), np.int32)
        with self.lock:
            self.library.lenetscope_scores(
                images.ctypes.data_as(ctypes.c_void_p),
                ctypes.c_int32(len(images)),
                found.ctypes.data_as(ctypes.c_void_p),
            )
        return found


def load(path: Path) -> Compiled:
    """Compile a network and load it into this process: only what one has exported oneself.

    Args:
        path: of ``NAME.c``, beside ``NAME.h``.

    Raises:
        RunError: if the header is missing, or is not that of an export.
        UsageError: if there is no compiler.
        ExportError: if it does not compile.
    """
    compiler, name, header = find_compiler(), path.stem, path.with_suffix(".h")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or not header.is_file():
        raise RunError(f"{path} is not the C of an export: {header.name} must lie beside it.")
    if f"{name}_class_names" not in header.read_text("utf-8", "replace"):
        raise RunError(f"{header} is not the header of an export.")
    with tempfile.TemporaryDirectory() as folder:
        library, glue = Path(folder) / "network.so", Path(folder) / "library.c"
        glue.write_text(LIBRARY.format(name=name, upper=name.upper()), "utf-8")
        sources = "-fPIC", "-shared", "-I", path.parent, "-o", library, path, glue
        try:
            _compile(compiler, (*FAST[0], *sources))
        except ExportError:
            _compile(compiler, (*FAST[1], *sources))
        loaded = ctypes.CDLL(str(library))
    channels, height, width, classes, bits = (ctypes.c_int32 * 5).in_dll(loaded, "lenetscope_sizes")
    names = (ctypes.c_char_p * classes).in_dll(loaded, f"{name}_class_names")
    decoded = tuple((each or b"").decode() for each in names)
    return Compiled((channels, height, width), decoded, bits, loaded, threading.Lock())


@dataclass(frozen=True)
class Footprint:
    """Bytes that a compiled network takes.

    Attributes:
        flash: code and tables.
        ram: variables, without the image, the scores and the stack.
        machine: that it was compiled for, and how.
    """

    flash: int
    ram: int
    machine: str


TARGETS = (
    (("arm-none-eabi-gcc",), "arm-none-eabi-size", ("-mcpu=cortex-m4", "-mthumb"), "a Cortex-M4"),
    (("cc", "gcc", "clang"), "size", ("-fno-pie",), "the machine that exported it"),
)
"""Compilers, what counts their bytes, options, and the machine: the first that is there is taken."""


def footprint(path: Path) -> Footprint | None:
    """Compile a network for its size; None if nothing can count its bytes.

    Args:
        path: of ``NAME.c``, beside ``NAME.h``.
    """
    for compilers, counter, options, machine in TARGETS:
        compiler = next(filter(None, map(shutil.which, compilers)), None)
        if not compiler or not shutil.which(counter):
            continue
        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder) / "network.o"
            _compile(compiler, ("-Os", "-ffreestanding", *options, "-c", path, "-o", made))
            counted = subprocess.run([counter, made], capture_output=True, text=True, check=False)
        numbers = re.search(r"^\s*(\d+)\s+(\d+)\s+(\d+)\s", counted.stdout, re.MULTILINE)
        if numbers:
            text, data, bss = map(int, numbers.groups())
            return Footprint(text + data, data + bss, f"{machine}, {Path(compiler).name} -Os")
    return None
