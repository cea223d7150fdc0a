"""How much a recording may keep.

In: a number of bytes. Out: whether the next values still fit, and one warning when they do not.
"""

import warnings

from torch import Tensor

DEFAULT_BUDGET = 256 * 2**20
"""Bytes that a recording keeps before it stops: 256 MiB."""


class Budget:
    """Bytes that may still be kept.

    Args:
        size: how many in all.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.used = 0
        self.exceeded = False

    def has_room(self, size: int) -> bool:
        """Tell whether so many bytes would fit."""
        return not self.exceeded and self.used + size <= self.size

    def admits(self, size: int) -> bool:
        """Count so many bytes if they fit; else stop for good, and say so once."""
        if self.has_room(size):
            self.used += size
            return True
        if not self.exceeded:
            warnings.warn(
                f"recording stopped: the next values would go past the budget of "
                f"{self.size / 2**20:.0f} MiB. What was recorded until now is kept; take the hooks "
                "off when done, record fewer layers, or give a larger max_bytes.",
                stacklevel=3,
            )
        self.exceeded = True
        return False


def bytes_of(values: Tensor) -> int:
    """Return what a tensor takes as it is recorded: half precisions are widened to four bytes."""
    return values.numel() * max(values.element_size(), 4)
