"""Ones as they are written outside North America: with a flag, some with a foot.

In: MNIST's ones, nearly all of which are plain bars. Out: the same with a short stroke down to the left
of their upper end, and in some a level one under the lower. A network that knows bars alone takes the
flag for the bar of a 7.
"""

import math

import torch
from torch import Tensor

from lenetscope.datasets.ink import draw

COUNT = 4000
"""How many are added to the training images."""


def flagged_ones(images: Tensor, labels: Tensor, count: int = COUNT, seed: int = 11) -> Tensor:
    """Draw flags on ones; the caller's random stream is left as it was.

    Args:
        images: (N, 1, 28, 28) uint8.
        labels: (N,) from 0 to 9.
        count: how many to make, each of a one drawn at random.
        seed: of all random choices.

    Returns:
        (count, 1, 28, 28) uint8.
    """
    ones = (labels == 1).nonzero()[:, 0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        chosen = ones[torch.randint(len(ones), (count,))]
        pictures = images[chosen, 0].float() / 255
        ink = pictures > 0.4
        rows = ink.any(dim=2).to(torch.uint8)  # (N, 28)
        top, bottom = rows.argmax(dim=1), 27 - rows.flip(1).argmax(dim=1)
        height = (bottom - top + 1).float()
        radius = (ink.sum((1, 2)) / height / 2 - 0.4).clamp(0.3, 2)
        slope, length = _uniform(count, 0.5, 1.15), _uniform(count, 0.2, 0.5) * height
        start_x, start_y = _column(pictures, top), top + radius
        flag = torch.stack(
            [start_x, start_y, start_x - length * slope.cos(), start_y + length * slope.sin()], dim=1
        )
        foot_x, foot_y = _column(pictures, bottom), bottom - radius
        left, right = _uniform(count, 2, 6), _uniform(count, 2, 6)
        foot = torch.stack([foot_x - left, foot_y, foot_x + right, foot_y], dim=1)
        foot[torch.rand(count) < 0.7] = math.nan
        drawn = torch.maximum(pictures, draw(torch.stack([flag, foot], dim=1), radius))
    return (drawn * 255).round_().clamp_(0, 255).to(torch.uint8)[:, None]


def _column(pictures: Tensor, rows: Tensor) -> Tensor:
    """Return the middle of the ink in one row of each picture."""
    lines = pictures[torch.arange(len(pictures)), rows]  # (N, 28)
    return (lines * torch.arange(28)).sum(1) / lines.sum(1).clamp_min(1e-3)


def _uniform(count: int, low: float, high: float) -> Tensor:
    return torch.rand(count) * (high - low) + low
