"""Measures what each speed optimisation contributes: training steps with one of them left out.

Writes ``ablation.json`` and ``ablation.md``. Each variant of the recipe ``reference`` runs in a process
of its own, because the layout of the heap depends on what ran before; variants take turns in rounds.
"""

import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from benchmarks import machine
from lenetscope import Architecture
from lenetscope.data.dataset import LabelledImages
from lenetscope.data.loader import BatchLoader
from lenetscope.data.sources.mnist import mnist_folder
from lenetscope.files import write_json, write_text
from lenetscope.models.lenet import LeNet

ROOT = Path(__file__).parents[1]
ROUNDS = 2
STEPS = 250
PRECISIONS = ("32-true", "bf16-mixed")

VARIANTS = {
    "whole": "all optimisations",
    "one-by-one": "images transformed one by one (torchvision's MNIST in a DataLoader)",
    "contiguous": "`--memory-format contiguous`",
    "relu-first": "ReLU before the pooling",
    "freed": "freed memory returned to the system",
    "compiled": "`--compile`",
}
"""Name on the child's command line, and description in the table."""

RELU_FIRST = (
    "conv1", "relu1", "pool1", "conv2", "relu2", "pool2", "flatten", "fc1", "relu3", "dropout", "fc2",
)  # fmt: skip
"""Layers in the order of the variant "relu-first"."""


class _ReluFirst(LeNet):
    """The same function, with ReLU before pooling as in textbooks."""

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K)."""
        values = images
        for name in RELU_FIRST:
            values = self.get_submodule(name)(values)
        return values


def main(out: Path, smoke: bool) -> None:
    """Measure, and write the two files.

    Args:
        out: folder, created if necessary.
        smoke: only check that everything works; the numbers are meaningless then.
    """
    steps = 5 if smoke else STEPS
    results: dict[str, Any] = {"machine": machine.describe(), "steps": steps, "measurements": []}
    variants = [each for each in VARIANTS if each != "compiled"] if smoke else list(VARIANTS)
    for number in range(1 if smoke else ROUNDS):
        for variant in variants:
            row = {"round": number, "variant": variant} | _in_child(variant, steps)
            machine.log(f"ablation: {json.dumps(row)}")
            results["measurements"].append(row)
    write_json(out / "ablation.json", results)
    write_text(out / "ablation.md", report(results))


def _in_child(variant: str, steps: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.ablation", variant, str(steps)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def step_milliseconds(variant: str, precision: str, steps: int) -> float:
    """Return the mean time of a training step of 64 images, in ms, after as many that do not count.

    Args:
        variant: one of `VARIANTS`.
        precision: of the recipe.
        steps: number of steps.
    """
    machine.configure(keep_freed_memory=variant != "freed")
    changes: dict[str, Any] = {"compile": True} if variant == "compiled" else {}
    if variant == "contiguous":
        changes["memory_format"] = "contiguous"
    arch = Architecture.from_recipe("reference", device="cpu", precision=precision, **changes)
    if variant == "relu-first":
        arch.model.__class__ = _ReluFirst
    arch.set_loaders(_loader(arch, variant, 64 * steps))
    arch.train(1, progress=False)
    arch.train(1, progress=False)
    return 1e3 * float(arch.history[-1]["train_seconds"]) / steps


def _loader(arch: Architecture, variant: str, images: int) -> Any:
    assert arch.splits is not None
    whole = arch.train_loader
    if variant != "one-by-one":
        train = arch.splits.train
        data = LabelledImages(train.images[:images], train.labels[:images])
        return BatchLoader(data, 64, whole.transform, whole.generator)
    from torchvision.datasets import MNIST
    from torchvision.transforms import v2

    transform = v2.Compose(
        [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize((0.5,), (0.5,))]
    )
    some = Subset(MNIST(mnist_folder().parents[1], transform=transform), range(images))
    return DataLoader(some, batch_size=64, shuffle=True)


def report(results: dict[str, Any]) -> str:
    """Return the table, in Markdown: median time of a step, and its ratio to that of "whole"."""
    rows = results["measurements"]

    def cell(variant: str, precision: str) -> str:
        found = [row for row in rows if row["variant"] == variant]
        base = {row["round"]: row[precision] for row in rows if row["variant"] == "whole"}
        ratio = median(row[precision] / base[row["round"]] for row in found)
        return f"{median(row[precision] for row in found):.1f} ms, {ratio:.2f}"

    variants = [each for each in VARIANTS if any(row["variant"] == each for row in rows)]
    lines = [
        [VARIANTS[each], *(cell(each, precision) for precision in PRECISIONS)] for each in variants
    ]
    return (
        machine.table(["step of 64 images", "float32", "bfloat16"], lines)
        + f"\nMedian of {1 + max(row['round'] for row in rows)} round(s) of {results['steps']} steps, "
        + f"and of its ratio to the first row. {machine.sentence(results['machine'])}\n"
    )


if __name__ == "__main__":
    measured = {each: step_milliseconds(sys.argv[1], each, int(sys.argv[2])) for each in PRECISIONS}
    sys.stdout.write(json.dumps(measured) + "\n")
