"""Who says which digit an image shows, and whether it shows one at all.

In: 28x28 images. Out: probabilities of the ten digits, and how sure it is that the image is a digit.
Anything with a `judge` method will do; `NetworkJudge` makes one of any network, with its largest
probability for want of something better (D. Hendrycks and K. Gimpel, "A baseline for detecting
misclassified and out-of-distribution examples in neural networks", arXiv:1610.02136).
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from lenetscope.datasets.preprocess import Preprocess
from lenetscope.errors import UsageError
from lenetscope.untouched import eval_mode


class Judge(Protocol):
    """What `lenetscope.reading.read` asks about images.

    Attributes:
        threshold: digitness below which an image is refused by default.
    """

    @property
    def threshold(self) -> float:
        """Digitness below which an image is refused by default."""

    def judge(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Judge images.

        Args:
            images: (N, 1, 28, 28) uint8, light on dark.

        Returns:
            Probabilities (N, 10), what they lack to 1 being that it is no digit; and digitness (N,) in
            [0, 1].
        """


class NetworkJudge:
    """A network of any training as a judge.

    Args:
        model: takes (N, 1, 28, 28) and puts out logits (N, 10).
        mean: as its recipe says.
        std: as its recipe says.
        threshold: of the largest probability, below which an image is refused.

    Raises:
        UsageError: if it puts out something else.
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
        """Return probabilities (N, 10) and the largest of each (N,)."""
        with torch.no_grad(), eval_mode(self.model):
            probabilities = self.model(self._preprocess(images)).float().softmax(dim=1)
        return probabilities, probabilities.max(dim=1).values
