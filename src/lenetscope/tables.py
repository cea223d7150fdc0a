"""Results that show themselves: rows of plain values, as text and in a notebook.

In: frozen dataclasses of one kind. Out: a sequence of them, whose text is an aligned table and whose
HTML is one, too. How a column is written stands in its field: see `column`.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, TypeVar, overload

Row = TypeVar("Row")


def column(form: str = "", heading: str | None = None) -> Any:
    """Declare a field of a row.

    Args:
        form: format specification of its values, such as ``".2f"`` or ``",d"``.
        heading: of the column; by default the field's name.
    """
    return dataclasses.field(metadata={"form": form, "heading": heading})


class Table(Sequence[Row]):
    """Rows of one kind, in order; prints as a table, and shows as one in a notebook.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Layer:
    ...     name: str
    ...     zeros: float = column(".1%", "share of zeros")
    >>> print(Table([Layer("relu1", 0.25), Layer("relu2", 0.5)]))
    name   share of zeros
    relu1           25.0%
    relu2           50.0%

    Args:
        rows: instances of one dataclass.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = tuple(rows)

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

    def __hash__(self) -> int:
        return hash(self._rows)

    def __str__(self) -> str:
        if not self._rows:
            return "(no rows)"
        headings, cells, numeric = self._cells()
        widths = [max(map(len, lane)) for lane in zip(headings, *cells, strict=True)]
        lines = [
            "  ".join(
                text.rjust(width) if right else text.ljust(width)
                for text, width, right in zip(line, widths, numeric, strict=True)
            ).rstrip()
            for line in (headings, *cells)
        ]
        return "\n".join(lines)

    __repr__ = __str__

    def as_dicts(self) -> list[dict[str, Any]]:
        """Return the rows as plain dictionaries, for JSON."""
        return [dataclasses.asdict(row) for row in self._rows]  # type: ignore[call-overload]

    def _repr_html_(self) -> str:
        if not self._rows:
            return "<p>(no rows)</p>"
        headings, cells, numeric = self._cells()
        return html_table(headings, cells, numeric)

    def _cells(self) -> tuple[list[str], list[list[str]], list[bool]]:
        fields = dataclasses.fields(self._rows[0])  # type: ignore[arg-type]
        headings = [f.metadata.get("heading") or f.name.replace("_", " ") for f in fields]
        values = [[getattr(row, f.name) for f in fields] for row in self._rows]
        cells = [
            [_text(value, f.metadata.get("form", "")) for value, f in zip(line, fields, strict=True)]
            for line in values
        ]
        numeric = [
            any(isinstance(line[k], (int, float)) for line in values) for k in range(len(fields))
        ]
        return headings, cells, numeric


def html_table(headings: Sequence[str], cells: Iterable[Sequence[str]], numeric: Sequence[bool]) -> str:
    """Return an HTML table of texts; columns of numbers stand to the right."""
    align = ["right" if right else "left" for right in numeric]

    def row(texts: Sequence[str], tag: str, extra: str = "") -> str:
        return "".join(
            f'<{tag}{extra} style="text-align:{side}">{escape(text)}</{tag}>'
            for text, side in zip(texts, align, strict=True)
        )

    body = "".join(f"<tr>{row(line, 'td')}</tr>" for line in cells)
    head = row(headings, "th", ' scope="col"')
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _text(value: Any, form: str) -> str:
    if value is None:
        return "-"
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return format(value, form)
