"""From uint8 pixels to the input of a network.

The results equal those of ``torchvision.transforms.v2``, applied image by image, value for value. The
few operations are written out here: importing torchvision takes longer than preprocessing all of MNIST.
"""

from collections.abc import Sequence

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

    def __call__(self, images: Tensor) -> Tensor:
        """Return uint8 images, (C, H, W) or (N, C, H, W), as float32 of the same shape."""
        pixels = images.to(torch.float32).mul_(1 / 255)
        return pixels.sub_(self.mean.to(pixels.device)).div_(self.std.to(pixels.device))
