"""A network with few multiplications, for training in seconds.

A wide first filter and no padding make the feature maps shrink early; ReLU follows the pooling, as in
`lenet`.
"""

from torch import Tensor, nn

from lenetscope.errors import UsageError
from lenetscope.models import MODELS


@MODELS.register("lean")
class LeanNet(nn.Module):
    """A convolution of 5x5 and one of 3x3, each with pooling and ReLU, and two linear layers.

    212,682 parameters for 28x28 images of one channel and ten classes; the shapes below are for these.

    Args:
        image_shape: (C, H, W) of the images.
        classes: K, the number of logits.
        dropout: probability of dropping a unit of the hidden linear layer.

    Raises:
        UsageError: if the images are smaller than 12x12.
    """

    def __init__(
        self, image_shape: tuple[int, int, int] = (1, 28, 28), classes: int = 10, dropout: float = 0.5
    ) -> None:
        super().__init__()
        channels, height, width = image_shape
        if min(height, width) < 12:
            raise UsageError(f"LeanNet needs images of at least 12x12, not {height}x{width}.")
        rows, columns = (((side - 4) // 2 - 2) // 2 for side in (height, width))
        self.conv1 = nn.Conv2d(channels, 16, kernel_size=5)
        self.pool1 = nn.MaxPool2d(2)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(16, 32, kernel_size=3)
        self.pool2 = nn.MaxPool2d(2)
        self.relu2 = nn.ReLU()
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(32 * rows * columns, 256)
        self.relu3 = nn.ReLU()
        self.dropout = nn.Dropout(dropout)
        self.fc2 = nn.Linear(256, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K) for images (N, C, H, W)."""
        x = self.relu1(self.pool1(self.conv1(images)))  # (N, 16, 12, 12)
        x = self.relu2(self.pool2(self.conv2(x)))  # (N, 32, 5, 5)
        x = self.flatten(x)  # (N, 800)
        x = self.dropout(self.relu3(self.fc1(x)))  # (N, 256)
        logits: Tensor = self.fc2(x)  # (N, 10)
        return logits
