"""The network that reads handwriting: few parameters, and most of its work where maps are small.

A wide first filter sees strokes of any width. Blocks of 3x3 convolutions follow, each with batch
normalisation (S. Ioffe and C. Szegedy, "Batch normalization", ICML 2015), which lets a network of this
size learn from strong augmentation within an hour; the last two are residual (K. He et al., "Deep
residual learning", CVPR 2016). Global average pooling (M. Lin et al., "Network in network", ICLR 2014)
makes the prediction depend little on where the digit is.
"""

from torch import Tensor, nn

from lenetscope.errors import UsageError
from lenetscope.models import MODELS


def _block(inputs: int, outputs: int, size: int = 3, *, pool: bool = False) -> nn.Sequential:
    """Return a convolution that keeps the size of the maps, pooling if asked for, a norm, and ReLU."""
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False)]
    if pool:  # first, so that the others have a quarter of the values to process
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.BatchNorm2d(outputs), nn.ReLU())


@MODELS.register("reader")
class ReaderNet(nn.Module):
    """Six convolutions at three resolutions, global average pooling, and a linear layer.

    153,995 parameters for 28x28 images of one channel and eleven classes (ten digits and none).

    >>> import torch
    >>> ReaderNet()(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 11])

    Args:
        image_shape: (C, H, W) of the images.
        classes: K, the number of logits.
        dropout: probability of dropping one of the averages.

    Raises:
        UsageError: if the images are smaller than 4x4.
    """

    def __init__(
        self, image_shape: tuple[int, int, int] = (1, 28, 28), classes: int = 11, dropout: float = 0.0
    ) -> None:
        super().__init__()
        channels, height, width = image_shape
        if min(height, width) < 4:
            raise UsageError(f"ReaderNet needs images of at least 4x4, not {height}x{width}.")
        self.block1 = _block(channels, 16, 5, pool=True)
        self.block2 = _block(16, 32)
        self.block3 = _block(32, 32, pool=True)
        self.block4 = _block(32, 80)
        self.block5 = _block(80, 80)
        self.block6 = _block(80, 80)
        self.average = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(80, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K) for images (N, C, H, W); the shapes below are for 28x28."""
        x = self.block1(images)  # (N, 16, 14, 14)
        x = self.block3(self.block2(x))  # (N, 32, 7, 7)
        x = self.block4(x)  # (N, 80, 7, 7)
        x = x + self.block6(self.block5(x))  # (N, 80, 7, 7)
        logits: Tensor = self.fc(self.dropout(self.flatten(self.average(x))))  # (N, K)
        return logits
