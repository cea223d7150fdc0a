"""The questions that can be asked about a run, each answered by one or more figures.

A question is a function of a `Study` and a `Choice` that yields names of files and figures, registered
in `QUESTIONS`; the first line of its docstring is what ``--what list`` says of it.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from lenetscope.inspection.choice import Choice
from lenetscope.inspection.study import Study
from lenetscope.registry import Registry

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Answer = Iterator[tuple[str, "Figure"]]

QUESTIONS: Registry[Callable[[Study, Choice], Answer]] = Registry("question")

DEFAULT_QUESTIONS = ("curves", "confusion", "filters", "maps")
"""Those that take no more than a moment."""

LAYER_QUESTIONS = ("filters", "maps")
"""Those of them that are about layers."""


def paged(name: str, page: int) -> str:
    """Return the name of a page's file: the first has none of its own."""
    return f"{name}-{page + 1}" if page else name
