"""Several digits in the frame of one, which is what a number is that was not cut apart.

In: digits (N, 28, 28) in [0, 1] with their labels. Out: pictures (count, 28, 28) of the same kind.
"""

import torch
from torch import Tensor
from torch.nn import functional

from lenetscope.datasets.ink import boxed


def crowds(count: int, digits: Tensor, labels: Tensor) -> Tensor:
    """Two or three digits in the frame of one: apart, touching, or one a little over the other.

    They stand in a row, some above each other; none of these is a 1 or a 7, which make one of two.
    """
    three, stacked = count // 5, count // 8
    upright = _row(count - three - stacked, 2, digits, labels)
    column = _row(stacked, 2, digits.transpose(1, 2), labels, without=(1, 7)).transpose(1, 2)
    return torch.cat([upright, column, _row(three, 3, digits, labels)])


def _row(
    count: int, number: int, digits: Tensor, labels: Tensor, without: tuple[int, ...] = ()
) -> Tensor:
    """Push digits together until their ink meets, give or take, and bring the row to a digit's box."""
    if not count:
        return torch.zeros(0, 28, 28)
    width = 28 * number
    columns = torch.arange(width)
    row = torch.zeros(count, 28, width)
    for place in range(number):
        digit, _ = pick(count, digits, labels, without)
        digit = functional.pad(digit, (0, width - 28))
        if place:
            last = _farthest(row * (columns + 1.0), 0.0) - 1  # of the ink so far, in each line
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
    """Return the largest value of each line and of its two neighbours, (N, H)."""
    each = values.amax(dim=2)
    around = functional.pad(each, (1, 1), value=nothing)
    return torch.stack([around[:, :-2], each, around[:, 2:]]).amax(dim=0)


def pick(
    count: int, digits: Tensor, labels: Tensor, without: tuple[int, ...] = ()
) -> tuple[Tensor, Tensor]:
    """Draw digits of all labels but some."""
    allowed = (~torch.isin(labels, torch.tensor(without, dtype=labels.dtype))).nonzero()[:, 0]
    chosen = allowed[torch.randint(len(allowed), (count,))]
    return digits[chosen], labels[chosen]
