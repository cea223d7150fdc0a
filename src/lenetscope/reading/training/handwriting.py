"""The augmentation ``handwriting``: simulates what hands, pens, paper and cameras do to digits.

Each change is made to a random fraction of a batch, see `FRACTIONS`, in the order in which it would
happen: the pen writes, the hand moves, then come the marks on the paper and the camera. Labels stay
true. Random numbers are torch's global ones, so that a resumed training draws the same.

Elastic distortion: P. Simard, D. Steinkraus and J. Platt, "Best practices for convolutional neural
networks applied to visual document analysis", ICDAR 2003; here from a coarse grid of random vectors.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from lenetscope.data.augmentations import AUGMENTATIONS
from lenetscope.reading.training.drawing import blur, draw, path_segments, thin, widen

FRACTIONS = {
    "pencil": 0.12,  # redrawn one pixel wide
    "width": 0.4,
    "broken": 0.1,
    "hollow": 0.05,  # only the outline of the stroke remains
    "neighbours": 0.12,
    "clipped": 0.08,
    "lines": 0.08,
    "specks": 0.06,
    "strokes": 0.14,  # lines of the pen across
    "edge": 0.06,  # a bright region along a side
    "small": 0.12,  # scaled to some 16x16 and back
    "blurred": 0.15,
    "contrast": 0.35,
    "paper": 0.1,  # grey instead of black
    "noise": 0.12,
}
"""Fraction of the images that each change is made to."""

BEFORE_MOVING = ("pencil", "width", "broken", "hollow")
AFTER_MOVING = tuple(name for name in FRACTIONS if name not in BEFORE_MOVING)

MOVED = 0.92
"""Fraction of the images that is rotated, slanted, scaled, shifted and distorted."""


def handwriting(images: Tensor) -> Tensor:
    """Change each image at random, as pens, hands, paper and cameras might.

    Args:
        images: (N, C, H, W) uint8, light on dark.

    Returns:
        As many, of the same shape and dtype.
    """
    count, channels, height, width = images.shape
    pictures = images.flatten(0, 1).float() / 255  # (N C, H, W)
    for name in BEFORE_MOVING:
        pictures = _some(pictures, FRACTIONS[name], _CHANGES[name])
    pictures = _some(pictures, MOVED, move)
    for name in AFTER_MOVING:
        pictures = _some(pictures, FRACTIONS[name], _CHANGES[name])
    changed = (pictures * 255).round_().clamp_(0, 255).to(torch.uint8)
    return changed.reshape(count, channels, height, width)


def _some(pictures: Tensor, fraction: float, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Change a random fraction of the images."""
    chosen = (torch.rand(len(pictures)) < fraction).nonzero()[:, 0]
    if not len(chosen):
        return pictures
    return pictures.index_copy(0, chosen, change(pictures.index_select(0, chosen)))


def _uniform(count: int, low: float, high: float) -> Tensor:
    return torch.rand(count) * (high - low) + low


def pencil(pictures: Tensor) -> Tensor:
    """Redraw the strokes about one pixel wide, like those of a pencil.

    Args:
        pictures: (N, H, W) in [0, 1], as in all functions below.
    """
    lines = blur(thin(pictures > 0.4).float(), _uniform(len(pictures), 0.3, 0.75))
    peak = lines.amax(dim=(1, 2), keepdim=True).clamp_min(1e-3)
    return lines / peak


def stroke_width(pictures: Tensor) -> Tensor:
    """Widen or narrow the strokes by up to a pixel on each side, some by up to two."""
    pictures = widen(pictures, _uniform(len(pictures), -0.7, 1))
    more = (torch.rand(len(pictures)) < 0.3) * torch.rand(len(pictures))
    return widen(pictures, more)


def broken(pictures: Tensor) -> Tensor:
    """Erase two narrow gaps of random direction from the strokes, as if the pen was lifted."""
    count, side = len(pictures), pictures.shape[-1]
    gaps = torch.rand(count, 2, 4) * side
    angle = _uniform(count * 2, 0, math.pi).reshape(count, 2)
    length = _uniform(count * 2, 2, 7).reshape(count, 2)
    gaps[..., 2] = gaps[..., 0] + length * angle.cos()
    gaps[..., 3] = gaps[..., 1] + length * angle.sin()
    return pictures * (1 - _drawn(gaps, _uniform(count, 0.2, 0.9), pictures))


def hollow(pictures: Tensor) -> Tensor:
    """Leave the outlines of strokes, as a local threshold does if its neighbourhood is too small.

    That is the widened stroke without its interior; lines are one to two pixels wide.
    """
    count = len(pictures)
    outer = widen(pictures, _uniform(count, 0.3, 1))
    inner = widen(pictures, _uniform(count, -0.9, 0))
    lines = (outer - 1.5 * inner).clamp_min(0)
    return lines / lines.amax(dim=(1, 2), keepdim=True).clamp_min(1e-3)


def _drawn(segments: Tensor, radius: Tensor, like: Tensor) -> Tensor:
    """Draw on a square large enough for the images, and crop it to their size."""
    height, width = like.shape[-2:]
    return draw(segments, radius, max(height, width))[:, :height, :width]


def move(pictures: Tensor) -> Tensor:
    """Rotate, slant, scale, shift and distort each image, in one interpolation."""
    count, height, width = pictures.shape
    angle = _uniform(count, -1, 1) * math.radians(18)
    size = torch.exp(_uniform(count, -0.3, 0.22))
    aspect = torch.exp(_uniform(count, -0.13, 0.13))
    slant = _uniform(count, -1, 1) * 0.3
    far = torch.where(torch.rand(count) < 0.2, 4.5, 2.0)
    cos, sin = angle.cos() / size, angle.sin() / size
    rows = [
        [cos * aspect, cos * slant - sin, _uniform(count, -1, 1) * far * 2 / width],
        [sin * aspect, (sin * slant + cos) / aspect, _uniform(count, -1, 1) * far * 2 / height],
    ]
    affine = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)  # (N, 2, 3)
    grid = functional.affine_grid(affine, [count, 1, height, width], align_corners=False)
    coarse = torch.randn(count, 2, 5, 5) * (torch.rand(count) * 1.4)[:, None, None, None]  # pixels
    bend = functional.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)
    grid = grid + bend.permute(0, 2, 3, 1) * torch.tensor([2 / width, 2 / height])  # (N, H, W, 2)
    return functional.grid_sample(pictures[:, None], grid, align_corners=False)[:, 0]


def neighbours(pictures: Tensor) -> Tensor:
    """Add the edge of another image of the batch at one side."""
    count, height, width = pictures.shape
    others = pictures.roll(1, dims=0)
    by = torch.randint(int(0.6 * width), int(0.8 * width) + 1, (count,))
    up = torch.randint(-3, 4, (count,))
    columns = torch.arange(width) - torch.where(torch.rand(count) < 0.5, by, -by)[:, None]  # (N, W)
    rows = torch.arange(height) - up[:, None]  # (N, H)
    there = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None]
    each = torch.arange(count)[:, None, None]
    moved = others[each, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None]]
    return torch.maximum(pictures, moved * there)


def clipped(pictures: Tensor) -> Tensor:
    """Remove the outermost one to three pixels of the ink at one side."""
    count = len(pictures)
    turns = torch.randint(4, (count,))
    result = pictures.clone()
    for side in range(4):
        chosen = (turns == side).nonzero()[:, 0]
        axis = 1 + side % 2
        parts = result.index_select(0, chosen)
        if side >= 2:
            parts = parts.flip(axis)
        inked = (parts > 0.3).any(dim=3 - axis)  # (N, H) or (N, W)
        first = inked.to(torch.uint8).argmax(dim=1)
        cut = first + torch.randint(1, 4, (len(chosen),))
        kept = torch.arange(parts.shape[axis]) >= cut[:, None]
        parts = parts * (kept[:, :, None] if axis == 1 else kept[:, None, :])
        result.index_copy_(0, chosen, parts.flip(axis) if side >= 2 else parts)
    return result


def paper_lines(pictures: Tensor) -> Tensor:
    """Add ruled lines, horizontal, vertical or both, paler than ink."""
    count, height, width = pictures.shape
    marks = torch.zeros_like(pictures)
    level, upright = torch.rand(2, count, 1) < torch.tensor([[[0.75]], [[0.4]]])
    for chosen, length, shape in ((level, height, (-1, height, 1)), (upright, width, (-1, 1, width))):
        first, gap = _uniform(count, 0, length)[:, None], _uniform(count, 6, 16)[:, None]
        place = (torch.arange(length) - first + gap / 2).remainder(gap) - gap / 2  # to the next line
        line = (_uniform(count, 0.7, 1.2)[:, None] - place.abs()).clamp(0, 1) * chosen
        marks = torch.maximum(marks, line.reshape(shape))
    return torch.maximum(pictures, marks * _uniform(count, 0.08, 0.6)[:, None, None])


def specks(pictures: Tensor) -> Tensor:
    """Add up to three short marks beside or on the ink."""
    count, side = len(pictures), max(pictures.shape[1:])
    ends = torch.rand(count, 3, 4) * side
    ends[..., 2:] = ends[..., :2] + torch.randn(count, 3, 2)
    ends[torch.rand(count, 3) < 0.4] = math.nan
    marks = _drawn(ends, _uniform(count, 0, 0.7), pictures)
    return torch.maximum(pictures, marks * _uniform(count, 0.3, 1)[:, None, None])


def strokes(pictures: Tensor) -> Tensor:
    """Add one or two pen strokes: an underline, the tail of a letter in the line above, a flourish."""
    marks = _arcs(pictures)
    second = _arcs(pictures) * (torch.rand(len(pictures)) < 0.4)[:, None, None]
    return torch.maximum(pictures, torch.maximum(marks, second))


def _arcs(like: Tensor) -> Tensor:
    """Return one pen stroke per image, an arc or, in a third of them, straight."""
    count, side = len(like), max(like.shape[1:])
    angle = torch.where(torch.rand(count) < 0.6, 0.0, math.pi / 2) + _uniform(count, -0.4, 0.4)
    middle, half = torch.rand(count, 2) * side, _uniform(count, 0.25, 0.6) * side
    along = torch.stack([angle.cos(), angle.sin()], dim=1)  # (N, 2)
    bend = torch.where(torch.rand(count) < 0.33, 0.0, 0.4 * torch.randn(count)) * half
    across = torch.stack([-angle.sin(), angle.cos()], dim=1) * bend[:, None]
    where = torch.linspace(-1, 1, 7)[:, None]
    reach = where * (half[:, None] * along)[:, None] + (1 - where.square()) * across[:, None]
    path = middle[:, None] + reach  # (N, 7, 2)
    marks = _drawn(path_segments(path), _uniform(count, 0, 0.9), like)
    return marks * _uniform(count, 0.3, 1)[:, None, None]


def edge(pictures: Tensor) -> Tensor:
    """Add the table, a thumb or a border along one side or two, over the ink."""
    count, height, width = pictures.shape
    rows, columns = torch.arange(height)[:, None], torch.arange(width)
    shown = torch.zeros_like(pictures)
    for _ in range(2):
        far = torch.stack([rows + 0 * columns, height - 1 - rows + 0 * columns,
                           columns + 0 * rows, width - 1 - columns + 0 * rows])  # fmt: skip
        side = torch.randint(4, (count,))
        lean = _uniform(count, -0.15, 0.15)[:, None, None]
        along = torch.where(
            (side < 2)[:, None, None], columns.expand(height, -1), rows.expand(-1, width)
        )
        depth = _uniform(count, 0, 7)[:, None, None] + lean * (along - 14)
        shown = torch.maximum(shown, (depth - far[side]).clamp(0, 1))
    return torch.maximum(pictures, shown * _uniform(count, 0.3, 1)[:, None, None])


def small(pictures: Tensor) -> Tensor:
    """Scale the batch to between a third and three quarters of its size and back."""
    size = (pictures.shape[1], pictures.shape[2])
    factor = float(torch.empty(()).uniform_(0.36, 0.75))
    low = (max(2, round(factor * size[0])), max(2, round(factor * size[1])))
    less = functional.interpolate(pictures[:, None], low, mode="bilinear", antialias=True)
    kind = ("nearest", "bilinear")[int(torch.randint(2, ()))]
    return functional.interpolate(less, size, mode=kind)[:, 0]


def blurred(pictures: Tensor) -> Tensor:
    """Blur each image, as if it was out of focus."""
    return blur(pictures, _uniform(len(pictures), 0.4, 1.3))


def contrast(pictures: Tensor) -> Tensor:
    """Change the tones and weaken the ink; in some images it becomes uneven."""
    count = len(pictures)
    tone = torch.exp(_uniform(count, -0.8, 0.8))[:, None, None]
    strength = _uniform(count, 0.35, 1)[:, None, None]
    grain = 1 - _uniform(count, 0, 0.4)[:, None, None] * torch.rand_like(pictures)
    uneven = torch.where(torch.rand(count)[:, None, None] < 0.3, grain, 1.0)
    return pictures.clamp(0, 1).pow(tone) * strength * uneven


def paper(pictures: Tensor) -> Tensor:
    """Make the paper grey, uniformly or with a gradient."""
    count, height, width = pictures.shape
    slopes = torch.randn(2, count, 1, 1)
    down = torch.linspace(-0.5, 0.5, height)[None, :, None]
    across = torch.linspace(-0.5, 0.5, width)[None, None, :]
    level = 0.6 * torch.rand(count).square()[:, None, None]
    ground = level * (1 + 0.7 * (slopes[0] * down + slopes[1] * across))
    return ground.clamp(0, 0.8) + pictures * (1 - level)


def noise(pictures: Tensor) -> Tensor:
    """Add noise, as of a camera in poor light."""
    strength = torch.exp(_uniform(len(pictures), math.log(0.02), math.log(0.4)))[:, None, None]
    return pictures + torch.randn_like(pictures) * strength


_CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "pencil": pencil,
    "width": stroke_width,
    "broken": broken,
    "hollow": hollow,
    "neighbours": neighbours,
    "clipped": clipped,
    "lines": paper_lines,
    "specks": specks,
    "strokes": strokes,
    "edge": edge,
    "small": small,
    "blurred": blurred,
    "contrast": contrast,
    "paper": paper,
    "noise": noise,
}

AUGMENTATIONS.register("handwriting")(handwriting)
