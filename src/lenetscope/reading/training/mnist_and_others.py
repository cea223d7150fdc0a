"""The data set ``mnist-and-others``: MNIST and an eleventh class "none" of images without a digit.

These 28,000 images are drawn or made of MNIST's digits, kind by kind, see `KINDS`; no font and no other
data set is among their sources. None is meant to look like a digit to a person, though some do by
chance. A network trained with such images also refuses kinds that it has not seen: D. Hendrycks, M.
Mazeika and T. Dietterich, "Deep anomaly detection with outlier exposure", ICLR 2019 (arXiv:1812.04606).
"""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from lenetscope.data.dataset import LabelledImages, RawDataset
from lenetscope.data.sources import DATASETS
from lenetscope.data.sources.mnist import read_mnist
from lenetscope.reading.training import letters
from lenetscope.reading.training.crowds import crowds, pick
from lenetscope.reading.training.drawing import blur, boxed, cut_corners, draw, path_segments
from lenetscope.reading.training.ones import flagged_ones

SEED = 20190612
"""Seed of the images, which are the same in every run."""

NONE = "none"
"""Name of the eleventh class."""

Make = Callable[[int, Tensor, Tensor], Tensor]
"""Makes images (count, 28, 28) in [0, 1] from (count, digits (N, 28, 28) in [0, 1], their labels)."""


@DATASETS.register("mnist-and-others")
def read_mnist_and_others(data_dir: Path | None = None, download: bool = False) -> RawDataset:
    """Read MNIST, with flagged ones and images of the class `NONE` added to its training images.

    The test images are MNIST's alone. Raises what `data.sources.mnist.mnist_folder` does.
    """
    raw = read_mnist(data_dir, download)
    images, labels = torch.as_tensor(raw.train.images), raw.train.labels
    ones, others = flagged_ones(images, labels), no_digits(images, labels)
    added = [torch.ones(len(ones), dtype=torch.int64), torch.full((len(others),), len(raw.classes))]
    train = LabelledImages(torch.cat([images, ones, others]), torch.cat([labels, *added]))
    return replace(raw, train=train, classes=(*raw.classes, NONE), name="mnist-and-others")


def no_digits(images: Tensor, labels: Tensor, fraction: float = 1.0, seed: int = SEED) -> Tensor:
    """Make images that do not show a digit; the global random stream is not changed.

    Args:
        images: (N, 1, 28, 28) uint8, digits to make them of, some of each label.
        labels: (N,) from 0 to 9.
        fraction: of the numbers in `KINDS` to make.
        seed: of all random choices.

    Returns:
        (M, 1, 28, 28) uint8, kind after kind.
    """
    digits = images[:, 0].float() / 255
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        counts = {make: max(1, round(fraction * count)) for make, count in KINDS.items()}
        pictures = [make(count, digits, labels) for make, count in counts.items()]
    return (torch.cat(pictures) * 255).round_().clamp_(0, 255).to(torch.uint8)[:, None]


def _uniform(shape: tuple[int, ...], low: float, high: float) -> Tensor:
    return torch.rand(shape) * (high - low) + low


def blanks(count: int, digits: Tensor, labels: Tensor) -> Tensor:
    """Blank paper: black or grey, uniform or shaded, slightly noisy, some with dots or a ruled line."""
    level = _uniform((count, 1, 1), 0, 1) * (torch.rand(count, 1, 1) < 0.6)
    slope = torch.linspace(-0.5, 0.5, 28)
    turn = _uniform((count, 1, 1), 0, 2 * math.pi)
    shade = 1 + 0.8 * (turn.cos() * slope[None, :, None] + turn.sin() * slope[None, None, :])
    noise = torch.randn(count, 28, 28) * _uniform((count, 1, 1), 0, 0.12)
    dots = _uniform((count, 4, 4), 0, 28)
    dots[..., 2:] = dots[..., :2] + 0.3 * torch.randn(count, 4, 2)
    dots[torch.rand(count, 4) < 0.6] = math.nan
    marks = draw(dots, _uniform((count,), 0, 1.5))
    ruled = _uniform((count, 1, 4), 0, 28)
    ruled[..., 0], ruled[..., 2] = 0, 27
    ruled[..., 3] = ruled[..., 1]
    ruled[torch.rand(count, 1) < 0.7] = math.nan
    marks = torch.maximum(marks, draw(ruled, _uniform((count,), 0, 0.6)))
    return torch.maximum(level * shade + noise, marks * (torch.rand(count, 1, 1) < 0.5))


def noises(count: int, digits: Tensor, labels: Tensor) -> Tensor:
    """Noise of any scale, from single pixels to clouds, with or without half-tones."""
    fine = torch.randn(count, 28, 28)
    grain = blur(fine, _uniform((count,), 0.2, 2.5))
    grain = (grain - grain.mean((1, 2), True)) / grain.std((1, 2), keepdim=True)
    steep = torch.exp(_uniform((count, 1, 1), -1.5, 3))
    return torch.sigmoid(steep * (grain - _uniform((count, 1, 1), -0.5, 1.5)))


def textures(count: int, digits: Tensor, labels: Tensor) -> Tensor:
    """Waves, stripes, checks and weaves of any direction, half of them within a shape."""
    axis = torch.arange(28.0)
    y, x = axis[None, :, None], axis[None, None, :]

    def waves() -> Tensor:
        turn, pace = _uniform((count, 1, 1), 0, math.pi), _uniform((count, 1, 1), 0.25, 2.2)
        return torch.sin(pace * (x * turn.cos() + y * turn.sin()) + _uniform((count, 1, 1), 0, 6.3))

    one, two = waves(), waves()
    kind = torch.randint(3, (count, 1, 1))
    mixed = torch.where(kind == 0, one, torch.where(kind == 1, one * two, one + two))
    tones = torch.sigmoid(torch.exp(_uniform((count, 1, 1), 0, 3)) * mixed)
    window = _shape(count) | (torch.rand(count, 1, 1) < 0.5)
    return tones * _uniform((count, 1, 1), 0.4, 1) * window


def _shape(count: int) -> Tensor:
    """Return the interiors of random ellipses, trapezoids or rings, (count, 28, 28) bool."""
    axis = torch.linspace(-1, 1, 28)
    turn = _uniform((count, 1, 1), -0.5, 0.5) * (torch.rand(count, 1, 1) < 0.5)
    y, x = axis[None, :, None], axis[None, None, :]
    y = y - _uniform((count, 1, 1), -0.35, 0.35)
    x = x - _uniform((count, 1, 1), -0.35, 0.35)
    x, y = x * turn.cos() + y * turn.sin(), y * turn.cos() - x * turn.sin()
    width, height = _uniform((2, count, 1, 1), 0.2, 0.95)
    taper = 1 + _uniform((count, 1, 1), -0.6, 0.6) * y
    round_ = (x / width).square() + (y / height).square()
    kind = torch.randint(3, (count, 1, 1))
    box = (x.abs() < width * taper) & (y.abs() < height)
    ring = (round_ < 1) & (round_ > 0.35)
    return torch.where(kind == 0, round_ < 1, torch.where(kind == 1, box, ring & box))


def shapes(count: int, digits: Tensor, labels: Tensor) -> Tensor:
    """Filled shapes, composed of up to four, many of them symmetric, grey or textured."""
    inside = torch.zeros(count, 28, 28, dtype=torch.bool)
    for number in range(4):
        more = _shape(count) & (torch.rand(count, 1, 1) < (1, 0.8, 0.6, 0.4)[number])
        cut = (torch.rand(count, 1, 1) < 0.25) & (number > 0)
        inside = torch.where(cut, inside & ~more, inside | more)
    same = torch.rand(count, 1, 1) < 0.65
    inside = torch.where(same, inside | inside.flip(2), inside)
    axis = torch.linspace(0, 1, 28)
    grey = _uniform((count, 1, 1), 0.3, 1) + _uniform((count, 1, 1), -0.5, 0.5) * axis[None, :, None]
    cloud = noises(count, digits, labels)
    stripes = textures(count, digits, labels)
    kind = torch.randint(4, (count, 1, 1))
    fill = torch.where(kind == 0, cloud, torch.where(kind == 1, 0.3 + 0.7 * stripes, grey))
    return blur(fill.clamp(0, 1) * inside, _uniform((count,), 0.2, 0.8))


def faces(count: int, digits: Tensor, labels: Tensor) -> Tensor:
    """Faces: two eyes and a mouth in a round outline, some filled."""
    turn = torch.linspace(0, 2 * math.pi, 21)
    size = _uniform((count, 1, 2), 8, 11)
    outline = 13.5 + size * torch.stack([turn.cos(), turn.sin()], dim=1)  # (N, 21, 2)
    apart, high = _uniform((count,), 2.5, 4.5), _uniform((count,), 8.5, 12)
    eyes = [torch.stack([13.5 + s * apart, high, 13.6 + s * apart, high], dim=1) for s in (-1, 1)]
    wide, low = _uniform((count,), 3, 5.5), _uniform((count,), 16, 19)
    bow = _uniform((count,), -2.5, 3)
    mouth = torch.stack(
        [torch.stack([13.5 + s * wide, low + (1 - s * s) * bow], dim=1) for s in (-1, -0.5, 0, 0.5, 1)],
        dim=1,
    )
    inner = torch.cat([torch.stack(eyes, dim=1), path_segments(mouth)], dim=1)
    features = draw(inner, _uniform((count,), 0.3, 1.2))
    ring = draw(path_segments(outline), _uniform((count,), 0.2, 1.2))
    axis = torch.arange(28.0) - 13.5
    within = (axis[None, None] / size[..., :1]) ** 2 + (axis[None, :, None] / size[..., 1:]) ** 2 < 1
    filled = torch.rand(count, 1, 1) < 0.4
    skin = _uniform((count, 1, 1), 0.5, 1) * within * (1 - features)
    return torch.where(filled, skin, torch.maximum(ring, features))


def scribbles(count: int, digits: Tensor, labels: Tensor) -> Tensor:
    """Scribbles: random walks, zigzags and spirals."""
    length = 22
    walk = torch.rand(count, length, 2) * 20 + 4
    step = torch.linspace(0, 1, length)[None, :]
    rows, pace = _uniform((count, 1), 3, 8), _uniform((count, 1), 0, 6.3)
    swing = torch.sin(step * rows * 2 * math.pi + pace)
    to_and_fro = torch.stack([4 + 20 * step.expand(count, -1), 13.5 + 8 * swing], dim=2)
    turn = step * _uniform((count, 1), 2.2, 4.5) * 2 * math.pi + pace
    reach = 10 * step.sqrt()
    coil = 13.5 + torch.stack([reach * turn.cos(), reach * turn.sin()], dim=2)
    kind = torch.randint(4, (count, 1, 1))
    points = torch.where(kind == 0, to_and_fro, torch.where(kind == 1, coil, walk))
    points = points + torch.randn_like(points) * 0.8
    swapped = torch.where(torch.rand(count, 1, 1) < 0.5, points, points.flip(2))
    kept = torch.arange(length)[None, :, None] < torch.randint(9, length + 1, (count, 1, 1))
    last = swapped.gather(1, (kept.sum(1, keepdim=True) - 1).expand(-1, 1, 2))
    path = cut_corners(torch.where(kept, swapped, last))
    return draw(path_segments(path), _uniform((count,), 0.2, 1.5))


def strokes(count: int, digits: Tensor, labels: Tensor) -> Tensor:
    """Three to six straight or curved strokes between points of a lattice, like unknown signs."""
    most, steps = 6, torch.linspace(0, 1, 6)[:, None]
    points = torch.randint(4, (count, most, 3, 2)) * (20 / 3) + 4 + torch.randn(count, most, 3, 2)
    start, middle, end = points.unbind(dim=2)  # (N, 6, 2)
    straight = torch.rand(count, most, 1) < 0.6
    middle = torch.where(straight, (start + end) / 2, middle)[..., None, :]
    start, end = start[..., None, :], end[..., None, :]
    curve = (1 - steps) ** 2 * start + 2 * steps * (1 - steps) * middle + steps**2 * end
    there = torch.arange(most) < torch.randint(3, most + 1, (count, 1))
    curve[~there] = math.nan  # (N, 6, 6, 2)
    segments = torch.cat([curve[:, :, :-1], curve[:, :, 1:]], dim=3).flatten(1, 2)
    return draw(segments, _uniform((count,), 0.1, 1.6))


def signs(count: int, digits: Tensor, labels: Tensor) -> Tensor:
    """Letters that do not resemble digits, and other signs, in many hands."""
    names = list(letters.STROKES)
    which = torch.arange(count) % len(names)
    parts = [letters.write(name, int((which == k).sum())) for k, name in enumerate(names)]
    return torch.cat([part for part in parts if len(part)])


def quarters(count: int, digits: Tensor, labels: Tensor) -> Tensor:
    """The four quarters of a digit in another order."""
    parts, _ = pick(count, digits, labels, without=(1,))
    tiles = parts.reshape(count, 2, 14, 2, 14).permute(0, 1, 3, 2, 4).flatten(1, 2)  # (N, 4, 14, 14)
    orders = torch.tensor([[1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0], [1, 2, 3, 0], [3, 0, 1, 2]])
    order = orders[torch.randint(len(orders), (count,))]
    tiles = tiles.gather(1, order[:, :, None, None].expand_as(tiles))
    return tiles.reshape(count, 2, 2, 14, 14).permute(0, 1, 3, 2, 4).reshape(count, 28, 28)


def halves(count: int, digits: Tensor, labels: Tensor) -> Tensor:
    """Half of a digit joined to half of another one that is upside down or mirrored."""
    without = (0, 1, 8)  # these look much the same upside down or mirrored
    (one, first), (two, second) = (pick(count, digits, labels, without) for _ in range(2))
    two = torch.where((first == second)[:, None, None], two.flip(1), two.flip(2))
    beside = torch.cat([one[:, :, :14], two.flip(1)[:, :, 14:]], dim=2)
    below = torch.cat([one[:, :14], two[:, 14:].roll(7, dims=2)], dim=1)
    return torch.where(torch.rand(count, 1, 1) < 0.5, beside, below)


def crossed_out(count: int, digits: Tensor, labels: Tensor) -> Tensor:
    """Digits crossed out by a cross, several bars or a zigzag."""
    under, _ = pick(count, digits, labels)
    level = torch.rand(count, 6) * 18 + 5
    bars = torch.stack([level * 0 + 3, level, level * 0 + 24, level + torch.randn(count, 6) * 4], dim=2)
    bars = bars + torch.randn_like(bars)
    there = torch.arange(6) < torch.randint(4, 7, (count, 1))
    bars[~there] = math.nan
    cross = torch.tensor([[3.0, 3, 24, 24], [3, 24, 24, 3]]) + 2 * torch.randn(count, 2, 4)
    pen = _uniform((count,), 0.6, 1.7)
    crossed = draw(cross, pen + 0.3)
    turns = 20  # so many that little of the digit remains visible
    path = torch.stack(
        [torch.linspace(3, 24, turns).expand(count, -1), torch.rand(count, turns) * 20 + 4], 2
    )
    to_and_fro = draw(path_segments(path), pen)
    kind = torch.randint(3, (count, 1, 1))
    over = torch.where(kind == 0, draw(bars, pen), torch.where(kind == 1, crossed, to_and_fro))
    return torch.maximum(under * _uniform((count, 1, 1), 0.6, 1), over)


def turned(count: int, digits: Tensor, labels: Tensor) -> Tensor:
    """Digits turned by 90 degrees, and 3, 4 and 7 upside down or mirrored, no longer digits then."""
    side = count // 2
    lying, _ = pick(side, digits, labels, without=(0, 1, 8))
    lying = torch.where(torch.rand(side, 1, 1) < 0.5, lying.rot90(1, (1, 2)), lying.rot90(-1, (1, 2)))
    rest = count - side
    standing, _ = pick(rest, digits, labels, without=(0, 1, 2, 5, 6, 8, 9))  # 3, 4 and 7
    standing = torch.where(torch.rand(rest, 1, 1) < 0.5, standing.flip(2), standing.flip(1, 2))
    return torch.cat([lying, standing])


def regions(count: int, digits: Tensor, labels: Tensor) -> Tensor:
    """Regions of a page that are shaded, stained or lit, with sharp or soft edges."""
    cloud = blur(torch.randn(count, 28, 28), _uniform((count,), 1.5, 3))
    cloud = blur(cloud, torch.full((count,), 2.5))
    cloud = (cloud - cloud.mean((1, 2), True)) / cloud.std((1, 2), keepdim=True)
    slope = torch.randn(2, count, 1, 1) * torch.linspace(-1.5, 1.5, 28)
    cloud = cloud + slope[0] + slope[1].transpose(1, 2)
    middle = _uniform((count, 1, 1), 0, 1.5)
    steep = torch.exp(_uniform((count, 1, 1), 1, 4))
    under, _ = pick(count, digits, labels)
    holes = 1 - under * (torch.rand(count, 1, 1) < 0.3)
    window = torch.zeros(28)
    window[3:25] = 1
    return boxed(torch.sigmoid(steep * (cloud - middle)) * holes * window * window[:, None])


def framed(count: int, digits: Tensor, labels: Tensor) -> Tensor:
    """A digit, or nothing, within a frame, as the box of a form or the edge of a sheet."""
    under, _ = pick(count, digits, labels)
    small = functional.interpolate(under[:, None], (20, 20), mode="bilinear", antialias=True)
    inside = functional.pad(small[:, 0], (4, 4, 4, 4)) * (torch.rand(count, 1, 1) < 0.9)
    corners = torch.tensor([[4.0, 4], [24, 4], [24, 24], [4, 24]]) - 0.5
    corners = corners + torch.randn(count, 4, 2)
    path = torch.cat([corners, corners[:, :1]], dim=1)
    return torch.maximum(inside, draw(path_segments(path), _uniform((count,), 0.2, 1.8)))


def negatives(count: int, digits: Tensor, labels: Tensor) -> Tensor:
    """The paper around and within a digit, as it appears if paper is mistaken for ink."""
    under, _ = pick(count, digits, labels, without=(1,))
    margin = torch.randint(0, 4, (count, 1, 1))
    axis = torch.arange(28)
    within = (axis >= 4 - margin) & (axis < 24 + margin)  # (N, 1, 28)
    return (1 - under) * within * within.transpose(1, 2) * _uniform((count, 1, 1), 0.5, 1)


def heaps(count: int, digits: Tensor, labels: Tensor) -> Tensor:
    """A digit over another one that is turned by 90 degrees."""
    (one, _), (two, _) = (pick(count, digits, labels, without=(1,)) for _ in range(2))
    return torch.maximum(one, two.rot90(1, (1, 2)))


KINDS: dict[Make, int] = {
    blanks: 900,
    noises: 900,
    textures: 1000,
    shapes: 3000,
    faces: 400,
    scribbles: 1500,
    strokes: 2000,
    signs: 5500,
    quarters: 500,
    halves: 600,
    crossed_out: 500,
    turned: 900,
    crowds: 7400,
    heaps: 200,
    negatives: 700,
    regions: 1500,
    framed: 500,
}
"""Number of images of each kind, 28,000 in all."""
