"""A small residual network: each block adds to its input what two convolutions make of it.

After K. He, X. Zhang, S. Ren and J. Sun, "Deep residual learning for image recognition", CVPR 2016,
whose networks for small images have three stages, too (section 4.2). This one is wider and has one
block per stage instead of three and more: fewer layers to look at, and nearly as many parameters.
"""

from torch import Tensor, nn

from lenetscope.errors import UsageError
from lenetscope.models import MODELS

WIDTHS = 32, 64, 96
"""Channels of the three stages; each but the first halves the rows and columns of its input."""


class Residual(nn.Module):
    """Two convolutions of 3x3 with batch normalization, added to the input.

    Where the size or the number of channels changes, a convolution of 1x1 brings the input to the same.

    Args:
        inputs: channels that are given.
        outputs: channels that are returned.
        stride: 2 to halve rows and columns.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride > 1 or inputs != outputs:
            self.shortcut.append(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False))
            self.shortcut.append(nn.BatchNorm2d(outputs))
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return maps (N, outputs, H / stride, W / stride), rounded up, for maps (N, inputs, H, W)."""
        around = self.shortcut(x)
        y = self.relu1(self.norm1(self.conv1(x)))
        out: Tensor = self.relu2(self.norm2(self.conv2(y)) + around)
        return out


@MODELS.register("resnet")
class ResNet(nn.Module):
    """A convolution, three residual blocks, the mean of each map, and a linear layer.

    222,570 parameters for images of one channel and ten classes, whatever their size; the shapes below
    are for 28x28.

    >>> import torch
    >>> ResNet((3, 8, 40), classes=4)(torch.zeros(2, 3, 8, 40)).shape
    torch.Size([2, 4])

    Args:
        image_shape: (C, H, W) of the images.
        classes: K, the number of logits.
        dropout: probability of dropping a mean of a map, in front of the linear layer.

    Raises:
        UsageError: if the images are smaller than 8x8.
    """

    def __init__(
        self, image_shape: tuple[int, int, int] = (1, 28, 28), classes: int = 10, dropout: float = 0.0
    ) -> None:
        super().__init__()
        channels, height, width = image_shape
        if min(height, width) < 8:
            raise UsageError(f"ResNet needs images of at least 8x8, not {height}x{width}.")
        first, second, third = WIDTHS
        self.conv = nn.Conv2d(channels, first, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(first)
        self.relu = nn.ReLU()
        self.stage1 = Residual(first, first, 1)
        self.stage2 = Residual(first, second, 2)
        self.stage3 = Residual(second, third, 2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(third, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K) for images (N, C, H, W)."""
        x = self.relu(self.norm(self.conv(images)))  # (N, 32, 28, 28)
        x = self.stage3(self.stage2(self.stage1(x)))  # (N, 96, 7, 7)
        x = self.dropout(self.flatten(self.pool(x)))  # (N, 96)
        logits: Tensor = self.fc(x)  # (N, 10)
        return logits
