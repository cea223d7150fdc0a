"""Compares an epoch of the recipe ``reference`` with its lower bound, the time of the arithmetic alone.

Writes ``floor.json`` and ``floor.md``: the floating point operations per epoch, the speed of matrix
products and of the second convolution on this machine, the lower bound that follows, and the time of
each operation in real training steps, on real digits, because the speed of pooling depends on them.

torch's profiler cannot be used here: its records fill the gaps of the heap, so that each step gets new
memory, which the system must zero first.
"""

import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks import machine
from lenetscope import Architecture
from lenetscope.data.dataset import LabelledImages
from lenetscope.data.loader import BatchLoader
from lenetscope.files import write_json, write_text

IMAGES = 60_000
FORWARD = {
    "conv1": 2 * 28 * 28 * 32 * 9,
    "conv2": 2 * 14 * 14 * 64 * 32 * 9,
    "fc1": 2 * 3136 * 128,
    "fc2": 2 * 128 * 10,
}
"""Floating point operations per image; a multiplication with its addition counts as two."""
EPOCH = IMAGES * (3 * sum(FORWARD.values()) - FORWARD["conv1"])
"""Forward pass, gradients of weights, and gradients of inputs, which the first layer does not need."""

PARTS = {
    "convolution": ("convolution",),
    "linear layers": ("mm", "addmm"),
    "pooling": ("max_pool2d",),
    "ReLU and dropout": ("threshold_backward", "relu", "bernoulli", "mul.Tensor", "div_.Scalar"),
    "casts and copies": ("_to_copy", "copy", "clone"),
    "optimizer": ("_fused_sgd",),
    "selecting and preprocessing images": ("index_select", "randperm", "mul_.", "sub_.", "div_.Tensor"),
}
"""Prefixes of the names of operations; all others are "other operations"."""
BETWEEN = "between operations"
"""Python, autograd and dispatch: the rest of the time of a step."""


class Stopwatch(TorchDispatchMode):
    """Times each operation, forward and backward, when its kernel is called."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seconds: dict[str, float] = defaultdict(float)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run and time one operation."""
        started = time.perf_counter()
        result = func(*args, **(kwargs or {}))
        self.seconds[func.__name__] += time.perf_counter() - started
        return result


def main(out: Path, smoke: bool) -> None:
    """Measure, and write the two files.

    Args:
        out: folder, created if necessary.
        smoke: only check that everything works; the numbers are meaningless then.
    """
    machine.configure()
    results: dict[str, Any] = {"machine": machine.describe(), "smoke": smoke, "flop_per_epoch": EPOCH}
    for name, dtype, precision in (
        ("float32", torch.float32, "32-true"),
        ("bfloat16", torch.bfloat16, "bf16-mixed"),
    ):
        product, convolution = peaks(dtype, seconds=0.1 if smoke else 2.0)
        results[name] = {
            "product_gflops": product,
            "convolution_gflops": convolution,
            "floor_seconds": EPOCH / (1e9 * max(product, convolution)),
            **steps(precision, 10 if smoke else 300),
        }
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "floor.json", results)
    write_text(out / "floor.md", report(results))


def peaks(dtype: torch.dtype, seconds: float) -> tuple[float, float]:
    """Return the highest GFLOP/s of a matrix product, and of the second convolution's forward pass."""
    side, batch = 2048, 64
    left, right = (torch.randn(side, side, dtype=dtype) for _ in range(2))
    maps = torch.randn(batch, 32, 14, 14, dtype=dtype).to(memory_format=torch.channels_last)
    layer = torch.nn.Conv2d(32, 64, 3, padding=1, dtype=dtype).to(memory_format=torch.channels_last)
    with torch.no_grad():
        product = _best(lambda: left @ right, seconds)
        convolution = _best(lambda: layer(maps), seconds)
    return 2e-9 * side**3 / product, 1e-9 * batch * FORWARD["conv2"] / convolution


def _best(call: Callable[[], Any], seconds: float) -> float:
    call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return min(times)


def steps(precision: str, count: int) -> dict[str, Any]:
    """Train a number of real steps, first timed as a whole, then with each operation timed.

    Returns:
        ``epoch_seconds`` at the speed of these steps, and ``fractions`` of it by part.
    """
    arch = Architecture.from_recipe("reference", device="cpu", precision=precision)
    assert arch.splits is not None
    whole = arch.train_loader
    data = LabelledImages(
        arch.splits.train.images[: 64 * count], arch.splits.train.labels[: 64 * count]
    )
    arch.set_loaders(BatchLoader(data, 64, whole.transform, whole.generator))
    arch.train(1, progress=False)  # warms up
    arch.train(2, progress=False)
    clock = min(row["train_seconds"] for row in arch.history[1:])
    with Stopwatch() as watch:
        arch.train(1, progress=False)
    spent: dict[str, float] = defaultdict(float)
    for name, seconds in watch.seconds.items():
        part = next((part for part, keys in PARTS.items() if name.startswith(keys)), "other operations")
        spent[part] += seconds
    total = max(clock, sum(spent.values()))  # timing adds time between operations only
    spent[BETWEEN] = total - sum(spent.values())
    fractions = {part: value / total for part, value in sorted(spent.items(), key=lambda kv: -kv[1])}
    return {"epoch_seconds": clock * IMAGES / (64 * count), "fractions": fractions}


def report(results: dict[str, Any]) -> str:
    """Return the tables, in Markdown."""
    kinds = [results["float32"], results["bfloat16"]]
    lines = [
        ["matrix product, GFLOP/s", *(f"{kind['product_gflops']:,.0f}" for kind in kinds)],
        [
            "second convolution alone, GFLOP/s",
            *(f"{kind['convolution_gflops']:,.0f}" for kind in kinds),
        ],
        [
            "lower bound of an epoch at the higher of the two, s",
            *(f"{k['floor_seconds']:.1f}" for k in kinds),
        ],
        ["measured epoch, s", *(f"{kind['epoch_seconds']:.1f}" for kind in kinds)],
    ]
    lines.extend(
        [f"of which {part}", *(f"{100 * kind['fractions'].get(part, 0):.0f} %" for kind in kinds)]
        for part in kinds[1]["fractions"]
    )
    return (
        machine.table(["", "float32", "bfloat16"], lines)
        + f"\n{results['flop_per_epoch'] / 1e12:.2f} TFLOP per epoch. "
        + f"{machine.sentence(results['machine'])}\n"
    )
