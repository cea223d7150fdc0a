"""The threshold of digitness, fitted on digits that a reader did not learn from.

In: digitness of true digits. Out: the value that refuses a given share of them.
"""

from torch import Tensor


def threshold_for(digitness: Tensor, share: float = 0.01) -> float:
    """Return the largest digitness, to three digits, below which at most ``share`` of these lie.

    >>> import torch
    >>> threshold_for(torch.tensor([0.1236, 0.5, 0.6, 0.9]), share=0.25)
    0.5

    Args:
        digitness: (N,) of true digits.
        share: that may be refused.
    """
    allowed = int(share * len(digitness) + 1e-9)
    limit = float(digitness.sort().values[min(allowed, len(digitness) - 1)])
    return int(limit * 1000 + 1e-6) / 1000  # rounded down: fewer are refused, not more
