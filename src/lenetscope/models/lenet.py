"""The reference network, a convolutional network in the manner of LeNet.

After Y. LeCun et al., "Gradient-based learning applied to document recognition", Proc. IEEE 86(11),
1998, with ReLU, max pooling and dropout in place of what was used then. ReLU follows the pooling
instead of preceding it: the two commute, bit for bit in values and gradients, and after the pooling
ReLU has only a quarter of the values to process.
"""

from torch import Tensor, nn

from lenetscope.errors import UsageError
from lenetscope.models import MODELS


@MODELS.register("lenet")
class LeNet(nn.Module):
    """Two convolutions of 3x3, each with pooling and ReLU, and two linear layers.

    421,642 parameters for 28x28 images of one channel and ten classes; the shapes below are for these.

    >>> import torch
    >>> LeNet()(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])

    Args:
        image_shape: (C, H, W) of the images.
        classes: K, the number of logits.
        dropout: probability of dropping a unit of the hidden linear layer.

    Raises:
        UsageError: if the images are smaller than 4x4.
    """

    def __init__(
        self, image_shape: tuple[int, int, int] = (1, 28, 28), classes: int = 10, dropout: float = 0.5
    ) -> None:
        super().__init__()
        channels, height, width = image_shape
        if min(height, width) < 4:
            raise UsageError(f"LeNet needs images of at least 4x4, not {height}x{width}.")
        self.conv1 = nn.Conv2d(channels, 32, kernel_size=3, padding=1)
        self.pool1 = nn.MaxPool2d(2)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(32, 64, kernel_size=3, padding=1)
        self.pool2 = nn.MaxPool2d(2)
        self.relu2 = nn.ReLU()
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(64 * (height // 4) * (width // 4), 128)
        self.relu3 = nn.ReLU()
        self.dropout = nn.Dropout(dropout)
        self.fc2 = nn.Linear(128, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K) for images (N, C, H, W)."""
        x = self.relu1(self.pool1(self.conv1(images)))  # (N, 32, 14, 14)
        x = self.relu2(self.pool2(self.conv2(x)))  # (N, 64, 7, 7)
        x = self.flatten(x)  # (N, 3136)
        x = self.dropout(self.relu3(self.fc1(x)))  # (N, 128)
        logits: Tensor = self.fc2(x)  # (N, 10)
        return logits
