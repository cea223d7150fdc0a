"""Losses that torch does not have."""

from torch import Tensor, nn
from torch.nn import functional


class SmoothedCrossEntropyLoss(nn.CrossEntropyLoss):
    """Cross entropy whose targets are smoothed in training mode only: what is measured is comparable.

    Smoothing: C. Szegedy et al., "Rethinking the inception architecture", CVPR 2016, section 7.
    """

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean over the batch, a scalar, for logits (N, K) and labels (N,)."""
        smoothing = self.label_smoothing if self.training else 0.0
        return functional.cross_entropy(logits, labels, label_smoothing=smoothing)
