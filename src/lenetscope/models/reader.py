"""The network that reads a line of handwriting: a convolutional network slid over the whole line.

Y. LeCun, L. Bottou, Y. Bengio and P. Haffner slid LeNet over a line of digits instead of cutting the
line into digits ("Gradient-based learning applied to document recognition", Proc. IEEE 86(11), 1998,
sections VII and VIII: the space displacement network). Here it is trained on whole lines, with the loss
of A. Graves et al., "Connectionist temporal classification", ICML 2006: for each position along the
line it returns the probability of each digit, of another character, and of nothing new ("blank").

The lines of a batch have the same number of characters, and statistics of long lines differ from those
of single digits. So the normalisation is that of S. Ioffe, "Batch renormalization: towards reducing
minibatch dependence in batch-normalized models", NeurIPS 2017: a network in training computes what it
will compute afterwards.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from lenetscope.errors import UsageError
from lenetscope.models import MODELS

OTHER, BLANK = 10, 11
"""Labels of a character that is not a digit, and of nothing new."""

PER_POSITION = 2
"""Columns of pixels per position."""


class LineOutputs(NamedTuple):
    """What the network returns for a batch of lines.

    Attributes:
        logits: (N, 11), log-probability that one digit is written, 0 to 9, and last that it is not.
            One digit is a line of length one.
        positions: (N, 12, T), log-probability of each label at each position.
    """

    logits: Tensor
    positions: Tensor


class BatchRenorm(nn.BatchNorm2d):
    """Batch renormalisation: in training, too, values depend on running statistics, if within limits.

    It begins as batch normalisation, because the running statistics of a new network lag behind.
    """

    SETTLED, RELAXED = 500, 2500
    """Batches after which the limits begin to widen, and after which they stay."""
    MOST, FARTHEST = 3.0, 5.0
    """Limits of the ratio of both standard deviations, and of the distance of both means, in these."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def __init__(self, channels: int) -> None:
        super().__init__(channels, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """Return the maps (N, C, H, W) normalised."""
        if not self.training:
            return super().forward(x)
        mean, std = self.running_mean.clone(), (self.running_var + self.eps).sqrt()
        y, batch_mean, batch_inverse = torch.native_batch_norm(
            x, None, None, self.running_mean, self.running_var, True, self.momentum, self.eps
        )
        span = self.RELAXED - self.SETTLED
        wide = ((self.num_batches_tracked - self.SETTLED) / span).clamp(0, 1)
        self.num_batches_tracked.add_(1)
        scale, shift = 1 + (self.MOST - 1) * wide, self.FARTHEST * wide
        ratio = (1 / (batch_inverse.detach() * std)).clamp(1 / scale, scale)
        offset = ((batch_mean.detach() - mean) / std).clamp(-shift, shift)
        weight, bias = self.weight * ratio, self.weight * offset + self.bias
        return y * weight[:, None, None].to(y.dtype) + bias[:, None, None].to(y.dtype)


def _block(
    inputs: int, outputs: int, size: int = 3, *, pool: tuple[int, int] | None = None
) -> nn.Sequential:
    """Return a convolution that keeps the size of the maps, pooling if asked for, a norm, and ReLU."""
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False)]
    if pool:  # first, so that the others have fewer values to process
        layers.append(nn.MaxPool2d(pool, ceil_mode=True))
    return nn.Sequential(*layers, BatchRenorm(outputs), nn.ReLU())


class _Context(nn.Module):
    """A residual convolution along the line, over positions that are some steps apart."""

    def __init__(self, channels: int, apart: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            channels, channels, (1, 3), padding=(0, apart), dilation=(1, apart), bias=False
        )
        self.norm = BatchRenorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + functional.relu(self.norm(self.conv(x)))


@MODELS.register("reader")
class ReaderNet(nn.Module):
    """Convolutions down to one row, then convolutions along it, which see the whole number.

    >>> import torch
    >>> logits, positions = ReaderNet().eval()(torch.zeros(2, 1, 28, 100))
    >>> logits.shape, positions.shape
    (torch.Size([2, 11]), torch.Size([2, 12, 50]))

    Args:
        image_shape: (C, H, W) of the lines; their width may be any.
        classes: of single digits, and one for anything else.
        dropout: probability of dropping a channel in front of the last layer.

    Raises:
        UsageError: if the lines are lower than 16 pixels.
    """

    def __init__(
        self, image_shape: tuple[int, int, int] = (1, 28, 28), classes: int = 11, dropout: float = 0.0
    ) -> None:
        super().__init__()
        channels, height, _ = image_shape
        if height < 16:
            raise UsageError(f"ReaderNet needs lines of at least 16 pixels, not {height}.")
        self.block1 = _block(channels, 24, 5, pool=(2, 2))
        self.block2 = _block(24, 48, pool=(2, 2))
        self.block3 = _block(48, 80)
        self.block4 = _block(80, 80)
        self.block5 = _block(80, 80, pool=(2, 1))
        self.block6 = _block(80, 112)
        self.column = nn.Sequential(
            nn.Conv2d(112, 160, (-(-height // 8), 3), padding=(0, 1), bias=False),
            BatchRenorm(160),
            nn.ReLU(),
        )
        self.context = nn.Sequential(*(_Context(160, apart) for apart in (1, 2, 4)))
        self.dropout = nn.Dropout2d(dropout)
        self.head = nn.Conv2d(160, 2 * (classes + 1), 1)

    def forward(self, lines: Tensor) -> LineOutputs:
        """Return what is written in lines (N, 1, 28, W); the shapes below are for a width of 100."""
        x = self.block2(self.block1(lines))  # (N, 48, 7, 25)
        x = self.block3(x)  # (N, 80, 7, 25)
        x = self.block5(x + self.block4(x))  # (N, 80, 4, 25)
        x = self.column(self.block6(x))  # (N, 160, 1, 25)
        x = self.head(self.dropout(self.context(x)))[:, :, 0]  # (N, 24, 25)
        halves = x.unflatten(1, (-1, 2)).transpose(2, 3).flatten(2)  # (N, 12, 50)
        positions = halves.float().log_softmax(dim=1)
        return LineOutputs(single(positions), positions)


def single(positions: Tensor) -> Tensor:
    """Return the logits (N, K - 1) that a line consists of one label only, and last that it does not.

    The likelihood of one label is summed over where it begins and ends; before and after it is blank.

    Args:
        positions: (N, K, T) log-probabilities, the last label blank.
    """
    upto = positions.cumsum(dim=2)  # (N, K, T), of label or blank from the beginning on
    blank, each = upto[:, -1:], upto[:, :-2]
    label = positions[:, :-2]
    begun = ((blank - positions[:, -1:]) - (each - label)).logcumsumexp(dim=2)  # blank, then the label
    found = (begun + each - blank + blank[..., -1:]).logsumexp(dim=2)  # (N, K - 2)
    total = found.logsumexp(dim=1, keepdim=True).clamp_max(-1e-6)
    return torch.cat([found, torch.log1p(-total.exp())], dim=1)
