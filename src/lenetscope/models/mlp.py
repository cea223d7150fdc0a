"""One hidden layer and no convolution: a baseline that ignores which pixels are neighbours."""

import math

from torch import Tensor, nn

from lenetscope.models import MODELS


@MODELS.register("mlp")
class MLP(nn.Module):
    """A linear layer of 128 units with ReLU and dropout, and a linear layer.

    101,770 parameters for 28x28 images of one channel and ten classes; the shapes below are for these.

    Args:
        image_shape: (C, H, W) of the images.
        classes: K, the number of logits.
        dropout: probability of dropping a hidden unit.
    """

    def __init__(
        self, image_shape: tuple[int, int, int] = (1, 28, 28), classes: int = 10, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(math.prod(image_shape), 128)
        self.relu1 = nn.ReLU()
        self.dropout = nn.Dropout(dropout)
        self.fc2 = nn.Linear(128, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K) for images (N, C, H, W)."""
        x = self.flatten(images)  # (N, 784)
        x = self.dropout(self.relu1(self.fc1(x)))  # (N, 128)
        logits: Tensor = self.fc2(x)  # (N, 10)
        return logits
