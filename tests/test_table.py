"""Tables, as text and as HTML."""

from dataclasses import dataclass, field

from markupsafe import escape

from lenetscope.table import ShowsRows, Table, column, text_table


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
