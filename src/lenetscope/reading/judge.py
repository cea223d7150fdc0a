"""The classifier that reading asks which digit an image shows, and whether it shows one at all.

Any object with a threshold and a `judge` method is a `Judge`. `NetworkJudge` makes one of any network,
with the largest probability as its digitness (D. Hendrycks and K. Gimpel, "A baseline for detecting
misclassified and out-of-distribution examples in neural networks", arXiv:1610.02136).
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from lenetscope.data.preprocess import Preprocess
from lenetscope.errors import UsageError
from lenetscope.restore import eval_mode


class Judge(Protocol):
    """Classifies the images of digits that `lenetscope.reading.read` finds."""

    @property
    def threshold(self) -> float:
        """Digitness below which an image is refused by default."""

    def judge(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Classify images.

        Args:
            images: (N, 1, 28, 28) uint8, light on dark.

        Returns:
            Probabilities (N, 10) of the digits, whose sum may be less than 1 by the probability that
            the image is not a digit; and digitness (N,) in [0, 1].
        """


class NetworkJudge:
    """Makes a judge of any network.

    Args:
        model: takes (N, 1, 28, 28) and returns logits (N, 10).
        mean: that its recipe normalises by.
        std: that its recipe normalises by.
        threshold: largest probability below which an image is refused.

    Raises:
        UsageError: if the model takes other images or has other outputs.
    """

    def __init__(
        self, model: nn.Module, mean: Sequence[float], std: Sequence[float], threshold: float = 0.3
    ) -> None:
        self.model, self.threshold = model, threshold
        self._preprocess = Preprocess(mean, std)
        try:
            with torch.no_grad(), eval_mode(model):
                shape = tuple(model(torch.zeros(1, 1, 28, 28)).shape)
        except RuntimeError as error:
            raise UsageError(
                f"this network does not take 28x28 images of one channel: {error}."
            ) from error
        if shape != (1, 10):
            raise UsageError(f"this network has {shape[-1]} classes; reading needs the ten digits.")

    def judge(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities (N, 10) and the largest per image (N,)."""
        with torch.no_grad(), eval_mode(self.model):
            probabilities = self.model(self._preprocess(images)).float().softmax(dim=1)
        return probabilities, probabilities.max(dim=1).values
