"""One epoch of training, timed, in the process that this module is run in.

In: jobs as JSON in the first argument, each ``{"recipe", "images", "changes"}``. Out: a line of JSON
a job on standard output: images, batch size, precision, seconds of training and the peak of memory
of the process so far, in bytes.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lenetscope import Architecture
from lenetscope.datasets import BatchLoader, LabelledImages, Preprocess

WARM_UP = 5
"""Batches trained beforehand: what is set up at the first steps is not what is measured."""


def train_once(recipe: str, images: int, changes: dict[str, Any]) -> dict[str, Any]:
    """Train one epoch on so many images.

    Args:
        recipe: name of a recipe.
        images: how many; MNIST's training images are repeated under shifts.
        changes: fields of the recipe to replace.

    Returns:
        ``images``, ``batch_size``, ``precision``, ``train_seconds`` and ``peak_bytes``.
    """
    # a schedule ends after the recipe's epochs of 60,000 images: give it as many as will be done
    epochs = images // 60_000 + 2
    arch = Architecture.from_recipe(recipe, epochs=epochs, **changes)
    assert arch.recipe is not None
    assert arch.splits is not None
    size, preprocess = arch.recipe.batch_size, Preprocess(arch.recipe.mean, arch.recipe.std)
    # for every number a copy, though 60,000 need none: else the smallest would look cheaper
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
    """Return so many images: the data, then shifted copies of it, each by other whole pixels.

    Args:
        data: images (N, C, H, W) uint8 and labels (N,).
        images: how many to return; the last copy may be cut off.
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
    """Return so many different shifts (dx, dy), the shortest first, so that (0, 0) is the first."""
    side = range(-count, count + 1) if count < 5 else range(-5, 6)
    everything = sorted(((dx, dy) for dx in side for dy in side), key=lambda s: s[0] ** 2 + s[1] ** 2)
    return everything[:count]


def shift_into(target: Tensor, images: Tensor, dx: int, dy: int) -> None:
    """Write ``images`` into black ``target``, dx pixels to the right and dy down; rests fall off."""
    height, width = images.shape[-2:]
    rows, columns = height - abs(dy), width - abs(dx)
    top, left = max(dy, 0), max(dx, 0)
    from_top, from_left = max(-dy, 0), max(-dx, 0)
    target[..., top : top + rows, left : left + columns] = images[
        ..., from_top : from_top + rows, from_left : from_left + columns
    ]


def peak_bytes() -> int:
    """Return the most memory that this process has had in use (Linux and macOS).

    Linux starts ``ru_maxrss`` at the peak of the process that started this one; ``VmHWM`` is of this
    process alone, and is taken where it is.
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
    for job in json.loads(sys.argv[1]):
        sys.stdout.write(json.dumps(train_once(**job)) + "\n")
        sys.stdout.flush()
