"""Lets a network of single digits, as `Architecture` trains it, read strips that show one digit."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn

from lenetscope.data.preprocess import Preprocess
from lenetscope.errors import UsageError
from lenetscope.models.reader import BLANK, PER_POSITION
from lenetscope.restore import eval_mode

Array = npt.NDArray[Any]

SIDE, BOX = 28, 20
"""Pixels: side of MNIST's images, and of the box that their digits were scaled to."""


class SingleDigits:
    """A network of single digits.

    Args:
        model: takes (N, 1, 28, 28) and returns logits (N, 10).
        mean: that its recipe normalises by.
        std: that its recipe normalises by.
        threshold: probability below which a digit is refused.

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
                shape = tuple(model(torch.zeros(1, 1, SIDE, SIDE)).shape)
        except RuntimeError as error:
            raise UsageError(
                f"this network does not take 28x28 images of one channel: {error}."
            ) from error
        if shape != (1, 10):
            raise UsageError(f"this network has {shape[-1]} classes; reading needs the ten digits.")

    def positions(self, strips: Sequence[Array] | Array) -> list[Tensor]:
        """Return (12, T) per strip: the digit amid blanks. `Recogniser.positions` says more."""
        if not len(strips):
            return []
        images = torch.from_numpy(np.stack([like_mnist(strip) for strip in strips]))[:, None]
        with torch.no_grad(), eval_mode(self.model):
            likely = self.model(self._preprocess(images)).float().log_softmax(dim=1)  # (N, 10)
        found = []
        for strip, row in zip(strips, likely, strict=True):
            positions = torch.full((12, -(-strip.shape[1] // PER_POSITION)), -30.0)
            positions[BLANK] = 0.0
            columns = np.flatnonzero(inked(strip).any(axis=0))
            middle = int(columns[[0, -1]].mean()) // PER_POSITION if len(columns) else 0
            positions[BLANK, middle], positions[:10, middle] = -30.0, row
            found.append(positions)
        return found

    def log_digitness(self, _positions: Tensor) -> float:
        """Return 0: the network knows nothing but digits."""
        return 0.0


def inked(strip: Array) -> Array:
    """Return which pixels of a strip are ink, (28, W) bool."""
    mask: Array = strip > 0.15 * max(int(strip.max()), 1)
    return mask


def like_mnist(strip: Array) -> Array:
    """Scale the ink of a strip to 20x20 and centre it by its mass in 28x28, as MNIST's were.

    Args:
        strip: (28, W) uint8, ink light.

    Returns:
        (28, 28) uint8.
    """
    ink = inked(strip)
    y, x = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    if not len(x):
        return np.zeros((SIDE, SIDE), dtype=np.uint8)
    part = Image.fromarray(strip[y[0] : y[-1] + 1, x[0] : x[-1] + 1])
    scale = BOX / max(part.size)
    size = (max(1, round(scale * part.width)), max(1, round(scale * part.height)))
    small = np.asarray(part.resize(size, Image.Resampling.BILINEAR))
    mass = small.astype(float) / max(int(small.sum()), 1)
    middle = SIDE / 2 + 0.5  # as in MNIST
    row = middle - float((mass.sum(axis=1) * (np.arange(size[1]) + 0.5)).sum())
    column = middle - float((mass.sum(axis=0) * (np.arange(size[0]) + 0.5)).sum())
    top, left = (min(max(round(v), 0), SIDE - s) for v, s in ((row, size[1]), (column, size[0])))
    image = np.zeros((SIDE, SIDE), dtype=np.uint8)
    image[top : top + size[1], left : left + size[0]] = small
    return image
