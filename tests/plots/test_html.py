"""Figures and pictures in a page: they follow its theme, stay text, and are the same each time."""

import base64
import io
import re
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
import torch
from jinja2 import UndefinedError
from PIL import Image

from lenetscope.plots import html, style
from lenetscope.questions.curves import plot_curves

SVG = "{http://www.w3.org/2000/svg}"


def curves() -> Any:
    return plot_curves([{"epoch": k, "train_loss": 1 / k, "valid_loss": 1.1 / k} for k in (1, 2, 3)])


def cells() -> Any:
    """Return an image of two cells by two with a number on each."""
    with style.new_figure({}, (2, 2)) as figure:
        ax = figure.subplots()
        ax.imshow(np.array([[90, 3], [4, 80]]), cmap="Reds")
        for place, number in enumerate((90, 3, 4, 80)):
            ax.text(place % 2, place // 2, str(number), color=style.INK)
    return figure


def test_colours_of_the_style_are_variables_and_text_is_text() -> None:
    text = html.inline(curves(), "a", "loss")
    for colour, variable in html.THEME.items():
        assert re.sub(rf"var\({variable}, {colour}\)", "", text).count(colour) == 0
    assert "var(--figure-train, #4477aa)" in text
    assert "var(--figure-ink, #333333)" in text
    assert ">epoch</text>" in text
    assert "#ffffff" not in text  # no white box
    assert "<style" not in text  # whose rules would be for the whole page
    assert "font-family: inherit" in text


def test_it_is_one_element_with_a_name_and_ids_of_its_own() -> None:
    title = 'loss of "a" <b> & c'
    first, second = (str(html.inline(curves(), name, title)) for name in ("one", "two"))
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
    text = html.inline(curves(), "a", "loss")
    assert text == html.inline(curves(), "a", "loss")
    assert "metadata" not in text
    assert "matplotlib.org" not in text


def test_images_keep_their_pixels_and_cells_their_ink() -> None:
    text = html.inline(cells(), "c", "confusion")
    assert 'width="2" height="2"' in text  # two cells by two, not a blurred enlargement
    on_cells = re.findall(r'fill: ([^;"]+)"[^>]*>(?:90|3|4|80)</text>', text)
    assert len(on_cells) == 4
    assert all(not colour.startswith("var") for colour in on_cells)


def test_a_title_cannot_leave_its_text() -> None:
    name = '"><script> id="x" url(#y) fill: #333333'
    figure = curves()
    figure.axes[0].set_title(name)
    text = html.inline(figure, "c", name)
    assert "<script" not in text
    assert 'id="x" url(#y) fill: #333333</text>' in text.replace("&quot;", '"')


@pytest.mark.parametrize("scale", [style.SIGNED, style.POSITIVE])
def test_colours_are_those_of_matplotlib(scale: str) -> None:
    table = html.colours(scale)
    assert table.shape == (256, 3)
    assert table.dtype == np.uint8
    for place in (0, 128, 255):
        assert table[place] == pytest.approx(np.array(mpl.colormaps[scale](place)[:3]) * 255, abs=1)


@pytest.mark.parametrize(("channels", "shown"), [(1, [0]), (2, [0]), (3, [0, 1, 2]), (5, [0, 1, 2])])
def test_a_picture_holds_the_pixels_and_a_text(channels: int, shown: list[int]) -> None:
    pixels = torch.arange(channels * 12, dtype=torch.uint8).reshape(channels, 3, 4)
    element = html.picture(pixels, 'a "b"', height=30)
    assert 'alt="a &#34;b&#34;" width="40" height="30"' in element
    found = re.search(r'src="data:image/png;base64,([^"]+)"', element)
    assert found is not None
    with Image.open(io.BytesIO(base64.b64decode(found[1]))) as image:
        values = np.asarray(image).reshape(3, 4, -1)
    assert np.array_equal(values, pixels[shown].permute(1, 2, 0).numpy())


def test_a_heat_map_has_zero_in_the_middle_or_at_the_end_of_its_scale() -> None:
    values = np.array([[-2.0, 0.0, 2.0]])
    signed, positive = html.colours(style.SIGNED), html.colours(style.POSITIVE)
    assert np.array_equal(html.heat_map(values, signed=True)[0], signed[[0, 128, 255]])
    assert np.array_equal(html.heat_map(values, signed=True, bound=4.0)[0], signed[[64, 128, 191]])
    assert np.array_equal(html.heat_map(values, signed=False)[0], positive[[0, 0, 255]])
    assert np.array_equal(html.heat_map(0 * values, signed=False)[0], positive[[0, 0, 0]])


def test_templates_escape_and_know_their_filters() -> None:
    text = html.render("{{ a }} {{ p | percent }} {{ 1.0 | probability(1) }} {{ s | signed }}",
                       a="<", p=0.12345, s=-1.0)  # fmt: skip
    assert text == "&lt; 12.35 % &gt;99.9 % −1.00"
    with pytest.raises(UndefinedError):
        html.render("{{ missing }}")
    assert html.scrolling(text, "a<b").startswith(
        '<div class="scroll" tabindex="0" role="region" aria-l'
    )
