"""Augmentation of a batch of training images at once.

In: uint8 images (N, C, H, W). Out: as many of the same shape, each changed at random, in a way that
leaves its label true. The random numbers are torch's own, so that a training that is resumed draws the
same. Mirror images are not among them: digits have a handedness.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from lenetscope.registry import Registry

AUGMENTATIONS: Registry[Callable[[Tensor], Tensor] | None] = Registry("augmentation")
"""Each takes and returns uint8 images; ``"none"`` is None."""

AUGMENTATIONS.register("none")(None)


@AUGMENTATIONS.register("shift")
def random_shift(images: Tensor, pixels: int = 2) -> Tensor:
    """Shift each image by a whole number of pixels in each direction; zeros come in at the border.

    Args:
        images: (N, C, H, W).
        pixels: the farthest shift.
    """
    moves = torch.randint(-pixels, pixels + 1, (2, len(images)))
    return shift(images, moves[0], moves[1])


def shift(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Shift image n by ``down[n]`` rows and ``right[n]`` columns; zeros come in at the border.

    Args:
        images: (N, C, H, W).
        down: (N,) int64, negative for up.
        right: (N,) int64, negative for left.
    """
    count, _, height, width = images.shape
    margin = max(int(down.abs().max()), int(right.abs().max())) if count else 0
    padded = functional.pad(images, (margin,) * 4)  # (N, C, H + 2m, W + 2m)
    rows = torch.arange(height) + margin - down[:, None]  # (N, H)
    columns = torch.arange(width) + margin - right[:, None]  # (N, W)
    each = torch.arange(count)[:, None, None]
    picked = padded[each, :, rows[:, :, None], columns[:, None, :]]  # (N, H, W, C)
    return picked.permute(0, 3, 1, 2).contiguous()


@AUGMENTATIONS.register("affine")
def random_affine(
    images: Tensor,
    degrees: float = 10.0,
    pixels: float = 2.0,
    scale: float = 0.1,
    shear: float = 0.15,
) -> Tensor:
    """Rotate, slant, scale and shift each image about its centre, with bilinear interpolation.

    Args:
        images: (N, C, H, W).
        degrees: largest rotation either way.
        pixels: farthest shift in each direction.
        scale: largest change of size, as a share.
        shear: largest slant, columns a row.
    """
    count, _, height, width = images.shape

    def draw(most: float) -> Tensor:
        return (torch.rand(count) * 2 - 1) * most

    angle, size, slant = draw(math.radians(degrees)), 1 + draw(scale), draw(shear)
    cos, sin = angle.cos() / size, angle.sin() / size
    # what the output's coordinates, from -1 to 1, are in the input
    rows = [
        torch.stack([cos, cos * slant - sin, draw(pixels) * 2 / width], dim=1),
        torch.stack([sin, sin * slant + cos, draw(pixels) * 2 / height], dim=1),
    ]
    grid = functional.affine_grid(
        torch.stack(rows, dim=1), list(images.shape), align_corners=False
    )  # (N, H, W, 2)
    moved = functional.grid_sample(images.float(), grid, align_corners=False)
    return moved.round_().clamp_(0, 255).to(torch.uint8)
