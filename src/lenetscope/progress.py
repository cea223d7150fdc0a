"""Progress of long computations, displayed by the caller.

Functions that take a while accept a `Progress` and pass it the items that they iterate over. The
command line provides one that draws a bar.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")


class Progress(Protocol):
    """Yields the items of a sequence and may show how many are done."""

    def __call__(self, items: Sequence[T], /) -> Iterable[T]:
        """Yield the items in order."""
        ...


def no_progress(items: Sequence[T], /) -> Iterable[T]:
    """Return the items and show nothing."""
    return items
