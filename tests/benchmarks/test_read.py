"""Counts of hand-made answers, drawn sets that depend on the seed only, and the tables."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from benchmarks import machine, pictures, read, stress
from benchmarks.pictures import Picture
from benchmarks.read import Answer, Reader

FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"


def told(*answers: Answer, helped: bool = False) -> Reader:
    """Return a reader that gives these answers in turn."""
    rest = iter(answers)
    return Reader([lambda image: next(rest)], 2_500_000, helped)


def blank(*texts: str, source: str = "someone") -> list[Picture]:
    return [Picture(Image.new("L", (8, 8), 255), text, source) for text in texts]


def test_right_refused_and_confidently_wrong_texts_are_counted() -> None:
    reader = told(
        Answer("12", 0.99), Answer("3 4", 0.99), Answer("34", 0.91), Answer("7", 0.9),
        Answer("8", 0.95, refused=True), Answer("5", 0.2, refused=True),
    )  # fmt: skip
    given = blank("12", "3 4", "3 4") + blank("1", "6", "5", source="another")
    row = read.score(reader, given)
    assert [row[key] for key in read.COUNTS] == [6, 3, 2, 1]
    assert row["sources"]["someone"] == {"n": 3, "correct": 2, "refused": 0, "confident": 1}
    assert row["sources"]["another"] == {"n": 3, "correct": 1, "refused": 2, "confident": 0}
    assert row["mistakes"] == [
        "2: 3 4 read as 34, 0.910", "3: 1 read as 7, 0.900", "4: 6 read as 8, 0.950, refused",
    ]  # fmt: skip
    assert len(row["ms"]) == 6


def test_an_interval_is_that_of_wilson() -> None:
    z, n = 1.959964, 8
    # with all 8 of 8 correct, the lower bound is n / (n + z^2)
    assert read.percent(8, 8) == f"100.0 ({100 * n / (n + z * z):.0f} to 100)" == "100.0 (68 to 100)"


def test_others_are_helped_to_their_most_confident_answer_with_digits() -> None:
    def fails(image: Image.Image) -> Answer:
        raise ValueError(image.size)

    def sees(image: Image.Image) -> Answer:
        return Answer("$1,2 50.-", 0.6) if image.height > 64 else Answer("l", 0.99)

    row = read.score(Reader([fails, sees], 1), blank("12 50"))
    assert (row["correct"], row["mistakes"]) == (1, [])
    row = read.score(Reader([fails], 1), blank("1"))
    assert row["mistakes"] == ["0: 1 read as nothing, 0.000"]


def test_pictures_are_also_handed_over_with_a_margin_and_inverted() -> None:
    dark = Image.new("RGB", (40, 32), "black")
    dark.paste("white", (18, 8, 22, 24))
    as_is, framed, inverted = read.ways(dark)
    assert as_is is dark
    assert framed.size == inverted.size == (80 + 32, 64 + 32)
    assert [image.getpixel((0, 0)) for image in (framed, inverted)] == [(255, 255, 255)] * 2
    assert [image.getpixel((20, 20))[0] < 99 for image in (framed, inverted)] == [True, False]
    assert len(read.ways(Image.eval(dark, lambda value: 255 - value))) == 2
    clear = Image.new("LA", (2, 1), (0, 0))
    assert read.opaque(clear).getpixel((0, 0)) == (255, 255, 255)


def test_steps_of_digits_are_joined_unless_repeated() -> None:
    steps = np.full((6, 11), 0.01)
    for step, (place, share) in enumerate([(2, 0.9), (2, 0.9), (0, 0.8), (2, 0.4), (10, 0.9), (0, 1)]):
        steps[step, place] = share
    answer = read.collapsed(steps)
    assert answer.text == "119"
    assert answer.confidence == pytest.approx(0.4 / 0.5)


def test_cheques_are_the_same_for_a_seed_and_within_their_sizes() -> None:
    pens = stress.Pens(test=True)
    assert len(pens.images) == 10_000
    drawn = pictures.cheques(6, 3, pens)
    for one, same in zip(drawn, pictures.cheques(6, 3, pens), strict=True):
        assert (np.asarray(one.image) == np.asarray(same.image)).all()
        assert one[1:] == same[1:]
    assert [p.text for p in drawn] != [p.text for p in pictures.cheques(6, 4, pens)]
    for image, text, _ in drawn:
        assert text.isdigit()
        assert 1 <= len(text) <= 7
        assert 60 <= image.height <= 160
        assert 150 <= image.width <= 600


def test_fonts_take_turns_and_are_the_source() -> None:
    drawn = pictures.schools(6, 5, [FONT])
    for one, same in zip(drawn, pictures.schools(6, 5, [FONT]), strict=True):
        assert (np.asarray(one.image) == np.asarray(same.image)).all()
        assert one[1:] == same[1:]
    for image, text, source in drawn:
        assert text.isdigit()
        assert source == "DejaVuSans"
        assert min(image.size) >= 28
        assert np.ptp(np.asarray(image).astype(int)) > 60
    assert pictures.schools(6, 5, []) == []


def test_peoples_pictures_are_opened_with_their_labels(tmp_path: Path) -> None:
    Image.new("L", (9, 8)).save(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_text("path,label,kind,source\na.png,7,paint,someone\n")
    (only,) = pictures.handwriting(tmp_path)
    assert only.image.size == (9, 8)
    assert only[1:] == ("7", "someone (paint)")


def test_the_tables_have_all_sets_sources_and_readers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = {"people's pictures": blank("1", "2"), "cheques": blank("3")}
    readers = {
        "lenetscope": told(*[Answer("1", 0.99)] * 4),
        "other": told(*[Answer("3", 0.5)] * 8, helped=True),
    }
    monkeypatch.setattr(read, "installed", lambda: (readers, ["absent"]))
    monkeypatch.setattr(read, "sets", lambda *given: some)
    monkeypatch.setattr(read, "_version", lambda name: "1.0")
    monkeypatch.setattr(machine, "configure", lambda: None)
    read.main(tmp_path, smoke=True)
    text = (tmp_path / "read.md").read_text()
    assert "| people's pictures | 2 | 50.0 (9 to 91) | 0.0 (0 to 66) | 0 | 1 |" in text
    assert "| cheques | 1 | 0.0 (0 to 79) | 100.0 (21 to 100) | 0 | 1 |" in text
    assert "| someone | 2 | 50.0 (9 to 91) | 0.0 (0 to 66) |" in text
    assert "| 2.5 |" in text
    assert "Not installed: absent." in text
    assert "A smoke run" in text
    assert (tmp_path / "read.json").stat().st_size > 0
