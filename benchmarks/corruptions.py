"""The fifteen corruptions of MNIST-C, and how well networks and `lenetscope.read` see through them.

In: MNIST's test images; networks. Out: a table of accuracies. The corruptions are written anew after
N. Mu and J. Gilmer, "MNIST-C: a robustness benchmark for computer vision", arXiv:1906.02337, at its
severities. Nothing is trained on them.

    python -m benchmarks.corruptions --run runs/seed-1 --images 10000 --read 1000

Motion blur is theirs but for ImageMagick, whose kernel is written out; all random choices are drawn
anew, so that figures may differ from those on their published images by what chance does.
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
"""Of images (N, 28, 28) in [0, 1] and a random stream: such images again."""

CORRUPTIONS: dict[str, Corruption] = {}


def _named(function: Corruption) -> Corruption:
    CORRUPTIONS[function.__name__.replace("_", " ")] = function
    return function


def corrupt(name: str, images: Array, seed: int = 0) -> Array:
    """Corrupt uint8 images (N, 28, 28); the same name, images and seed give the same."""
    random = np.random.default_rng([seed, list(CORRUPTIONS).index(name)])
    parts = [
        CORRUPTIONS[name](images[start : start + 250].astype(np.float64) / 255, random)
        for start in range(0, len(images), 250)
    ]
    result: Array = np.rint(np.clip(np.concatenate(parts), 0, 1) * 255).astype(np.uint8)
    return result


@_named
def shot_noise(images: Array, random: Random) -> Array:
    """Count photons, three for white."""
    shots: Array = random.poisson(images * 3) / 3
    return shots


@_named
def impulse_noise(images: Array, random: Random) -> Array:
    """Make 17 % of the pixels black or white."""
    hit, white = random.random((2, *images.shape))
    return np.where(hit < 0.17, white < 0.5, images)


@_named
def glass_blur(images: Array, random: Random) -> Array:
    """Blur, exchange pixels with neighbours twice over, blur again."""
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
    """Drag each image one way, up to 45 degrees off the horizontal, with a tail of deviation 3."""
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
    """Take each pixel from where its matrix (N, 2, 3) of (x, y, 1) about the centre says."""
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
    """Slant by an angle of 0.4 either way."""
    angle = 0.4 * _signs(len(images), random)
    return _warped(images, _matrices(len(images), 1, -np.sin(angle), 0, 0, np.cos(angle), 0))


@_named
def scale(images: Array, random: Random) -> Array:
    """Shrink to 0.7 of the size."""
    return _warped(images, _matrices(len(images), 1 / 0.7, 0, 0, 0, 1 / 0.7, 0))


@_named
def rotate(images: Array, random: Random) -> Array:
    """Turn by an angle of 0.4 either way."""
    angle = 0.4 * _signs(len(images), random)
    cos, sin = np.cos(angle), np.sin(angle)
    return _warped(images, _matrices(len(images), cos, -sin, 0, sin, cos, 0))


@_named
def brightness(images: Array, random: Random) -> Array:
    """Add half of white."""
    return np.clip(images + 0.5, 0, 1)


@_named
def translate(images: Array, random: Random) -> Array:
    """Shift by three pixels, up or down and left or right."""
    count = len(images)
    right, down = 3 * _signs(count, random), 3 * _signs(count, random)
    return _warped(images, _matrices(count, 1, 0, right, 0, 1, down))


@_named
def stripe(images: Array, random: Random) -> Array:
    """Make a negative of the left and the right quarter."""
    result = images.copy()
    result[:, :, :7] = 1 - images[:, :, :7]
    result[:, :, 21:] = 1 - images[:, :, 21:]
    return result


@_named
def fog(images: Array, random: Random) -> Array:
    """Lay three times the brightness of a corner of plasma over the image, and rescale."""
    most = images.max(axis=(1, 2), keepdims=True)
    foggy: Array = (images + 3 * _plasma(len(images), 1.4, random)[:, :28, :28]) * most / (most + 3)
    return foggy


def _plasma(count: int, decay: float, random: Random, side: int = 256) -> Array:
    """Return heights in [0, 1] by the diamond-square algorithm on a torus, (count, side, side).

    A. Fournier, D. Fussell and L. Carpenter, "Computer rendering of stochastic models", Comm. ACM
    25(6), 1982. As in the paper's own figures, the roughness falls by the square of ``decay`` a step.
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
    """Splash dark grey mud."""
    liquid = ndimage.gaussian_filter(random.normal(0.65, 0.3, images.shape), (0, 1, 1), mode="nearest")
    mud = ndimage.gaussian_filter((liquid > 0.65).astype(np.float64), (0, 1.5, 1.5), mode="nearest")
    mud[mud < 0.8] = 0
    muddy: Array = images * (1 - mud) + 63 / 255 * mud
    return muddy


def _line(c0: Array, r0: Array, c1: Array, r1: Array) -> Array:
    """Draw a line between points each, (N, 28, 28): bright, and fading 2.3 rows above and below."""
    rows, columns = np.ogrid[:28, :28]
    c0, r0, c1, r1 = (value[:, None, None] for value in (c0, r0, c1, r1))
    away = np.abs(rows - (r0 + (r1 - r0) / (c1 - c0) * (columns - c0)))
    light = np.clip(1 + np.log(1 - np.clip(away, 0, 2.3 - 1e-10) / 2.3), 0, 1)
    return np.where((columns >= np.floor(c0)) & (columns < np.ceil(c1)), light, 0)


@_named
def dotted_line(images: Array, random: Random) -> Array:
    """Draw a line across, two columns of each four."""
    ends = random.integers(0, 27, (2, len(images))).astype(float)
    line = _line(np.zeros(len(images)), ends[0], np.full(len(images), 27.0), ends[1])
    line[:, :, np.arange(28) % 4 < 2] = 0
    return images + line


@_named
def zigzag(images: Array, random: Random) -> Array:
    """Draw a bright zigzag of width 2 and period 8 across, level within some 12 degrees."""
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
    """Keep the edges alone, white on black."""
    from skimage.feature import canny

    edges = [canny(image, sigma=1) for image in images]
    return np.stack(edges).astype(float)


def main(words: list[str] | None = None) -> int:
    """Parse, measure, and write ``corruptions.json`` and ``corruptions.md``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.corruptions")
    parser.add_argument("--run", type=Path, help="folder of a run of recipe seed to compare with")
    parser.add_argument("--images", type=int, default=10_000, help="for the networks alone")
    parser.add_argument("--read", type=int, default=0, help="images for lenetscope.read; 0: none")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    args = parser.parse_args(words)
    results = measure(args.run, args.images, args.read)
    args.out.mkdir(parents=True, exist_ok=True)
    write_json(args.out / "corruptions.json", results)
    write_text(args.out / "corruptions.md", report(results))
    return 0


def measure(run: Path | None, count: int, read_count: int) -> dict[str, Any]:
    """Return, for each corruption and for none, n and how many each way of reading gets right."""
    from lenetscope.datasets.mnist import read_mnist

    test = read_mnist().test
    images, labels = torch.as_tensor(test.images)[:, 0].numpy(), test.labels.numpy()
    ways = networks(run)
    rows: dict[str, dict[str, list[int]]] = {}
    for name in ["none", *CORRUPTIONS]:
        shown = images[:count] if name == "none" else corrupt(name, images[:count])
        row = {
            way: [int((answer(shown) == labels[:count]).sum()), len(shown)]
            for way, answer in ways.items()
        }
        if read_count:
            row["read"] = [int((_through_read(shown[:read_count]) == labels[:read_count]).sum())]
            row["read"].append(min(read_count, len(shown)))
        rows[name] = row
        machine.tell(f"{name}: " + ", ".join(f"{w} {100 * a / n:.2f} %" for w, (a, n) in row.items()))
    return {"machine": machine.describe(), "rows": rows}


def networks(run: Path | None) -> dict[str, Callable[[Array], Array]]:
    """Return what answers with labels (N,) for images (N, 28, 28): the reader, and a run's network."""
    from lenetscope import Architecture
    from lenetscope.reading.reader import load_reader

    def tensor(images: Array) -> Tensor:
        return torch.from_numpy(images)[:, None]

    ways: dict[str, Callable[[Array], Array]] = {}
    if run is not None:
        arch = Architecture.from_run(run, device="cpu")
        ways["network of the run"] = lambda images: np.concatenate(
            [arch.predict(part).argmax(axis=1) for part in torch.split(tensor(images), 250)]
        )
    reader = load_reader()
    ways["reader"] = lambda images: reader.judge(tensor(images)).probabilities.argmax(1).numpy()
    return ways


def _through_read(images: Array) -> Array:
    """Return the label of each image as `lenetscope.read` reads it, -1 where it is no single digit."""
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
    """Return the table, in Markdown: per cent right with 95 % intervals, mean of the fifteen."""
    rows: dict[str, dict[str, list[int]]] = results["rows"]
    ways = list(rows["none"])

    def cell(right: int, n: int) -> str:
        low, high = wilson_interval(right, n)
        return f"{100 * right / n:.2f} ({100 * low:.1f} to {100 * high:.1f})"

    lines = [[name, *(cell(*row[way]) for way in ways)] for name, row in rows.items()]
    corrupted = [row for name, row in rows.items() if name != "none"]
    means = [math.fsum(row[way][0] / row[way][1] for row in corrupted) / len(corrupted) for way in ways]
    lines.append(["mean of the corruptions", *(f"**{100 * mean:.2f}**" for mean in means)])
    counts = ", ".join(f"{way} n = {rows['none'][way][1]:,}" for way in ways)
    table = machine.table(["% right", *ways], lines)
    return f"{table}\nEach corruption: {counts}. {machine.sentence(results['machine'])}\n"


if __name__ == "__main__":
    sys.exit(main())
