"""How far a long piece of work has come, told by whoever called for it.

In: a sequence to be gone through. Out: its items, one after another, with something shown in between.
The rooms that compute take a `Track` and know nothing of terminals; the command line gives one that
draws a bar.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")


class Track(Protocol):
    """Hands the items of a sequence out, and may show how many are done."""

    def __call__(self, items: Sequence[T], /) -> Iterable[T]:
        """Yield the items in their order."""
        ...


def untracked(items: Sequence[T], /) -> Iterable[T]:
    """Yield the items in their order and show nothing."""
    return items
