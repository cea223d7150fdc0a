"""Makes images of several digits in one frame, as from a number that was not cut into its digits.

A network must refuse these, so that reading prefers to cut them. Digits are (N, 28, 28) in [0, 1].
"""

import torch
from torch import Tensor
from torch.nn import functional

from lenetscope.reading.training.drawing import boxed


def crowds(count: int, digits: Tensor, labels: Tensor) -> Tensor:
    """Two or three digits in one frame, apart, touching or slightly overlapping, in a row or stacked.

    Among stacked ones there is no 1 and no 7, because two of these may look like a single digit.
    """
    three, stacked = count // 5, count // 8
    upright = _row(count - three - stacked, 2, digits, labels)
    column = _row(stacked, 2, digits.transpose(1, 2), labels, without=(1, 7)).transpose(1, 2)
    return torch.cat([upright, column, _row(three, 3, digits, labels)])


def _row(
    count: int, number: int, digits: Tensor, labels: Tensor, without: tuple[int, ...] = ()
) -> Tensor:
    """Push digits together until their ink touches, within a few pixels, and scale the row to a box."""
    if not count:
        return torch.zeros(0, 28, 28)
    width = 28 * number
    columns = torch.arange(width)
    row = torch.zeros(count, 28, width)
    for place in range(number):
        digit, _ = pick(count, digits, labels, without)
        digit = functional.pad(digit, (0, width - 28))
        if place:
            last = _farthest(row * (columns + 1.0), 0.0) - 1  # column of the ink so far, per row
            first = -_farthest(torch.where(digit > 0.3, -columns.float(), -1e3), -1e3)
            meets = (last - first).amax(dim=1).long() + 1  # (N,)
            by = (meets + torch.randint(-2, 4, (count,))).clamp_min(0)
            source = columns - by[:, None]  # (N, W)
            moved = digit.gather(2, source.clamp_min(0)[:, None].expand(-1, 28, -1))
            digit = moved * (source >= 0)[:, None]
            digit = digit.roll(int(torch.randint(-2, 3, ())), dims=1)
        row = torch.maximum(row, digit)
    return boxed(row)


def _farthest(values: Tensor, nothing: float) -> Tensor:
    """Return the largest value in each row and its two neighbouring rows, (N, H)."""
    each = values.amax(dim=2)
    around = functional.pad(each, (1, 1), value=nothing)
    return torch.stack([around[:, :-2], each, around[:, 2:]]).amax(dim=0)


def pick(
    count: int, digits: Tensor, labels: Tensor, without: tuple[int, ...] = ()
) -> tuple[Tensor, Tensor]:
    """Draw random digits, without those of some labels."""
    allowed = (~torch.isin(labels, torch.tensor(without, dtype=labels.dtype))).nonzero()[:, 0]
    chosen = allowed[torch.randint(len(allowed), (count,))]
    return digits[chosen], labels[chosen]
