"""From uint8 pixels to what the network sees.

In: one image or a batch, as an array, a PIL image or a tensor. Out: float32. The transforms are
torchvision's, applied to a whole batch at once; value for value the result is that of applying them
image by image.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import v2


class Preprocess:
    """``Compose([ToImage(), ToDtype(float32, scale=True), Normalize(mean, std)])``.

    >>> Preprocess(mean=[0.5], std=[0.5])(torch.tensor([[[0, 255]]], dtype=torch.uint8))
    tensor([[[-1.,  1.]]])

    Args:
        mean: subtracted from pixels in [0, 1], one number a channel.
        std: what the result is divided by, one number a channel.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.transform = v2.Compose(
            [
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(mean=list(mean), std=list(std)),
            ]
        )

    def __call__(self, images: Any) -> Tensor:
        """Return ``images``, (C, H, W) or (N, C, H, W), as float32 of the same shape."""
        result: Tensor = self.transform(images)
        return result.as_subclass(Tensor)
