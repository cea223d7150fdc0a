"""Questions about a network and its run: one question, one file.

The file holds the answer (a function that computes a frozen dataclass or a `Table`), its figure, its
part of the report and, at its end, its registration in `QUESTIONS`. The file's name is the question's
name: ``top_patches.py`` is ``lenetscope inspect --what top-patches``. The command line and the report
walk the registry, so that a new file is all that a new question needs.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from lenetscope.registry import Registry

if TYPE_CHECKING:  # late, so that names can be listed without torch
    from matplotlib.figure import Figure

    from lenetscope.inspection import Inspection
    from lenetscope.selection import Selection

Chapter = Literal["scores", "errors", "inside", "training"]
"""Of the report: how good it is, where it fails, what it looks at, how it learned."""


@dataclass(frozen=True)
class Part:
    """A question's part of the report.

    Attributes:
        html: what stands under the question's heading.
        data: plain values that the page's scripts find under the question's name.
    """

    html: str
    data: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, template: str, **values: Any) -> "Part":
        """Fill a template, see `lenetscope.plots.html.render`."""
        from lenetscope.plots.html import render

        return cls(render(template, **values))


class Costs(NamedTuple):
    """Seconds that a question takes, relative to others: for a run of recipe reference on one core.

    Attributes:
        part: in a report.
        quick: in a quick report; 0 if that leaves it out.
        figures: in ``lenetscope inspect``.
    """

    part: float = 1.0
    quick: float = 1.0
    figures: float = 1.0


@dataclass(frozen=True)
class Question:
    """A question that can be asked about a run.

    Attributes:
        name: on the command line.
        summary: what it asks, in one line.
        figures: yields names of files and figures, for ``lenetscope inspect``.
        part: returns the part of the report; where it raises a `LenetscopeError`, the page gives the
            reason in its place. None if the report does not ask.
        chapter: of the report.
        heading: in the report.
        place: where in the chapter; the lowest stands first.
        costs: how long it takes, for the progress of several questions.
        default: whether ``lenetscope inspect`` asks it when nothing else is said.
        of_layers: whether it is about layers, and asked by default when layers are chosen.
    """

    name: str
    summary: str
    figures: "Callable[[Inspection, Selection], Iterable[tuple[str, Figure]]]"
    part: "Callable[[Inspection], Part] | None" = None
    chapter: Chapter = "inside"
    heading: str = ""
    place: int = 100
    costs: Costs = field(default_factory=Costs)
    default: bool = False
    of_layers: bool = False

    def register(self) -> None:
        """Add the question to `QUESTIONS`.

        Raises:
            UsageError: if its name is taken.
        """
        QUESTIONS.register(self.name)(self)


QUESTIONS: Registry[Question] = Registry("question", __name__)


def spread(epochs: Sequence[int], most: int) -> list[int]:
    """Return at most so many of the epochs, evenly spaced, with the first and the last among them.

    >>> spread(range(16), 4)
    [0, 5, 10, 15]
    """
    last, count = len(epochs) - 1, min(most, len(epochs))
    return [epochs[round(k * last / max(count - 1, 1))] for k in range(count)]


def some_images(count: int, total: int) -> str:
    """Say on how many of the test images something was counted, see `Inspection.sample`.

    >>> some_images(1000, 10000), some_images(60, 60)
    ('1,000 test images (evenly spaced among all 10,000)', 'all 60 test images')
    """
    spread = f" (evenly spaced among all {total:,})"
    return f"{count:,} test images{spread}" if count < total else f"all {total:,} test images"


def numbered(name: str, page: int) -> str:
    """Return the name of a page's file: the first has no number.

    >>> numbered("filters-conv2", 0), numbered("filters-conv2", 1)
    ('filters-conv2', 'filters-conv2-2')
    """
    return f"{name}-{page + 1}" if page else name
