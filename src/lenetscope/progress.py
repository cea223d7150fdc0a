"""Progress of long computations, displayed by the caller.

Functions that take a while accept a `Progress` and pass it the items that they iterate over. The
command line provides a `Show` that draws a bar.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")

Show = Callable[[float, str], None]
"""Is told which fraction of the work is done, and the name of the task that is being done."""


class Progress(Protocol):
    """Yields the items of a sequence and may show how many are done."""

    def __call__(self, items: Sequence[T], /) -> Iterable[T]:
        """Yield the items in order."""
        ...


def no_progress(items: Sequence[T], /) -> Iterable[T]:
    """Return the items and show nothing."""
    return items


def show_nothing(_fraction: float, _task: str) -> None:
    """Show nothing."""


def weighted(costs: Mapping[str, float], show: Show) -> Iterator[tuple[str, Progress]]:
    """Yield the tasks in order, each with its progress, and show how much of all of them is done.

    A task may iterate several times, how often is not known before: each time counts as half of what
    is left of the task.

    >>> for task, progress in weighted({"count": 3, "add": 1}, lambda done, task: print(done, task)):
    ...     passed = list(progress(["a", "b"]))
    0.0 count
    0.1875 count
    0.375 count
    0.75 add
    0.8125 add
    0.875 add

    Args:
        costs: by name of a task, its share of the time, in any unit.
        show: is told what is done.
    """
    total, done = sum(costs.values()) or 1.0, 0.0
    for task, cost in costs.items():
        show(done / total, task)
        yield task, _within(done / total, (done + cost) / total, task, show)
        done += cost


def _within(begin: float, end: float, task: str, show: Show) -> Progress:
    place = begin

    def progress(items: Sequence[T], /) -> Iterable[T]:
        nonlocal place
        step = (end - place) / 2 / max(len(items), 1)
        for item in items:
            yield item
            place += step
            show(place, task)

    return progress
