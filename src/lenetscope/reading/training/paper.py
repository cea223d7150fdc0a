"""What paper, printing and cameras add to a line of writing, simulated on a batch of lines.

Lines are (N, 28, W) float32, 0 for paper and 1 for ink. Each change is made to a random fraction of a
batch, see `CHANGES`. None of them changes what is written.

Elastic distortion: P. Simard, D. Steinkraus and J. Platt, "Best practices for convolutional neural
networks applied to visual document analysis", ICDAR 2003; here from a coarse grid of random vectors.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from lenetscope.reading.training.drawing import blur, draw, path_segments, uniform, widen

HEIGHT = 28
"""Rows of a line."""

STRETCHED = 0.8
"""Fraction of the lines whose greys are stretched, as `reading` does."""


def photographed(lines: Tensor) -> Tensor:
    """Make each change to a random fraction of the lines; half of the lines are spared most of them."""
    spared = torch.where(torch.rand(len(lines)) < 0.5, 0.3, 1.5)
    for change, fraction in CHANGES.items():
        chosen = (torch.rand(len(lines)) < fraction * spared).nonzero()[:, 0]
        if len(chosen):
            lines = lines.index_copy(0, chosen, change(lines.index_select(0, chosen)))
    return torch.where(torch.rand(len(lines), 1, 1) < STRETCHED, stretched(lines), lines)


def stretched(lines: Tensor) -> Tensor:
    """Stretch the greys of each line, so that its paper is near 0 and its ink near 1."""
    some = lines.flatten(1)[:, ::5]
    low, high = torch.quantile(some, torch.tensor([0.1, 0.99]), dim=1)[..., None, None]
    wide: Tensor = ((lines - low) / (high - low).clamp_min(0.05)).clamp(0, 1)
    return wide


def _drawn(segments: Tensor, radius: Tensor, like: Tensor) -> Tensor:
    return draw(segments, radius, like.shape[1], like.shape[2])


def _over(lines: Tensor, marks: Tensor, low: float, high: float) -> Tensor:
    """Add marks of a random strength per line."""
    return torch.maximum(lines, marks * uniform((len(lines), 1, 1), low, high))


def bend(lines: Tensor) -> Tensor:
    """Distort the lines: smoothly, as hands differ, or finely, as through uneven glass."""
    count, height, width = lines.shape
    period = (3, 5, 7)[int(torch.randint(3, ()))]
    most = 0.3 + 0.2 * period  # pixels
    coarse = torch.randn(count, 2, 1 + height // period, 1 + width // period)
    coarse = coarse * uniform((count, 1, 1, 1), 0, most)
    shift = functional.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)
    still = torch.eye(2, 3).expand(count, 2, 3)
    grid = functional.affine_grid(still, [count, 1, height, width], align_corners=False)
    grid = grid + shift.permute(0, 2, 3, 1) * torch.tensor([2 / width, 2 / height])  # (N, H, W, 2)
    return functional.grid_sample(lines[:, None], grid, align_corners=False)[:, 0]


def broken(lines: Tensor) -> Tensor:
    """Erase narrow gaps of random direction from the strokes, as if the pen was lifted."""
    count, height, width = lines.shape
    gaps = torch.rand(count, 2 + width // 32, 4) * torch.tensor([width, height, 0, 0])
    angle, length = uniform(gaps.shape[:2], 0, math.pi), uniform(gaps.shape[:2], 2, 8)
    gaps[..., 2] = gaps[..., 0] + length * angle.cos()
    gaps[..., 3] = gaps[..., 1] + length * angle.sin()
    return lines * (1 - _drawn(gaps, uniform(count, 0.2, 1.0), lines))


def hollow(lines: Tensor) -> Tensor:
    """Leave the outlines of strokes, as a local threshold does if its neighbourhood is too small."""
    count = len(lines)
    outer, inner = widen(lines, uniform(count, 0.3, 1)), widen(lines, uniform(count, -0.9, 0))
    edges = (outer - 1.5 * inner).clamp_min(0)
    return edges / edges.amax(dim=(1, 2), keepdim=True).clamp_min(1e-3)


def neighbours(lines: Tensor) -> Tensor:
    """Add the edges of the lines above and below."""
    others = lines.roll(1, dims=0)
    down = int(torch.randint(20, 27, ()))
    above, below = torch.zeros_like(lines), torch.zeros_like(lines)
    above[:, : HEIGHT - down], below[:, down:] = others[:, down:], others[:, : HEIGHT - down]
    which = torch.rand(len(lines), 1, 1)
    return torch.maximum(
        lines, torch.where(which < 0.4, above, torch.where(which < 0.8, below, above + below))
    )


def clipped(lines: Tensor) -> Tensor:
    """Cut the ink off at the upper or lower side, by one to three pixels, as a crop does."""
    inked = (lines > 0.3).any(dim=2).to(torch.uint8)
    top, bottom = inked.argmax(dim=1), HEIGHT - 1 - inked.flip(1).argmax(dim=1)
    by, upper = torch.randint(1, 4, (len(lines),)), torch.rand(len(lines)) < 0.5
    rows = torch.arange(lines.shape[1])
    low, high = torch.where(upper, top + by, 0), torch.where(upper, HEIGHT, bottom - by)
    return lines * ((rows >= low[:, None]) & (rows <= high[:, None]))[:, :, None]


def ruled(lines: Tensor) -> Tensor:
    """Add ruled lines: one under or through the digits, several, or squares."""
    count, height, width = lines.shape
    x, y = torch.arange(width), torch.arange(height)
    kind = torch.rand(count)
    tilt = 0.02 * torch.randn(count, 1, 1)

    def rules(place: Tensor, first: Tensor, gap: Tensor, thick: Tensor) -> Tensor:
        off = (place - first + gap / 2).remainder(gap) - gap / 2  # distance to the next rule
        return (thick - off.abs()).clamp(0, 1)

    thick = uniform((count, 1, 1), 0.7, 1.7)
    gap = torch.where(kind < 0.55, 99.0, uniform(count, 7, 26))[:, None, None]
    level = rules(y[:, None] + tilt * x, uniform((count, 1, 1), 1, 27), gap, thick)
    upright = rules(x - tilt * y[:, None], uniform((count, 1, 1), 0, 30), gap, thick)
    squares = (kind > 0.75)[:, None, None]
    dotted = torch.sin(x * uniform((count, 1, 1), 0.8, 2.4)) > 0
    level = torch.where(torch.rand(count, 1, 1) < 0.15, level * dotted, level)
    return _over(lines, torch.maximum(level, upright * squares), 0.12, 1)


def framed(lines: Tensor) -> Tensor:
    """Add a frame round the line, or boxes in which the digits stand."""
    count, height, width = lines.shape
    inset = uniform((count, 4), 0, 3)
    left, right = inset[:, 0], width - 1 - inset[:, 1] * 3
    top, bottom = inset[:, 2], height - 1 - inset[:, 3]
    sides = [
        (left, top, right, top),
        (left, bottom, right, bottom),
        (left, top, left, bottom),
        (right, top, right, bottom),
    ]
    pitch, boxes = uniform(count, 16, 32), torch.rand(count) < 0.3
    for k in range(1, 1 + width // 26):
        x = torch.where(boxes & (left + k * pitch < right), left + k * pitch, math.nan)
        sides.append((x, top, x, bottom))
    segments = torch.stack([torch.stack(side, dim=1) for side in sides], dim=1)
    segments[:, :4][torch.rand(count, 4) < 0.25] = math.nan
    level = segments[:, :2, 0].isnan().all(dim=1)  # neither above nor below: an upright side is a 1
    segments[level] = math.nan
    segments = segments + 0.4 * torch.randn(segments.shape)
    return _over(lines, _drawn(segments, uniform(count, 0, 0.7), lines), 0.25, 1)


def patterned(lines: Tensor) -> Tensor:
    """Print a security pattern under the ink: waves, guilloches, dots or fine strokes."""
    count, height, width = lines.shape
    y, x = torch.arange(float(height))[:, None], torch.arange(float(width))

    def waves(low: float, high: float) -> Tensor:
        turn, pace = uniform((count, 1, 1), 0, math.pi), uniform((count, 1, 1), low, high)
        swing = uniform((count, 1, 1), 0, 3) * torch.sin(uniform((count, 1, 1), 0.1, 0.6) * (x + y))
        return torch.sin(
            pace * (x * turn.cos() + y * turn.sin() + swing) + uniform((count, 1, 1), 0, 6.3)
        )

    one, two = waves(0.4, 2.6), waves(0.4, 2.6)
    kind = torch.randint(4, (count, 1, 1))
    mixed = torch.where(kind == 0, one, torch.where(kind == 1, one * two, torch.maximum(one, two)))
    tones = torch.sigmoid(
        torch.exp(uniform((count, 1, 1), 0.3, 2.5)) * (mixed - uniform((count, 1, 1), 0, 0.8))
    )
    cloud = functional.interpolate(
        torch.rand(count, 1, 3, 2 + width // 24), (height, width), mode="bilinear"
    )[:, 0]
    tones = torch.where(torch.rand(count, 1, 1) < 0.5, tones, tones * cloud)
    strength = uniform((count, 1, 1), 0.08, 0.55)
    return torch.maximum(lines, tones * strength) + 0.3 * tones * strength * lines.lt(0.5)


def specks(lines: Tensor) -> Tensor:
    """Add short marks beside or on the ink."""
    count, height, width = lines.shape
    number = 3 + width // 24
    ends = torch.rand(count, number, 4) * torch.tensor([width, height, 0, 0])
    ends[..., 2:] = ends[..., :2] + torch.randn(count, number, 2)
    ends[torch.rand(count, number) < 0.5] = math.nan
    return _over(lines, _drawn(ends, uniform(count, 0, 0.8), lines), 0.3, 1)


def crossed(lines: Tensor) -> Tensor:
    """Add strokes of a pen across the digits: an underline, a flourish, a tail of the line above."""
    count, height, width = lines.shape
    marks = torch.zeros_like(lines)
    for share in (1.0, 0.4):
        upright = torch.rand(count) < 0.1
        angle = torch.where(upright, math.pi / 2, 0.0) + uniform(count, -0.5, 0.5)
        middle = torch.rand(count, 2) * torch.tensor([width, height])
        half = torch.where(torch.rand(count) < 0.6, uniform(count, 6, 18), uniform(count, 10, 70))
        half = half + 18 * upright  # longer than a digit, or it would be a 1
        along = torch.stack([angle.cos(), angle.sin()], dim=1)[:, None]  # (N, 1, 2)
        normal = torch.stack([-angle.sin(), angle.cos()], dim=1)[:, None]
        where = torch.linspace(-1, 1, 9)[:, None]
        arc = (1 - where.square()) * torch.where(
            torch.rand(count) < 0.4, 0.0, 0.4 * torch.randn(count)
        )[:, None, None]
        # flatter than digits, or its parts would be 1s
        turns = (uniform(count, 2, 9) / half).clamp_max(0.35) * (torch.rand(count) < 0.5)
        zigzag = torch.tensor([1.0, -1] * 5)[:9, None] * turns[:, None, None]
        path = middle[:, None] + half[:, None, None] * (where * along + (arc + zigzag) * normal)
        there = (torch.rand(count) < share)[:, None, None]
        marks = torch.maximum(marks, _drawn(path_segments(path), uniform(count, 0, 1.2), lines) * there)
    dotted = torch.rand(count, 1, 1) < 0.15
    x = torch.arange(width)
    marks = torch.where(dotted, marks * (torch.sin(x * uniform((count, 1, 1), 0.6, 1.6)) > 0), marks)
    return _over(lines, marks, 0.3, 1)


def edges(lines: Tensor) -> Tensor:
    """Add the table, a thumb or a shadow along one or two sides, over the ink."""
    count, height, width = lines.shape
    y, x = torch.arange(height)[:, None].expand(-1, width), torch.arange(width).expand(height, -1)
    far = torch.stack([y, height - 1 - y, x, width - 1 - x])
    shown = torch.zeros_like(lines)
    for _ in range(2):
        side = torch.randint(4, (count,))
        along = torch.stack([x, x, y, y])[side] / 28
        depth = uniform((count, 1, 1), 0, 7) + uniform((count, 1, 1), -4, 4) * (along - 0.5)
        shown = torch.maximum(shown, (depth - far[side]).clamp(0, 1))
    return _over(lines, shown, 0.3, 1)


def small(lines: Tensor) -> Tensor:
    """Scale the lines to between a third and three quarters of their size and back."""
    _, height, width = lines.shape
    factor = float(torch.empty(()).uniform_(0.36, 0.75))
    low = (round(factor * height), max(2, round(factor * width)))
    less = functional.interpolate(lines[:, None], low, mode="bilinear", antialias=True)
    kind = ("nearest", "bilinear")[int(torch.randint(2, ()))]
    return functional.interpolate(less, (height, width), mode=kind)[:, 0]


def blurred(lines: Tensor) -> Tensor:
    """Blur each line, as if it was out of focus."""
    return blur(lines, uniform(len(lines), 0.4, 1.5))


def contrast(lines: Tensor) -> Tensor:
    """Change the tones and weaken the ink; in some lines it becomes uneven."""
    count, _, width = lines.shape
    tone = torch.exp(uniform((count, 1, 1), -0.8, 0.8))
    fading = functional.interpolate(uniform((count, 1, 2 + width // 16), 0.4, 1), width, mode="linear")
    grain = 1 - uniform((count, 1, 1), 0, 0.5) * torch.rand_like(lines)
    uneven = torch.where(torch.rand(count, 1, 1) < 0.3, grain, 1.0)
    uneven = torch.where(torch.rand(count, 1, 1) < 0.3, fading, uneven)
    return lines.clamp(0, 1).pow(tone) * uniform((count, 1, 1), 0.35, 1) * uneven


def grey(lines: Tensor) -> Tensor:
    """Make the paper grey, uniformly, with a gradient or blotched."""
    count, height, width = lines.shape
    spots = torch.rand(count, 1, 3, 2 + width // 32)
    ground = functional.interpolate(spots, (height, width), mode="bilinear", align_corners=True)[:, 0]
    even = torch.rand(count, 1, 1) < 0.4
    level = 0.65 * torch.rand(count, 1, 1).square()
    return torch.where(even, level, 1.3 * level * ground) + lines * (1 - level)


def noise(lines: Tensor) -> Tensor:
    """Add noise, as of a camera in poor light, or of single light and dark pixels."""
    strength = torch.exp(uniform((len(lines), 1, 1), math.log(0.02), math.log(0.4)))
    if torch.rand(()) < 0.3:
        share = 0.4 * strength
        chance = torch.rand_like(lines)
        return torch.where(chance < share, 0.0, torch.where(chance > 1 - share, 1.0, lines))
    return lines + torch.randn_like(lines) * strength


def inverted(lines: Tensor) -> Tensor:
    """Invert a panel of each line, or all but a panel: print in reverse, a fold lit from behind."""
    count, _, width = lines.shape
    edge = uniform((2, count, 1, 1), -0.2, 1.2) * width
    x = torch.arange(width)
    inside = (x > edge.amin(dim=0)) & (x < edge.amax(dim=0))  # (N, 1, W)
    return torch.where(inside ^ (torch.rand(count, 1, 1) < 0.4), 1 - lines, lines)


CHANGES: dict[Callable[[Tensor], Tensor], float] = {
    bend: 0.65,
    broken: 0.14,
    hollow: 0.09,
    neighbours: 0.1,
    clipped: 0.08,
    ruled: 0.16,
    framed: 0.1,
    specks: 0.1,
    crossed: 0.3,
    patterned: 0.18,
    edges: 0.06,
    small: 0.14,
    blurred: 0.2,
    contrast: 0.4,
    grey: 0.14,
    noise: 0.16,
    inverted: 0.08,
}
"""Fraction of the lines that each change is made to, in this order."""
