"""From uint8 pixels to the input of a network.

The results equal those of ``torchvision.transforms.v2``, applied image by image, value for value. For a
batch of uint8 pixels the few operations are written out here: importing torchvision takes longer than
preprocessing all of MNIST.
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
        mean: subtracted from pixels in [0, 1], one number per channel.
        std: then divides them, one number per channel.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean = torch.tensor(mean, dtype=torch.float32).reshape(-1, 1, 1)  # (C, 1, 1)
        self.std = torch.tensor(std, dtype=torch.float32).reshape(-1, 1, 1)  # (C, 1, 1)

    def __call__(self, images: Any) -> Tensor:
        """Return images as float32 of the same shape.

        Args:
            images: (C, H, W) or (N, C, H, W), as a tensor, array or PIL image. Integers are scaled to
                [0, 1]; other numbers are taken as they are.
        """
        if isinstance(images, Tensor) and images.dtype == torch.uint8 and images.ndim > 2:
            pixels = images.to(torch.float32).mul_(1 / 255)
        else:
            from torchvision.transforms import v2

            scale = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
            pixels = scale(images).as_subclass(Tensor).clone()
        return pixels.sub_(self.mean.to(pixels.device)).div_(self.std.to(pixels.device))
