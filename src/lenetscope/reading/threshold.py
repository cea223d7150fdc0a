"""Fits the threshold of digitness on digits that a reader was not trained on."""

from torch import Tensor


def threshold_for(digitness: Tensor, fraction: float = 0.01) -> float:
    """Return the highest threshold, to three decimals, that refuses at most a fraction of digits.

    >>> import torch
    >>> threshold_for(torch.tensor([0.1236, 0.5, 0.6, 0.9]), fraction=0.25)
    0.5

    Args:
        digitness: (N,) of true digits.
        fraction: of them that may be refused.
    """
    allowed = int(fraction * len(digitness) + 1e-9)
    limit = float(digitness.sort().values[min(allowed, len(digitness) - 1)])
    return int(limit * 1000 + 1e-6) / 1000  # rounded down, so that not more are refused
