"""Losses that torch does not have."""

from typing import Any

import torch
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


class LineLoss(nn.Module):
    """Connectionist temporal classification, per character.

    A. Graves et al., "Connectionist temporal classification: labelling unsegmented sequence data with
    recurrent neural networks", ICML 2006.
    """

    def forward(self, outputs: Any, labels: Tensor) -> Tensor:
        """Return the mean over all characters of a batch, a scalar.

        Args:
            outputs: with ``positions`` (N, K, T), log-probabilities of labels along lines, of which the
                last is blank; or logits (N, K) of single characters.
            labels: (N, L) int64 with -1 after the last character of a line, or (N,) for single ones.
        """
        if isinstance(outputs, Tensor):
            return functional.cross_entropy(outputs, labels)
        positions, targets = outputs.positions, labels.reshape(len(labels), -1)
        count, kinds, length = positions.shape
        lengths = (targets >= 0).sum(dim=1)
        each = functional.ctc_loss(
            positions.permute(2, 0, 1),
            targets.clamp_min(0),
            torch.full((count,), length, dtype=torch.long),
            lengths,
            blank=kinds - 1,
            reduction="sum",
            zero_infinity=True,  # of lines with more characters than fit into them
        )
        return each / lengths.sum().clamp_min(1)
