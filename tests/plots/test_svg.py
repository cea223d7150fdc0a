"""Figures in a page: they follow its theme, stay text, and are the same each time."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from lenetscope import plots
from lenetscope.plots import style, svg

SVG = "{http://www.w3.org/2000/svg}"


def curves(**options: object) -> object:
    rows = [{"epoch": k, "train_loss": 1 / k, "valid_loss": 1.1 / k} for k in (1, 2, 3)]
    return plots.curves(rows, **options)


def test_colours_of_the_style_are_variables_and_text_is_text() -> None:
    text = svg.inline(curves(), "a", "loss")
    for colour, variable in svg.THEME.items():
        assert re.sub(rf"var\({variable}, {colour}\)", "", text).count(colour) == 0
    assert "var(--figure-train, #4477aa)" in text
    assert "var(--figure-ink, #333333)" in text
    assert ">epoch</text>" in text
    assert "#ffffff" not in text  # no white box
    assert "<style" not in text  # whose rules would be for the whole page
    assert "font-family: inherit" in text


def test_it_is_one_element_with_a_name_and_ids_of_its_own() -> None:
    title = 'loss of "a" <b> & c'
    first, second = (svg.inline(curves(), name, title) for name in ("one", "two"))
    roots = [ElementTree.fromstring(text.replace("<svg ", f'<svg xmlns="{SVG[1:-1]}" ', 1))
             for text in (first, second)]  # fmt: skip
    assert roots[0].get("aria-label") == title
    assert roots[0].get("role") == "img"
    ids = [{e.get("id") for e in root.iter() if e.get("id")} for root in roots]
    assert ids[0]
    assert not ids[0] & ids[1]
    assert all(each.startswith("one-") for each in ids[0])
    used = set(re.findall(r'(?:url\(|href=")#([^")]+)', first))
    assert used
    assert used <= ids[0]


def test_the_same_figure_gives_the_same_bytes_without_a_date() -> None:
    text = svg.inline(curves(), "a", "loss")
    assert text == svg.inline(curves(), "a", "loss")
    assert "metadata" not in text
    assert "matplotlib.org" not in text


def test_pictures_keep_their_pixels_and_cells_their_ink() -> None:
    figure = plots.confusion(np.array([[90, 3], [4, 80]]), ["a", "b"])
    picture, texts = figure.axes[0].images[0], figure.axes[0].texts
    before = (
        picture.get_interpolation(),
        [t.get_color() for t in texts],
        figure.axes[0].patch.get_visible(),
    )
    text = svg.inline(figure, "c", "confusion")
    assert (
        picture.get_interpolation(),
        [t.get_color() for t in texts],
        figure.axes[0].patch.get_visible(),
    ) == before
    assert 'width="2" height="2"' in text  # two cells by two, not a blurred enlargement
    on_cells = re.findall(r'fill: ([^;"]+)"[^>]*>(?:90|3|4|80)</text>', text)
    assert len(on_cells) == 4
    assert all(not colour.startswith("var") for colour in on_cells)


def test_a_class_cannot_leave_its_text() -> None:
    name = '"><script> id="x" url(#y) fill: #333333'
    figure = curves()
    figure.axes[0].set_title(name)
    text = svg.inline(figure, "c", name)
    assert "<script" not in text
    assert 'id="x" url(#y) fill: #333333</text>' in text.replace("&quot;", '"')


@pytest.mark.parametrize("scale", [style.SIGNED, style.POSITIVE])
def test_colours_are_those_of_matplotlib(scale: str) -> None:
    import matplotlib as mpl

    table = svg.colours(scale)
    assert table.shape == (256, 3)
    assert table.dtype == np.uint8
    for place in (0, 128, 255):
        assert table[place] == pytest.approx(np.array(mpl.colormaps[scale](place)[:3]) * 255, abs=1)
