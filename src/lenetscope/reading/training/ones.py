"""Draws ones as they are written outside North America: with a flag, some with a foot.

Nearly all of MNIST's ones are plain bars, and a network trained on these alone mistakes a 1 with a flag
for a 7. Here a short stroke is added, down to the left from the upper end, and to some a horizontal one
at the lower end.
"""

import math

import torch
from torch import Tensor

from lenetscope.reading.training.drawing import draw

COUNT = 4000
"""Number of images that are added to the training images."""


def flagged_ones(images: Tensor, labels: Tensor, count: int = COUNT, seed: int = 11) -> Tensor:
    """Draw flags on randomly chosen ones; the global random stream is not changed.

    Args:
        images: (N, 1, 28, 28) uint8.
        labels: (N,) from 0 to 9.
        count: number of images to make.
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
    """Return the centre of the ink in one row of each image."""
    lines = pictures[torch.arange(len(pictures)), rows]  # (N, 28)
    return (lines * torch.arange(28)).sum(1) / lines.sum(1).clamp_min(1e-3)


def _uniform(count: int, low: float, high: float) -> Tensor:
    return torch.rand(count) * (high - low) + low
