"""Measures the accuracy of networks and of `lenetscope.read` on the fifteen corruptions of MNIST-C.

The corruptions are reimplemented after N. Mu and J. Gilmer, "MNIST-C: a robustness benchmark for
computer vision", arXiv:1906.02337, with its severities, and applied to MNIST's test images. Nothing is
trained on them.

    python -m benchmarks.corruptions --run runs/reference-1 --images 10000 --read 1000

Motion blur uses the kernel of ImageMagick, but not the library. Random numbers are not those of the
published images, so accuracies may differ from theirs by chance.
"""

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from benchmarks import machine
from lenetscope.errors import LenetscopeError
from lenetscope.evaluation.scores import wilson_interval
from lenetscope.files import write_json, write_text

Array = npt.NDArray[Any]
Random = np.random.Generator
Corruption = Callable[[Array, Random], Array]
"""Returns images (N, 28, 28) in [0, 1] made of such images with a random generator."""

CORRUPTIONS: dict[str, Corruption] = {}


def _named(function: Corruption) -> Corruption:
    CORRUPTIONS[function.__name__.replace("_", " ")] = function
    return function


def corrupt(name: str, images: Array, seed: int = 0) -> Array:
    """Corrupt uint8 images (N, 28, 28); the same name, images and seed give the same result."""
    random = np.random.default_rng([seed, list(CORRUPTIONS).index(name)])
    parts = [
        CORRUPTIONS[name](images[start : start + 250].astype(np.float64) / 255, random)
        for start in range(0, len(images), 250)
    ]
    result: Array = np.rint(np.clip(np.concatenate(parts), 0, 1) * 255).astype(np.uint8)
    return result


@_named
def shot_noise(images: Array, random: Random) -> Array:
    """Add Poisson noise, with a mean of three photons for white."""
    shots: Array = random.poisson(images * 3) / 3
    return shots


@_named
def impulse_noise(images: Array, random: Random) -> Array:
    """Set 17 % of the pixels to black or white."""
    hit, white = random.random((2, *images.shape))
    return np.where(hit < 0.17, white < 0.5, images)


@_named
def glass_blur(images: Array, random: Random) -> Array:
    """Blur, swap pixels with neighbours in two passes, blur again."""
    blurred = ndimage.gaussian_filter(images, (0, 0.7, 0.7), mode="nearest")
    each = np.arange(len(images))
    for _ in range(2):
        for row in range(27, 1, -1):
            for column in range(27, 1, -1):
                swap = random.random(len(images)) < 0.5
                up, left = random.integers(-1, 1, (2, len(images))) * swap
                here, there = blurred[:, row, column].copy(), blurred[each, row + up, column + left]
                blurred[:, row, column] = there
                blurred[each, row + up, column + left] = here
    again: Array = ndimage.gaussian_filter(blurred, (0, 0.7, 0.7), mode="nearest")
    return again


@_named
def motion_blur(images: Array, random: Random) -> Array:
    """Blur along a direction within 45 degrees of the horizontal, with standard deviation 3."""
    angle = np.radians(random.uniform(-45, 45, len(images)))
    weights = np.exp(-(np.arange(21) ** 2) / (2 * 3**2))
    weights /= weights.sum()
    each, rows, columns = np.ogrid[: len(images), :28, :28]
    result = np.zeros_like(images)
    for step, weight in enumerate(weights):
        right = np.ceil(step * np.cos(angle) - 0.5).astype(int)[:, None, None]
        down = np.ceil(step * np.sin(angle) - 0.5).astype(int)[:, None, None]
        result += weight * images[each, np.clip(rows + down, 0, 27), np.clip(columns + right, 0, 27)]
    return result


def _warped(images: Array, matrices: Array) -> Array:
    """Sample each image by an affine map (N, 2, 3) of (x, y, 1), relative to the centre."""
    y, x = np.mgrid[:28, :28] - 13.5
    places = np.stack([x, y, np.ones_like(x)])  # (3, 28, 28)
    source = np.einsum("nij,jhw->nhwi", matrices, places) / 13.5
    moved = functional.grid_sample(
        torch.from_numpy(images)[:, None], torch.from_numpy(source), align_corners=True
    )
    result: Array = moved[:, 0].numpy()
    return result


def _signs(count: int, random: Random) -> Array:
    return random.choice([-1.0, 1.0], count)


def _matrices(count: int, *values: Any) -> Array:
    return np.stack([np.broadcast_to(value, (count,)) for value in values], axis=1).reshape(-1, 2, 3)


@_named
def shear(images: Array, random: Random) -> Array:
    """Shear by 0.4 radians in either direction."""
    angle = 0.4 * _signs(len(images), random)
    return _warped(images, _matrices(len(images), 1, -np.sin(angle), 0, 0, np.cos(angle), 0))


@_named
def scale(images: Array, random: Random) -> Array:
    """Shrink to 0.7 of the size."""
    return _warped(images, _matrices(len(images), 1 / 0.7, 0, 0, 0, 1 / 0.7, 0))


@_named
def rotate(images: Array, random: Random) -> Array:
    """Rotate by 0.4 radians in either direction."""
    angle = 0.4 * _signs(len(images), random)
    cos, sin = np.cos(angle), np.sin(angle)
    return _warped(images, _matrices(len(images), cos, -sin, 0, sin, cos, 0))


@_named
def brightness(images: Array, random: Random) -> Array:
    """Add 0.5 to all pixels."""
    return np.clip(images + 0.5, 0, 1)


@_named
def translate(images: Array, random: Random) -> Array:
    """Shift by three pixels both vertically and horizontally, in either direction."""
    count = len(images)
    right, down = 3 * _signs(count, random), 3 * _signs(count, random)
    return _warped(images, _matrices(count, 1, 0, right, 0, 1, down))


@_named
def stripe(images: Array, random: Random) -> Array:
    """Invert the left and the right quarter."""
    result = images.copy()
    result[:, :, :7] = 1 - images[:, :, :7]
    result[:, :, 21:] = 1 - images[:, :, 21:]
    return result


@_named
def fog(images: Array, random: Random) -> Array:
    """Add a plasma fractal, three times as bright as the image, and rescale."""
    most = images.max(axis=(1, 2), keepdims=True)
    foggy: Array = (images + 3 * _plasma(len(images), 1.4, random)[:, :28, :28]) * most / (most + 3)
    return foggy


def _plasma(count: int, decay: float, random: Random, side: int = 256) -> Array:
    """Return heights in [0, 1] by the diamond-square algorithm on a torus, (count, side, side).

    A. Fournier, D. Fussell and L. Carpenter, "Computer rendering of stochastic models", Comm. ACM
    25(6), 1982. As in the paper's figures, the roughness falls by the square of ``decay`` per step.
    """
    heights = np.zeros((count, side, side), dtype=np.float32)
    step, rough = side, 100.0

    def mean(total: Array) -> Array:
        noise = random.random(total.shape, dtype=np.float32) * 2 - 1
        return total / 4 + np.float32(rough**2) * noise

    while step >= 2:
        half = step // 2
        corners = heights[:, ::step, ::step]
        pairs = corners + np.roll(corners, -1, axis=1)
        heights[:, half::step, half::step] = mean(pairs + np.roll(pairs, -1, axis=2))
        centres = heights[:, half::step, half::step]
        across = corners + np.roll(corners, -1, axis=2)
        heights[:, ::step, half::step] = mean(across + centres + np.roll(centres, 1, axis=1))
        down = corners + np.roll(corners, -1, axis=1)
        heights[:, half::step, ::step] = mean(down + centres + np.roll(centres, 1, axis=2))
        step, rough = half, rough / decay
    heights -= heights.min(axis=(1, 2), keepdims=True)
    heights /= heights.max(axis=(1, 2), keepdims=True)
    return heights


@_named
def spatter(images: Array, random: Random) -> Array:
    """Add spots of dark grey mud."""
    liquid = ndimage.gaussian_filter(random.normal(0.65, 0.3, images.shape), (0, 1, 1), mode="nearest")
    mud = ndimage.gaussian_filter((liquid > 0.65).astype(np.float64), (0, 1.5, 1.5), mode="nearest")
    mud[mud < 0.8] = 0
    muddy: Array = images * (1 - mud) + 63 / 255 * mud
    return muddy


def _line(c0: Array, r0: Array, c1: Array, r1: Array) -> Array:
    """Draw one line per image, (N, 28, 28), that fades to zero 2.3 rows above and below it."""
    rows, columns = np.ogrid[:28, :28]
    c0, r0, c1, r1 = (value[:, None, None] for value in (c0, r0, c1, r1))
    away = np.abs(rows - (r0 + (r1 - r0) / (c1 - c0) * (columns - c0)))
    light = np.clip(1 + np.log(1 - np.clip(away, 0, 2.3 - 1e-10) / 2.3), 0, 1)
    return np.where((columns >= np.floor(c0)) & (columns < np.ceil(c1)), light, 0)


@_named
def dotted_line(images: Array, random: Random) -> Array:
    """Add a line across the image, in two of every four columns."""
    ends = random.integers(0, 27, (2, len(images))).astype(float)
    line = _line(np.zeros(len(images)), ends[0], np.full(len(images), 27.0), ends[1])
    line[:, :, np.arange(28) % 4 < 2] = 0
    return images + line


@_named
def zigzag(images: Array, random: Random) -> Array:
    """Add a bright zigzag of amplitude 2 and period 8 across, within about 12 degrees of horizontal."""
    count = len(images)
    start = random.integers(0, 27, count).astype(float)
    slope = np.arctan(random.integers(-5, 5, count) / 23)
    length = 23 / np.cos(slope)
    along = np.stack([np.zeros(count), *(np.full(count, 2.0 + 4 * k) for k in range(6)), length])
    tip = -2 / (2 * (length - 20))
    across = np.stack([np.zeros(count), *(np.full(count, 2.0 * (-1) ** k) for k in range(6)), tip])
    columns = 2 + along * np.cos(slope) - across * np.sin(slope)  # (8, N)
    rows = start + along * np.sin(slope) + across * np.cos(slope)
    result = images
    for k in range(7):
        result = np.clip(result + _line(columns[k], rows[k], columns[k + 1], rows[k + 1]), 0, 1)
    return result


@_named
def canny_edges(images: Array, random: Random) -> Array:
    """Replace the image by its edges, white on black."""
    from skimage.feature import canny

    edges = [canny(image, sigma=1) for image in images]
    return np.stack(edges).astype(float)


def main(words: list[str] | None = None) -> int:
    """Parse, measure, and write ``corruptions.json`` and ``corruptions.md``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.corruptions")
    parser.add_argument("--run", type=Path, help="folder of a run to compare with")
    parser.add_argument("--images", type=int, default=10_000, help="for the networks")
    parser.add_argument("--read", type=int, default=0, help="images for lenetscope.read, 0 for none")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    args = parser.parse_args(words)
    results = measure(args.run, args.images, args.read)
    args.out.mkdir(parents=True, exist_ok=True)
    write_json(args.out / "corruptions.json", results)
    write_text(args.out / "corruptions.md", report(results))
    return 0


def measure(run: Path | None, count: int, read_count: int) -> dict[str, Any]:
    """Return the number of correct images and n, per corruption and for none, of each classifier."""
    from lenetscope.data.splits import load
    from lenetscope.recipe import Recipe

    test = load(Recipe.load("reference")).test
    images, labels = torch.as_tensor(test.images)[:, 0].numpy(), test.labels.numpy()
    classifiers = networks(run)
    rows: dict[str, dict[str, list[int]]] = {}
    for name in ["none", *CORRUPTIONS]:
        shown = images[:count] if name == "none" else corrupt(name, images[:count])
        row = {
            label: [int((classify(shown) == labels[:count]).sum()), len(shown)]
            for label, classify in classifiers.items()
        }
        if read_count:
            row["read"] = [int((_through_read(shown[:read_count]) == labels[:read_count]).sum())]
            row["read"].append(min(read_count, len(shown)))
        rows[name] = row
        machine.log(f"{name}: " + ", ".join(f"{c} {100 * k / n:.2f} %" for c, (k, n) in row.items()))
    return {"machine": machine.describe(), "rows": rows}


def networks(run: Path | None) -> dict[str, Callable[[Array], Array]]:
    """Return functions from images (N, 28, 28) to labels (N,): the reader's, and that of a run."""
    from lenetscope import Architecture
    from lenetscope.reading.reader import load_reader

    def tensor(images: Array) -> Tensor:
        return torch.from_numpy(images)[:, None]

    classifiers: dict[str, Callable[[Array], Array]] = {}
    if run is not None:
        arch = Architecture.from_run(run, device="cpu")
        classifiers["network of the run"] = lambda images: np.concatenate(
            [arch.predict(part).argmax(axis=1) for part in torch.split(tensor(images), 250)]
        )
    reader = load_reader()
    classifiers["reader"] = lambda images: reader.single(images)[:, :10].argmax(1).numpy()
    return classifiers


def _through_read(images: Array) -> Array:
    """Return the label that `lenetscope.read` reads in each image, -1 if not a single digit."""
    from PIL import Image

    from lenetscope.reading import read

    labels = []
    for image in images:
        try:
            text = read(Image.fromarray(image)).text
        except LenetscopeError:
            text = ""
        labels.append(int(text) if len(text) == 1 else -1)
    return np.array(labels)


def report(results: dict[str, Any]) -> str:
    """Return the table, in Markdown: accuracies with 95 % intervals, and the mean of the fifteen."""
    rows: dict[str, dict[str, list[int]]] = results["rows"]
    classifiers = list(rows["none"])

    def cell(correct: int, n: int) -> str:
        low, high = wilson_interval(correct, n)
        return f"{100 * correct / n:.2f} ({100 * low:.1f} to {100 * high:.1f})"

    lines = [[name, *(cell(*row[each]) for each in classifiers)] for name, row in rows.items()]
    corrupted = [row for name, row in rows.items() if name != "none"]
    means = [
        math.fsum(row[each][0] / row[each][1] for row in corrupted) / len(corrupted)
        for each in classifiers
    ]
    lines.append(["mean of the corruptions", *(f"**{100 * mean:.2f}**" for mean in means)])
    counts = ", ".join(f"{each} n = {rows['none'][each][1]:,}" for each in classifiers)
    table = machine.table(["accuracy, %", *classifiers], lines)
    return f"{table}\nEach corruption: {counts}. {machine.sentence(results['machine'])}\n"


if __name__ == "__main__":
    sys.exit(main())
