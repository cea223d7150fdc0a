"""Figures as part of a web page: SVG that follows the page's theme.

In: a matplotlib figure in this package's style. Out: an ``<svg>`` element to put into HTML. Text stays
text; the style's colours become CSS variables, so that one figure reads on light and on dark; ids are
unique to the figure; nothing in it tells the time, so that the same figure gives the same bytes.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from lenetscope.plots import style
from lenetscope.plots.style import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

THEME = {
    style.INK: "--figure-ink",
    "#666666": "--figure-muted",
    "#999999": "--figure-line",
    style.TRAIN: "--figure-train",
    style.VALID: "--figure-valid",
    style.WRONG: "--figure-wrong",
}
"""Colours of the style, and the CSS variables that take their place; unset, the colour remains."""

_NEARLY_INK = "#333334"
"""Ink that the theme does not change: for text on a coloured cell, whose colour stays, too."""


def inline(figure: "Figure", name: str, title: str) -> str:
    """Return a figure as an ``<svg>`` element.

    Args:
        figure: drawn with `style.new_figure`; it is as before afterwards.
        name: begins every id in the element; letters, digits and hyphens, unique in the page.
        title: what a reader who does not see it is told; becomes its accessible name.
    """
    import matplotlib as mpl

    buffer = io.StringIO()
    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": name, "svg.image_inline": True}
    with style.styled(), mpl.rc_context(settings), _for_pages(figure):
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", facecolor="none", metadata=nothing)
    return _as_element(buffer.getvalue(), name, title)


def colours(name: str) -> Array:
    """Return the 256 colours of a matplotlib scale, (256, 3) uint8, low to high.

    Args:
        name: of the scale, such as ``style.SIGNED``.
    """
    import matplotlib as mpl

    table = mpl.colormaps[name](np.arange(256), bytes=True)[:, :3]  # (256, 3)
    return np.asarray(table, dtype=np.uint8)


@contextmanager
def _for_pages(figure: "Figure") -> Iterator[None]:
    """Let pictures keep their own pixels, cells their ink, and axes no white box; then undo it."""
    undo: list[tuple[Any, Any]] = []
    try:
        for ax in figure.findobj(lambda artist: hasattr(artist, "get_images")):
            axes: Any = ax
            undo.append((axes.patch.set_visible, axes.patch.get_visible()))
            axes.patch.set_visible(False)
            for picture in axes.get_images():
                undo.append((picture.set_interpolation, picture.get_interpolation()))
                picture.set_interpolation("none")
            for text in axes.texts if axes.get_images() else ():
                if text.get_color() == style.INK:
                    undo.append((text.set_color, style.INK))
                    text.set_color(_NEARLY_INK)
        yield
    finally:
        for setter, value in undo:
            setter(value)


def _as_element(document: str, name: str, title: str) -> str:
    """Cut the element out of an SVG document, and make ids, colours and fonts the page's."""
    svg = document[document.index("<svg") :].strip()
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.S)
    head, body = svg.split(">", 1)
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', head)
    assert box is not None
    # its rule would be for the whole page; the page has it for figures
    body = re.sub(r"\s*<defs>\s*<style[^>]*>.*?</style>\s*</defs>", "", body, count=1, flags=re.S)
    body = re.sub(r"<[^<>]*>", lambda tag: _themed(tag[0], name), body)
    width, shape = float(box[1]) / 72, float(box[1]) / float(box[2])
    return (
        f'<svg class="figure" viewBox="0 0 {box[1]} {box[2]}" role="img" aria-label="{escape(title)}" '
        f'style="--inches: {width:.4g}; --shape: {shape:.4g}" '
        f'xmlns:xlink="http://www.w3.org/1999/xlink">{body}'
    )


def _themed(tag: str, name: str) -> str:
    """Make ids, colours and fonts of one tag the page's; what stands between tags is text."""
    tag = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', tag)
    tag = re.sub(r'(href=")#', rf"\1#{name}-", tag)
    tag = tag.replace("url(#", f"url(#{name}-")
    tag = re.sub(r"font-family: [^;\"]*", "font-family: inherit", tag)
    for colour, variable in THEME.items():
        tag = re.sub(rf"(?<=: ){colour}\b", f"var({variable}, {colour})", tag)
    return tag
