"""Results as rows of plain values that print as a table and show as one in a notebook.

How the values of a column are written is declared with its field: see `column`.
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from html import escape
from io import StringIO
from typing import Any, TypeVar, overload

from lenetscope.errors import UsageError, listed

Row = TypeVar("Row")


def column(form: str = "", heading: str | None = None) -> Any:
    """Declare a field of a row.

    Args:
        form: format specification of its values, such as ``".2f"`` or ``",d"``; ``".2%"`` for a
            fraction and ``".2p"`` for a probability, see `percent`.
        heading: of the column; by default the field's name.
    """
    return dataclasses.field(metadata={"form": form, "heading": heading})


class Table(Sequence[Row]):
    """Rows of one kind, in order.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Layer:
    ...     name: str
    ...     zeros: float = column(".1%", "fraction of zeros")
    >>> print(Table([Layer("relu1", 0.25), Layer("relu2", 0.5)]))
    name   fraction of zeros
    relu1             25.0 %
    relu2             50.0 %

    Args:
        rows: instances of one dataclass. None is written as ``-``, a tuple as ``32x28x28``; fields
            declared with ``repr=False`` are left out.

    Raises:
        UsageError: if they are not instances of one dataclass.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = tuple(rows)
        kinds = {type(row) for row in self._rows}
        if len(kinds) > 1 or not all(map(dataclasses.is_dataclass, kinds)):
            names = listed(sorted(kind.__name__ for kind in kinds))
            raise UsageError(f"the rows of a table must be instances of one dataclass, not {names}.")

    @overload
    def __getitem__(self, which: int) -> Row: ...
    @overload
    def __getitem__(self, which: slice) -> "Table[Row]": ...
    def __getitem__(self, which: int | slice) -> "Row | Table[Row]":
        return Table(self._rows[which]) if isinstance(which, slice) else self._rows[which]

    def __len__(self) -> int:
        return len(self._rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Table) and self._rows == other._rows

    def __str__(self) -> str:
        return text_table(*self._cells()) if self._rows else "(no rows)"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(*self._cells()) if self._rows else "<p>(no rows)</p>"

    __html__ = _repr_html_  # how templates ask for it

    def as_dicts(self) -> list[dict[str, Any]]:
        """Return the rows as plain dictionaries, for JSON."""
        return [dataclasses.asdict(row) for row in self._rows]  # type: ignore[call-overload]

    def _cells(self) -> tuple[list[str], list[list[str]], list[bool]]:
        """Return headings, texts, and which columns hold numbers."""
        fields = [f for f in dataclasses.fields(self._rows[0]) if f.repr]  # type: ignore[arg-type]
        headings = [f.metadata.get("heading") or f.name.replace("_", " ") for f in fields]
        values = [[getattr(row, f.name) for f in fields] for row in self._rows]
        forms = [f.metadata.get("form", "") for f in fields]
        cells = [[_text(*pair) for pair in zip(line, forms, strict=True)] for line in values]
        numeric = [any(isinstance(v, (int, float)) for v in lane) for lane in zip(*values, strict=True)]
        return headings, cells, numeric


class ShowsRows(ABC):
    """An answer that prints, and shows in a notebook, as its rows."""

    @property
    @abstractmethod
    def rows(self) -> Table[Any]:
        """What is shown."""

    def __str__(self) -> str:
        return str(self.rows)

    def _repr_html_(self) -> str:
        return self.rows._repr_html_()


class ShowsFacts(ABC):
    """A thing that prints, and shows in a notebook, as its kind and a few facts about it."""

    @abstractmethod
    def facts(self) -> dict[str, str]:
        """Return what is shown, by name."""

    def __repr__(self) -> str:
        return text_table([type(self).__name__, ""], self.facts().items(), [False, False])

    def _repr_html_(self) -> str:
        return html_table([type(self).__name__, ""], self.facts().items(), [False, False])


def text_table(headings: Sequence[str], cells: Iterable[Sequence[str]], numeric: Sequence[bool]) -> str:
    """Return an aligned table of texts, never wrapped; numeric columns are right-aligned."""
    from rich.console import Console
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid(box=None, pad_edge=False)
    for heading, right in zip(headings, numeric, strict=True):
        grid.add_column(Text(heading), justify="right" if right else "left", no_wrap=True)
    for line in cells:
        grid.add_row(*map(Text, line))
    drawn = StringIO()
    Console(file=drawn, width=2**20, color_system=None, force_jupyter=False).print(grid)
    return "\n".join(line.rstrip() for line in drawn.getvalue().splitlines())


def html_table(headings: Sequence[str], cells: Iterable[Sequence[str]], numeric: Sequence[bool]) -> str:
    """Return an HTML table of texts; numbers are right-aligned, and stay on one line."""

    def row(texts: Sequence[str], tag: str, number: str) -> str:
        return "".join(
            f'<{tag} style="text-align:{number if right else "left"}">{escape(text)}</{tag[:2]}>'
            for text, right in zip(texts, numeric, strict=True)
        )

    body = "".join(f"<tr>{row(line, 'td', 'right;white-space:nowrap')}</tr>" for line in cells)
    head = row(headings, 'th scope="col"', "right")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _text(value: Any, form: str) -> str:
    if value is None:
        return "-"
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    if form.endswith(("%", "p")) and not form.startswith("+"):
        return percent(value, int(form[1:-1]), certain=form.endswith("%"))
    return f"{100 * value:{form[:-1]}f} %" if form.endswith("%") else format(value, form)


def percent(fraction: float, digits: int = 2, *, certain: bool = True) -> str:
    """Write a fraction in percent; what is not quite none or all is never written as 0 or 100 %.

    >>> percent(0.5), percent(0.99997), percent(1.0), percent(1.0, 1, certain=False)
    ('50.00 %', '>99.99 %', '100.00 %', '>99.9 %')

    Args:
        fraction: from 0 to 1.
        digits: behind the decimal point.
        certain: whether it may be none or all, as of counted images; a probability is neither.
    """
    text, step = f"{100 * fraction:.{digits}f}", 10.0**-digits
    for end, bound in ((0.0, f"<{step:.{digits}f}"), (1.0, f">{100 - step:.{digits}f}")):
        if float(text) == 100 * end and not (certain and fraction == end):
            return f"{bound} %"
    return f"{text} %"


def counted(number: int, thing: str) -> str:
    """Write a number of things.

    >>> counted(1, "error"), counted(1200, "error")
    ('1 error', '1,200 errors')
    """
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def interval(bounds: tuple[float, float], digits: int = 2) -> str:
    """Write the 95 % interval of a fraction.

    >>> interval((0.987, 0.99995), 1)
    '95 % interval 98.7 to >99.9 %'
    """
    low, high = (percent(bound, digits) for bound in bounds)
    return f"95 % interval {low.removesuffix(' %')} to {high}"
