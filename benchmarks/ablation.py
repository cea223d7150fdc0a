"""What each means of being fast is worth: the same training steps with one of them taken away.

In: MNIST and the recipe ``seed``. Out: ``ablation.json`` and ``ablation.md``. Each way runs in a
process of its own, because memory stays where a process got it; they take turns, round after round.
"""

import json
import os
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
from lenetscope.datasets import BatchLoader, LabelledImages
from lenetscope.datasets.mnist import lay_out_mnist
from lenetscope.files import write_json, write_text
from lenetscope.models import LeNet

ROOT = Path(__file__).parents[1]
ROUNDS = 2
STEPS = 250
PRECISIONS = ("32-true", "bf16-mixed")

WAYS = {
    "whole": "as it is",
    "one-by-one": "images transformed one by one (torchvision's MNIST in a DataLoader)",
    "contiguous": "`--memory-format contiguous`",
    "relu-first": "ReLU before the pooling",
    "freed": "freed memory handed back to the system",
    "compiled": "`--compile`",
}
"""By name for the child process, with what stands in the table."""


class _ReluFirst(LeNet):
    """The same function, computed in the order of the textbooks."""

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K)."""
        x = self.pool1(self.relu1(self.conv1(images)))
        x = self.pool2(self.relu2(self.conv2(x)))
        logits: Tensor = self.fc2(self.dropout(self.relu3(self.fc1(self.flatten(x)))))
        return logits


def main(out: Path, smoke: bool) -> None:
    """Measure, and write the two files.

    Args:
        out: folder, made if need be.
        smoke: do as little as shows that everything works; the numbers mean nothing then.
    """
    steps = 5 if smoke else STEPS
    results: dict[str, Any] = {"machine": machine.describe(), "steps": steps, "measurements": []}
    ways = [way for way in WAYS if way != "compiled"] if smoke else list(WAYS)
    for number in range(1 if smoke else ROUNDS):
        for way in ways:
            row = {"round": number, "way": way} | _in_child(way, steps)
            machine.tell(f"ablation: {json.dumps(row)}")
            results["measurements"].append(row)
    write_json(out / "ablation.json", results)
    write_text(out / "ablation.md", report(results))


def _in_child(way: str, steps: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.ablation", way, str(steps)]
    # with a variable of glibc's in sight nothing is changed: this one says what is so anyway
    freed = {"MALLOC_PERTURB_": "0"} if way == "freed" else {}
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | freed, check=True, stdout=subprocess.PIPE, text=True
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def step_milliseconds(way: str, precision: str, steps: int) -> float:
    """Return what a training step of 64 images takes, after as many that do not count.

    Args:
        way: one of `WAYS`.
        precision: of the recipe.
        steps: how many.
    """
    changes: dict[str, Any] = {"compile": True} if way == "compiled" else {}
    if way == "contiguous":
        changes["memory_format"] = "contiguous"
    arch = Architecture.from_recipe("seed", device="cpu", precision=precision, **changes)
    if way == "relu-first":
        arch.model.__class__ = _ReluFirst
    arch.set_loaders(_loader(arch, way, 64 * steps))
    arch.train(1, progress=False)
    arch.train(1, progress=False)
    return 1e3 * float(arch.history[-1]["train_seconds"]) / steps


def _loader(arch: Architecture, way: str, images: int) -> Any:
    assert arch.splits is not None
    whole = arch.train_loader
    if way != "one-by-one":
        train = arch.splits.train
        data = LabelledImages(train.images[:images], train.labels[:images])
        return BatchLoader(data, 64, whole.transform, whole.generator)
    from torchvision.datasets import MNIST
    from torchvision.transforms import v2

    transform = v2.Compose(
        [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize((0.5,), (0.5,))]
    )
    some = Subset(MNIST(lay_out_mnist(), transform=transform), range(images))
    return DataLoader(some, batch_size=64, shuffle=True)


def report(results: dict[str, Any]) -> str:
    """Return the table, in Markdown: median milliseconds of a step, and how often as long as whole."""
    rows = results["measurements"]

    def cell(way: str, precision: str) -> str:
        found = [row for row in rows if row["way"] == way]
        base = {row["round"]: row[precision] for row in rows if row["way"] == "whole"}
        ratio = median(row[precision] / base[row["round"]] for row in found)
        return f"{median(row[precision] for row in found):.1f} ms, {ratio:.2f}"

    ways = [way for way in WAYS if any(row["way"] == way for row in rows)]
    lines = [[WAYS[way], *(cell(way, precision) for precision in PRECISIONS)] for way in ways]
    return (
        machine.table(["a step of 64 images", "float32", "bfloat16"], lines)
        + f"\nMedian of {1 + max(row['round'] for row in rows)} round(s) of {results['steps']} steps, "
        + f"and of its ratio to the first row. {machine.sentence(results['machine'])}\n"
    )


if __name__ == "__main__":
    measured = {each: step_milliseconds(sys.argv[1], each, int(sys.argv[2])) for each in PRECISIONS}
    sys.stdout.write(json.dumps(measured) + "\n")
