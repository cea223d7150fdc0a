"""From uint8 pixels to what the network sees.

In: one image or a batch, as an array, a PIL image or a tensor. Out: float32. The transforms are those
of ``torchvision.transforms.v2``, and value for value the result is theirs, applied image by image. A
batch of uint8 pixels needs so little of them that it is written out here: importing torchvision takes
longer than preprocessing all of MNIST.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class Preprocess:
    """``Compose([ToImage(), ToDtype(float32, scale=True), Normalize(mean, std)])``.

    >>> Preprocess(mean=[0.5], std=[0.5])(torch.tensor([[[0, 255]]], dtype=torch.uint8))
    tensor([[[-1.,  1.]]])

    Args:
        mean: subtracted from pixels in [0, 1], one number a channel.
        std: what the result is divided by, one number a channel.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean = torch.tensor(mean, dtype=torch.float32).reshape(-1, 1, 1)  # (C, 1, 1)
        self.std = torch.tensor(std, dtype=torch.float32).reshape(-1, 1, 1)  # (C, 1, 1)

    def __call__(self, images: Any) -> Tensor:
        """Return ``images``, (C, H, W) or (N, C, H, W), as float32 of the same shape."""
        if isinstance(images, Tensor) and images.dtype == torch.uint8 and images.ndim > 2:
            pixels = images.to(torch.float32).mul_(1 / 255)
        else:
            pixels = _scaled(images)
        return pixels.sub_(self.mean.to(pixels.device)).div_(self.std.to(pixels.device))


def _scaled(image: Any) -> Tensor:
    """Return anything that torchvision takes for an image as float32; integers become [0, 1]."""
    from torchvision.transforms import v2

    result: Tensor = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])(image)
    return result.as_subclass(Tensor).clone()
