"""Times one epoch of training per job, in the process that runs this module.

Jobs are given as JSON in the first argument, each ``{"recipe", "images", "changes"}``. One line of JSON
per job is written to standard output: images, batch size, precision, seconds of training and the peak
memory of the process so far, in bytes.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks import machine
from lenetscope import Architecture
from lenetscope.data.dataset import LabelledImages
from lenetscope.data.loader import BatchLoader
from lenetscope.data.preprocess import Preprocess

WARM_UP = 5
"""Batches trained beforehand, because the first steps include set-up."""


def train_once(recipe: str, images: int, changes: dict[str, Any]) -> dict[str, Any]:
    """Train one epoch on a number of images.

    Args:
        recipe: name of a recipe.
        images: how many; MNIST's training images are repeated, each copy shifted.
        changes: fields of the recipe to replace.

    Returns:
        ``images``, ``batch_size``, ``precision``, ``train_seconds`` and ``peak_bytes``.
    """
    # a schedule ends after the recipe's epochs of 60,000 images: there must be enough of them
    epochs = images // 60_000 + 2
    arch = Architecture.from_recipe(recipe, epochs=epochs, **changes)
    assert arch.recipe is not None
    assert arch.splits is not None
    size, preprocess = arch.recipe.batch_size, Preprocess(arch.recipe.mean, arch.recipe.std)
    # a copy for every number, though 60,000 need none: otherwise the smallest would seem cheaper
    data = repeated(arch.splits.train, images)
    few = LabelledImages(*(tensor[: WARM_UP * size] for tensor in data))
    for part in (few, data):
        order = torch.Generator().manual_seed(arch.recipe.seed)
        arch.set_loaders(BatchLoader(part, size, preprocess, order))
        arch.train(1, progress=False)
    return {
        "images": images,
        "batch_size": size,
        "precision": arch.precision,
        "train_seconds": arch.history[-1]["train_seconds"],
        "peak_bytes": peak_bytes(),
    }


def repeated(data: LabelledImages, images: int) -> LabelledImages:
    """Repeat the data, each copy shifted by a different number of whole pixels, the first by none.

    Args:
        data: images (N, C, H, W) uint8 and labels (N,).
        images: how many to return; the last copy may be incomplete.
    """
    count, *shape = data.images.shape
    pixels = torch.zeros((images, *shape), dtype=torch.uint8)
    labels = torch.empty(images, dtype=data.labels.dtype)
    starts = range(0, images, count)
    for start, (dx, dy) in zip(starts, shifts(len(starts)), strict=True):
        part = min(count, images - start)
        shift_into(pixels[start : start + part], data.images[:part], dx, dy)
        labels[start : start + part] = data.labels[:part]
    return LabelledImages(pixels, labels)


def shifts(count: int) -> list[tuple[int, int]]:
    """Return different shifts (dx, dy), shortest first, beginning with (0, 0)."""
    side = range(-count, count + 1) if count < 5 else range(-5, 6)
    everything = sorted(((dx, dy) for dx in side for dy in side), key=lambda s: s[0] ** 2 + s[1] ** 2)
    return everything[:count]


def shift_into(target: Tensor, images: Tensor, dx: int, dy: int) -> None:
    """Write ``images`` into black ``target``, shifted by dx to the right and dy down, and cropped."""
    height, width = images.shape[-2:]
    rows, columns = height - abs(dy), width - abs(dx)
    top, left = max(dy, 0), max(dx, 0)
    from_top, from_left = max(-dy, 0), max(-dx, 0)
    target[..., top : top + rows, left : left + columns] = images[
        ..., from_top : from_top + rows, from_left : from_left + columns
    ]


def peak_bytes() -> int:
    """Return the peak memory of this process (Linux and macOS).

    On Linux ``ru_maxrss`` begins with the peak of the parent process, so ``VmHWM``, which is of this
    process alone, is used where it exists.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    machine.configure()
    for job in json.loads(sys.argv[1]):
        sys.stdout.write(json.dumps(train_once(**job)) + "\n")
        sys.stdout.flush()
