"""Augmentation of training images, a whole batch at a time.

An augmentation takes uint8 images (N, C, H, W) and labels (N,), and returns images and labels: changed
at random, in a way that keeps the labels true. Random numbers come from torch's global generator, so
that a resumed training draws the same ones. Mirroring is not included: a mirrored digit is another
shape.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from lenetscope.registry import Registry

if TYPE_CHECKING:  # late, so that names can be listed without torch
    from torch import Tensor

AUGMENTATIONS: "Registry[Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None]"
AUGMENTATIONS = Registry("augmentation")
"""``"none"`` is None."""

AUGMENTATIONS.register("none")(None)
AUGMENTATIONS.defer("lines", "lenetscope.reading.training.lines")


@AUGMENTATIONS.register("shift")
def _shift(images: "Tensor", labels: "Tensor") -> "tuple[Tensor, Tensor]":
    return random_shift(images), labels


@AUGMENTATIONS.register("affine")
def _affine(images: "Tensor", labels: "Tensor") -> "tuple[Tensor, Tensor]":
    return random_affine(images), labels


def random_shift(images: "Tensor", pixels: int = 2) -> "Tensor":
    """Shift each image by a whole number of pixels in each direction; zeros come in at the border.

    Args:
        images: (N, C, H, W).
        pixels: largest shift.
    """
    import torch

    down, right = torch.randint(-pixels, pixels + 1, (2, len(images)))
    return shift(images, down, right)


def shift(images: "Tensor", down: "Tensor", right: "Tensor") -> "Tensor":
    """Shift image n by ``down[n]`` rows and ``right[n]`` columns; zeros come in at the border.

    Args:
        images: (N, C, H, W).
        down: (N,) int64, negative for up.
        right: (N,) int64, negative for left.
    """
    import torch
    from torch.nn import functional

    count, _, height, width = images.shape
    margin = max(int(down.abs().max()), int(right.abs().max())) if count else 0
    padded = functional.pad(images, (margin,) * 4)  # (N, C, H + 2 margin, W + 2 margin)
    rows = torch.arange(height) + margin - down[:, None]  # (N, H)
    columns = torch.arange(width) + margin - right[:, None]  # (N, W)
    each = torch.arange(count)[:, None, None]
    picked = padded[each, :, rows[:, :, None], columns[:, None, :]]  # (N, H, W, C)
    return picked.permute(0, 3, 1, 2).contiguous()


def random_affine(
    images: "Tensor", degrees: float = 10, pixels: float = 2, scale: float = 0.1, shear: float = 0.15
) -> "Tensor":
    """Rotate, shear, scale and shift each image about its centre, with bilinear interpolation.

    Args:
        images: (N, C, H, W).
        degrees: largest rotation in either direction.
        pixels: largest shift in each direction.
        scale: largest change of size, as a fraction.
        shear: largest shear, columns per row.
    """
    import torch
    from torch.nn import functional

    count, _, height, width = images.shape

    def draw(most: float) -> "Tensor":
        return (torch.rand(count) * 2 - 1) * most

    angle, size, slope = draw(math.radians(degrees)), 1 + draw(scale), draw(shear)
    cos, sin = angle.cos() / size, angle.sin() / size
    # each output pixel's coordinates, from -1 to 1, in the input
    rows = [
        torch.stack([cos, cos * slope - sin, draw(pixels) * 2 / width], dim=1),
        torch.stack([sin, sin * slope + cos, draw(pixels) * 2 / height], dim=1),
    ]
    matrices = torch.stack(rows, dim=1)  # (N, 2, 3)
    grid = functional.affine_grid(matrices, list(images.shape), align_corners=False)  # (N, H, W, 2)
    moved = functional.grid_sample(images.float(), grid, align_corners=False)
    return moved.round_().clamp_(0, 255).to(torch.uint8)
