"""Measures how fast images are classified, one at a time and in batches.

Writes ``inference.json`` with every measurement, ``inference.md`` and ``inference.png``. The network of
the recipe ``reference`` is trained for some steps, so that its activations are realistic, and
classifies MNIST's test images. Both contenders take uint8 arrays and return probabilities as arrays.
They take turns in rounds, in reverse order every second time, so that changes of the machine favour
neither.
"""

import copy
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torchvision.transforms import v2

from benchmarks import machine
from benchmarks.figures import plot_inference
from lenetscope import Architecture
from lenetscope.data.dataset import LabelledImages
from lenetscope.data.loader import BatchLoader
from lenetscope.data.preprocess import Preprocess
from lenetscope.files import write_json, write_text
from lenetscope.plots import style

Array = npt.NDArray[Any]
Classify = Callable[[Array], Array]
"""Returns probabilities (N, K) of uint8 images (N, 1, H, W)."""

BATCH = 1000
"""Images per batch."""


def main(out: Path, smoke: bool) -> None:
    """Measure, and write JSON, table and figure into ``out``.

    Args:
        out: folder, created if necessary.
        smoke: only check that everything works; the numbers are meaningless then.
    """
    machine.configure()
    arch = trained(steps=20 if smoke else 300)
    assert arch.splits is not None
    test = arch.splits.test.images
    assert isinstance(test, torch.Tensor)  # MNIST is in memory
    images = test.numpy()
    rivals = contenders(arch)
    require_same_answers(rivals, images[:100])
    rounds, single, batches = (2, 30, 1) if smoke else (7, 300, 5)
    results: dict[str, Any] = {"machine": machine.describe(), "smoke": smoke, "batch": BATCH}
    results["rounds"] = []
    for number in range(rounds):
        machine.log(f"inference: round {number + 1} of {rounds}")
        for name, classify in in_turn(rivals, number):
            row = {"round": number, "name": name} | measure(classify, images, single, batches)
            results["rounds"].append(row)
            write_json(out / "inference.json", results)
    results["summary"] = [summary(results["rounds"], name) for name in rivals]
    write_json(out / "inference.json", results)
    write_text(out / "inference.md", report(results))
    columns = ("name", "p50_ms", "p95_ms", "batch_images_per_second")
    values = [[row[column] for row in results["summary"]] for column in columns]
    style.save(plot_inference(*values, batch=BATCH), out / "inference.png")


def trained(steps: int) -> Architecture:
    """Return the network of recipe reference after some steps on the first training images."""
    arch = Architecture.from_recipe("reference")
    assert arch.splits is not None
    assert arch.recipe is not None
    size = arch.recipe.batch_size
    some = LabelledImages(*(part[: steps * size] for part in arch.splits.train))
    arch.set_loaders(BatchLoader(some, size, Preprocess(arch.recipe.mean, arch.recipe.std)))
    arch.train(1, progress=False)
    return arch


def contenders(arch: Architecture) -> dict[str, Classify]:
    """Return both ways to classify with the same weights, each with its own copy of the network."""
    assert arch.recipe is not None
    transform = v2.Compose(
        [
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(mean=list(arch.recipe.mean), std=list(arch.recipe.std)),
        ]
    )
    # lenetscope may use another memory layout for the weights, tutorials do not
    model = copy.deepcopy(arch.model).eval().to(memory_format=torch.contiguous_format)

    def eager(images: Array) -> Array:
        batch = torch.stack([transform(image) for image in images.transpose(0, 2, 3, 1)])
        with torch.no_grad():
            probabilities: Array = torch.softmax(model(batch), dim=1).numpy()
        return probabilities

    return {"eager PyTorch": eager, "predict_proba": arch.predict_proba}


def require_same_answers(rivals: Mapping[str, Classify], images: Array) -> None:
    """Raise `AssertionError` unless all contenders return the same probabilities."""
    first, *others = (classify(images) for classify in rivals.values())
    for other in others:
        np.testing.assert_allclose(other, first, rtol=1e-4, atol=1e-6)


def in_turn(rivals: Mapping[str, Classify], number: int) -> list[tuple[str, Classify]]:
    """Return the contenders in the order of a round, which is reversed every second time."""
    return list(rivals.items())[:: -1 if number % 2 else 1]


def measure(classify: Classify, images: Array, single: int, batches: int) -> dict[str, Any]:
    """Time one contender for one round.

    Args:
        classify: the contender.
        images: (N, 1, H, W) uint8, at least `BATCH` of them.
        single: number of calls with one image.
        batches: number of calls with `BATCH` images.

    Returns:
        ``single_ms`` and ``batch_ms``, the time of each call in ms.
    """
    singles = [images[k % len(images)][None] for k in range(single)]
    starts = [k * BATCH % (len(images) - BATCH + 1) for k in range(batches)]
    for _ in range(5):  # the first calls include set-up
        classify(singles[0])
    one_by_one = [_milliseconds(classify, image) for image in singles]
    classify(images[:BATCH])
    together = [_milliseconds(classify, images[start : start + BATCH]) for start in starts]
    return {"single_ms": one_by_one, "batch_ms": together}


def _milliseconds(classify: Classify, images: Array) -> float:
    started = time.perf_counter()
    classify(images)
    return round(1000 * (time.perf_counter() - started), 4)


def summary(rows: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    """Summarise the rounds of one contender.

    Returns:
        ``p50_ms`` and ``p95_ms`` of all single calls; ``p50_ms_spread``, the lowest and the highest
        median of a round; images per second, as the median of the rounds, and their spread.
    """
    mine = [row for row in rows if row["name"] == name]
    calls = np.concatenate([row["single_ms"] for row in mine])
    medians = [statistics.median(row["single_ms"]) for row in mine]
    single = [1000 * len(row["single_ms"]) / sum(row["single_ms"]) for row in mine]
    batch = [1000 * BATCH * len(row["batch_ms"]) / sum(row["batch_ms"]) for row in mine]
    return {
        "name": name,
        "rounds": len(mine),
        "single_calls": len(calls),
        "batch_calls": sum(len(row["batch_ms"]) for row in mine),
        "p50_ms": float(np.percentile(calls, 50)),
        "p95_ms": float(np.percentile(calls, 95)),
        "p50_ms_spread": [min(medians), max(medians)],
        "single_images_per_second": statistics.median(single),
        "single_spread": [min(single), max(single)],
        "batch_images_per_second": statistics.median(batch),
        "batch_spread": [min(batch), max(batch)],
    }


def report(results: Mapping[str, Any]) -> str:
    """Return the tables, in Markdown."""
    rows = results["summary"]
    head = [
        "",
        "one image: p50, ms (rounds)",
        "p95, ms",
        "images/s one by one (rounds)",
        f"images/s in batches of {BATCH:,} (rounds)",
    ]
    lines = [
        [
            row["name"],
            f"{row['p50_ms']:.3f} ({row['p50_ms_spread'][0]:.3f} to {row['p50_ms_spread'][1]:.3f})",
            f"{row['p95_ms']:.3f}",
            _with_spread(row["single_images_per_second"], row["single_spread"]),
            _with_spread(row["batch_images_per_second"], row["batch_spread"]),
        ]
        for row in rows
    ]
    first = rows[0]
    return (
        "# Inference\n\n"
        + ("A smoke run: the numbers are meaningless.\n\n" if results["smoke"] else "")
        + machine.table(head, lines)
        + f"\n{first['rounds']} interleaved rounds, {first['single_calls']:,} calls with one image and "
        f"{first['batch_calls']} with {BATCH:,} per contender, on MNIST's test images. Speeds are "
        "medians of rounds, with the lowest and the highest round in brackets. Eager PyTorch "
        "transforms image by image, as in tutorials; `predict_proba` takes the same uint8 arrays. "
        f"{machine.sentence(results['machine'])}\n"
    )


def _with_spread(value: float, spread: Sequence[float]) -> str:
    return f"{value:,.0f} ({spread[0]:,.0f} to {spread[1]:,.0f})"
