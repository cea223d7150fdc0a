"""Measures how time and memory grow with the data, and speed with processes and batch size.

Writes ``growth.json`` with every measurement, ``growth.md`` and ``growth.png``. MNIST is repeated, each
copy shifted, to up to 960,000 images. Each number of images, and each round of batch sizes, is trained
in a process of its own (see `growth_child`), so that its peak memory can be measured.
"""

import argparse
import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.figures import plot_growth
from lenetscope.files import write_json, write_text
from lenetscope.plots import style
from lenetscope.recipe import Recipe

ROOT = Path(__file__).parents[1]
MNIST_TRAINING = 60_000
SIZES = [60_000, 120_000, 240_000, 480_000, 960_000]
RESTING = 1_280
"""Images of the process whose peak memory is taken as that of everything but the images."""
BATCH_SIZES = [16, 32, 64, 128, 256, 512, 1024]
BATCH_IMAGES = 12_800
PRECISIONS = ["32-true", "bf16-mixed"]
ROUNDS = 2
PROCESSES = [(1, 1), (1, 2), (2, 1)]
"""(processes, threads per process)"""


def main(out: Path, smoke: bool, recipe: str = "fast") -> None:
    """Measure, and write JSON, tables and figure into ``out``.

    Args:
        out: folder, created if necessary.
        smoke: only check that everything works; the numbers are meaningless then.
        recipe: that growing data are trained with.
    """
    results: dict[str, Any] = {
        "machine": machine.describe(),
        "smoke": smoke,
        "recipe": Recipe.load(recipe).as_dict(),
        "images": [],
        "processes": [],
        "batch_sizes": [],
    }

    def keep(part: str, row: dict[str, Any]) -> None:
        machine.log(f"growth: {part}: {json.dumps(row)}")
        results[part].append(row)
        write_json(out / "growth.json", results)

    for images in [1_280, 2_560] if smoke else [RESTING, *SIZES]:
        for row in in_child([{"recipe": recipe, "images": images, "changes": {}}]):
            keep("images", row)
    for number in range(1 if smoke else ROUNDS):
        for processes, threads in PROCESSES[-2 if smoke else 0 :]:
            keep("processes", {"round": number} | with_processes(processes, threads, smoke))
    sizes, some = ([256], 1_280) if smoke else (BATCH_SIZES, BATCH_IMAGES)
    jobs = [
        {"recipe": "reference", "images": some, "changes": {"batch_size": size, "precision": precision}}
        for size in sizes
        for precision in PRECISIONS
    ]
    for number in range(1 if smoke else ROUNDS):
        for row in in_child(jobs[:: -1 if number % 2 else 1]):
            keep("batch_sizes", {"round": number} | row)
    grown = per_image(results["images"])
    results["per_image"] = grown
    results["bytes_per_image_slope"] = slope(
        [row["images"] for row in results["images"]], [row["peak_bytes"] for row in results["images"]]
    )
    write_json(out / "growth.json", results)
    write_text(out / "growth.md", report(results))
    columns = ("images", "microseconds_per_image", "bytes_per_image")
    figure = plot_growth(*[[row[column] for row in grown] for column in columns])
    style.save(figure, out / "growth.png")


def in_child(jobs: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Run jobs of `growth_child` one after the other in a new process; yield each result.

    Raises:
        subprocess.CalledProcessError: if it fails.
    """
    command = [sys.executable, "-m", "benchmarks.growth_child", json.dumps(jobs)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if line.startswith("{"):
                yield json.loads(line)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command[:3])


def with_processes(processes: int, threads: int, smoke: bool) -> dict[str, Any]:
    """Train one epoch of recipe reference with the command line; return its seconds.

    Args:
        processes: how many divide each batch, started by ``torchrun`` if more than one.
        threads: per process.
        smoke: train on 640 blank images instead of MNIST.
    """
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    start += [f"--nproc-per-node={processes}", "-m", "lenetscope"]
    if processes == 1:
        start = [sys.executable, "-m", "lenetscope"]
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [*start, "train", "--epochs", "1", "--run-dir", str(run)]
        if smoke:
            write_blank_images(Path(folder), {"train": 640, "t10k": 100})
            command += ["--data", folder]
        began = time.perf_counter()
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        ended = subprocess.run(command, capture_output=True, text=True, env=environment)
        whole = time.perf_counter() - began
        if ended.returncode:
            machine.log(ended.stderr)
            ended.check_returncode()
        row = json.loads((run / "history.jsonl").read_text().splitlines()[0])
    return {
        "processes": processes,
        "threads": threads,
        "train_seconds": row["train_seconds"],
        "whole_seconds": round(whole, 3),
    }


def write_blank_images(folder: Path, counts: Mapping[str, int]) -> None:
    """Write black images of 28x28 with labels 0 to 9 as IDX files; ``counts`` are images per part."""
    for part, count in counts.items():
        images = struct.pack(">4I", 0x803, count, 28, 28) + bytes(count * 28 * 28)
        labels = struct.pack(">2I", 0x801, count) + bytes(k % 10 for k in range(count))
        (folder / f"{part}-images-idx3-ubyte").write_bytes(images)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(labels)


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Return the slope of y over x, by least squares."""
    return statistics.linear_regression(x, y).slope


def per_image(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the cost per image of all rows but the first, which is the baseline of the memory.

    Args:
        rows: ``images``, ``train_seconds`` and ``peak_bytes``.

    Returns:
        ``microseconds_per_image`` of training, and ``bytes_per_image``: the difference of the peak to
        that of the first row, divided by the difference of the numbers of images.
    """
    rest, *others = rows
    return [
        {
            "images": row["images"],
            "microseconds_per_image": 1e6 * row["train_seconds"] / row["images"],
            "bytes_per_image": (row["peak_bytes"] - rest["peak_bytes"])
            / (row["images"] - rest["images"]),
        }
        for row in others
    ]


def medians(
    rows: Sequence[Mapping[str, Any]], keys: Sequence[str], value: str
) -> list[tuple[list[Any], float, float, float]]:
    """Group rows by ``keys``; return each group with median, minimum and maximum of its ``value``."""
    groups: dict[str, tuple[list[Any], list[float]]] = {}
    for row in rows:
        group = [row[key] for key in keys]
        groups.setdefault(str(group), (group, []))[1].append(row[value])
    return [(g, statistics.median(v), min(v), max(v)) for g, v in groups.values()]


def report(results: Mapping[str, Any]) -> str:
    """Return the tables, in Markdown."""
    recipe, smoke = results["recipe"], results["smoke"]
    costs = [
        [
            f"{row['images']:,}",
            f"{raw['train_seconds']:.1f}",
            f"{row['microseconds_per_image']:.1f}",
            f"{raw['peak_bytes'] / 2**20:,.0f}",
            f"{row['bytes_per_image']:,.0f}",
        ]
        for row, raw in zip(results["per_image"], results["images"][1:], strict=True)
    ]
    rest = results["images"][0]
    shared = [
        [str(group[0]), str(group[1]), _spread(*numbers)]
        for group, *numbers in medians(results["processes"], ["processes", "threads"], "train_seconds")
    ]
    some = results["batch_sizes"][0]["images"]
    batches: dict[int, dict[str, str]] = {}
    for (size, precision), *numbers in medians(
        results["batch_sizes"], ["batch_size", "precision"], "train_seconds"
    ):
        scaled = [number * MNIST_TRAINING / some for number in numbers]
        batches.setdefault(size, {})[precision] = _spread(*scaled)
    by_size = [[str(s), *(row[p] for p in PRECISIONS)] for s, row in sorted(batches.items())]
    count = len({row["round"] for row in results["batch_sizes"]})
    resting = f"{rest['peak_bytes'] / 2**20:,.0f} MiB"
    parts = [
        "# Growth\n",
        "A smoke run: the numbers are meaningless.\n" if smoke else "",
        "## Images\n",
        machine.table(["images", "s", "µs per image", "peak, MiB", "bytes per image"], costs),
        f"One epoch of recipe {recipe['name']} (network {recipe['model']}, batches of "
        f"{rest['batch_size']}, {rest['precision']}), once for each number of images, in a process "
        "of its own. MNIST's training images are repeated, each copy shifted by a different number "
        "of whole pixels; they are not augmented otherwise. Bytes per image: increase of the peak "
        f"over {resting}, that of {rest['images']:,} images, per additional image; by least squares "
        f"{results['bytes_per_image_slope']:,.0f}. An image and its label take 792 bytes.\n",
        "## Processes\n",
        machine.table(["processes", "threads per process", "training, s per epoch"], shared),
        f"Recipe reference, {'640 blank' if smoke else 'all 60,000'} images. Median, minimum and "
        "maximum of interleaved rounds.\n",
        "## Batch sizes\n",
        machine.table(["batch size", *(f"{p}, s per epoch" for p in PRECISIONS)], by_size),
        f"Recipe reference except for batch size and precision, measured on {some:,} of MNIST's "
        f"images and scaled to 60,000. Median, minimum and maximum of {count} round(s).\n",
        machine.sentence(results["machine"]) + "\n",
    ]
    return "\n".join(part for part in parts if part)


def _spread(middle: float, low: float, high: float) -> str:
    return f"{middle:.1f} ({low:.1f} to {high:.1f})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--recipe", default="fast")
    options = parser.parse_args()
    main(options.out, options.smoke, options.recipe)
