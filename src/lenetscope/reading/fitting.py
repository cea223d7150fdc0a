"""What is fitted after a reader's training, on images it did not learn from.

In: its logits of held-out digits, and their labels. Out: the temperature that makes its probabilities
mean what they say, and how far they are from it; the threshold of digitness that refuses a given share
of true digits.

C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On calibration of modern neural networks", ICML 2017.
"""

import torch
from torch import Tensor
from torch.nn import functional


def best_temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature with the smallest cross-entropy, between 0.05 and 20, to 1 in 10,000.

    >>> round(best_temperature(torch.tensor([[3.0, 0.0]] * 4), torch.tensor([0, 0, 0, 1])), 3)
    2.731

    Args:
        logits: (N, K) of the digits alone.
        labels: (N,) from 0 to K - 1.
    """
    logits = logits.double()
    low, high = torch.tensor([0.05, 20.0], dtype=torch.float64).log().tolist()
    # cross-entropy has one minimum over 1 / T, so over log T: halve by the golden section
    golden = (5**0.5 - 1) / 2
    while high - low > 1e-4:
        one, two = high - golden * (high - low), low + golden * (high - low)
        losses = [functional.cross_entropy(logits / torch.tensor(t).exp(), labels) for t in (one, two)]
        low, high = (low, two) if losses[0] < losses[1] else (one, high)
    return float(torch.tensor((low + high) / 2).exp())


def calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Return the expected calibration error: |accuracy - confidence|, averaged over bins by their size.

    >>> certain = torch.tensor([[1.0, 0.0]] * 4)
    >>> calibration_error(certain, torch.tensor([0, 0, 0, 1]))
    0.25

    Args:
        probabilities: (N, K).
        labels: (N,).
        bins: of equal width over the largest probability.
    """
    confidence, predicted = probabilities.double().max(dim=1)
    right = (predicted == labels).double()
    number = (confidence * bins).ceil().long().clamp(1, bins) - 1
    gaps = torch.zeros(bins, dtype=torch.float64).index_add_(0, number, right - confidence)
    return float(gaps.abs().sum() / len(labels))


def threshold_for(digitness: Tensor, share: float = 0.01) -> float:
    """Return the largest digitness, to three digits, below which at most ``share`` of these lie.

    >>> threshold_for(torch.tensor([0.1236, 0.5, 0.6, 0.9]), share=0.25)
    0.5

    Args:
        digitness: (N,) of true digits.
        share: that may be refused.
    """
    allowed = int(share * len(digitness) + 1e-9)
    limit = float(digitness.sort().values[min(allowed, len(digitness) - 1)])
    return int(limit * 1000 + 1e-6) / 1000  # rounded down: fewer are refused, not more
