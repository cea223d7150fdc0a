"""Tables, as text and as HTML."""

from dataclasses import dataclass, field

import pytest
from markupsafe import escape

from lenetscope.errors import UsageError
from lenetscope.table import ShowsRows, Table, column, percent, text_table


@dataclass(frozen=True)
class Row:
    name: str
    zeros: float | None = column(".1%", "fraction of zeros")
    shape: tuple[int, ...] = column()
    n_images: int = column(",d")


ROWS = [Row("relu<1>", 0.25, (4, 10), 12345), Row("fc", None, (3,), 7)]


def test_the_text_is_aligned() -> None:
    assert str(Table(ROWS)).splitlines() == [
        "name     fraction of zeros  shape  n images",
        "relu<1>             25.0 %  4x10     12,345",
        "fc                       -  3             7",
    ]
    assert str(Table([])) == "(no rows)"


@pytest.mark.parametrize(
    ("fraction", "digits", "certain", "text"),
    [
        (1.0, 2, True, "100.00 %"), (1.0, 1, False, ">99.9 %"), (0.0, 2, True, "0.00 %"),
        (0.0, 1, False, "<0.1 %"), (1 - 2 / 60_000, 2, True, ">99.99 %"), (0.996, 0, True, ">99 %"),
        (0.9994, 1, False, "99.9 %"), (1e-9, 0, True, "<1 %"), (0.12345, 2, False, "12.35 %"),
    ],
)  # fmt: skip
def test_only_none_and_all_are_written_as_0_and_100_percent(
    fraction: float, digits: int, certain: bool, text: str
) -> None:
    assert percent(fraction, digits, certain=certain) == text


def test_a_column_of_probabilities_never_claims_certainty() -> None:
    @dataclass(frozen=True)
    class Chance:
        p: float = column(".1p")
        share: float = column(".1%")
        change: float = column("+.1%")

    assert str(Table([Chance(1.0, 1.0, -0.1)])).splitlines()[1] == ">99.9 %  100.0 %  -10.0 %"


@pytest.mark.parametrize("rows", [[1, 2], "ab", [ROWS[0], None]])
def test_rows_of_no_kind_or_of_several_are_told(rows: object) -> None:
    with pytest.raises(UsageError, match="must be instances of one dataclass, not"):
        Table(rows)


def test_the_text_is_plain_and_is_never_wrapped(monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("FORCE_COLOR", "1")
    names = ["[bold]:smile:" * 20, "零"]
    assert text_table(["name", "n"], [[name, "1"] for name in names], [False, True]).splitlines() == [
        f"name{' ' * 256}  n",
        f"{names[0]}  1",
        f"零{' ' * 258}  1",  # twice as wide as a Latin letter
    ]


def test_the_html_is_escaped_and_numbers_are_right_aligned() -> None:
    html = Table(ROWS)._repr_html_()
    assert "relu&lt;1&gt;" in html
    assert '<td style="text-align:right;white-space:nowrap">12,345</td>' in html
    assert html.count("<tr>") == 3
    assert "no rows" in Table([])._repr_html_()


def test_an_answer_shows_its_rows_without_what_is_hidden() -> None:
    @dataclass(frozen=True)
    class Hiding:
        shown: int
        hidden: int = field(repr=False)

    class Answer(ShowsRows):
        @property
        def rows(self) -> Table[Hiding]:
            return Table([Hiding(1, 2)])

    assert str(Answer()).split() == ["shown", "1"]
    assert Answer()._repr_html_() == str(escape(Answer().rows))  # templates show it as it is


def test_it_is_a_sequence_of_its_rows() -> None:
    table = Table(ROWS)
    assert (len(table), table[1], list(table)) == (2, ROWS[1], ROWS)
    assert table[:1] == Table(ROWS[:1])
    assert table != Table(ROWS[1:])
    assert table.as_dicts()[1] == {"name": "fc", "zeros": None, "shape": (3,), "n_images": 7}
