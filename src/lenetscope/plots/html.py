"""Figures, small pictures and templates as parts of a web page.

A matplotlib figure becomes an ``<svg>`` element whose text stays text and whose colours follow the
page's theme; pixels and maps become PNG images inside the page. The same input gives the same bytes.
"""

import base64
import functools
import io
import re
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from lenetscope.plots import style
from lenetscope.plots.style import Array
from lenetscope.table import interval, percent

if TYPE_CHECKING:
    from jinja2 import Environment
    from matplotlib.figure import Figure
    from torch import Tensor

    from lenetscope.table import Table

THEME = {
    style.INK: "--figure-ink",
    "#666666": "--figure-muted",
    "#999999": "--figure-line",
    style.TRAIN: "--figure-train",
    style.VALID: "--figure-valid",
    style.WRONG: "--figure-wrong",
}
"""Colours of the style, and the CSS variables that take their place; unset, the colour remains."""

LETTERS = 9
"""CSS pixels of the smallest letters in a figure; it scrolls where the page is too narrow for these."""

NARROW = 530
"""CSS pixels of half a wide screen: a figure that is still readable so small stands beside its text."""

_NEARLY_INK = "#333334"
"""Ink that the theme leaves alone: for text on a coloured cell, whose colour it leaves alone, too."""


def inline(figure: "Figure", name: str, title: str) -> Markup:
    """Return a figure as an ``<svg>`` element.

    Args:
        figure: drawn with `style.new_figure`, for a page alone: its look is adapted to that.
        name: begins every id in the element; letters, digits and hyphens, unique in the page.
        title: its accessible name, which a screen reader says.
    """
    import matplotlib as mpl

    buffer = io.StringIO()
    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": name, "svg.image_inline": True}
    _adapt(figure)
    with style.styled(), mpl.rc_context(settings):
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", facecolor="none", metadata=nothing)
    return Markup(_as_element(buffer.getvalue(), name, title))


def colours(name: str) -> Array:
    """Return the 256 colours of a matplotlib scale, (256, 3) uint8, low to high.

    Args:
        name: of the scale, such as ``style.SIGNED``.
    """
    import matplotlib as mpl

    table = mpl.colormaps[name](np.arange(256), bytes=True)[:, :3]  # (256, 3)
    return np.asarray(table, dtype=np.uint8)


def _adapt(figure: "Figure") -> None:
    """Have images drawn pixel by pixel, text on cells in its own ink, and axes without a white box."""
    for ax in figure.findobj(lambda artist: hasattr(artist, "get_images")):
        axes: Any = ax
        axes.patch.set_visible(False)
        for image in axes.get_images():
            image.set_interpolation("none")
        for text in axes.texts if axes.get_images() else ():
            if text.get_color() == style.INK:
                text.set_color(_NEARLY_INK)


def _as_element(document: str, name: str, title: str) -> str:
    """Return the element of an SVG document, with ids, colours and fonts that suit a page."""
    svg = document[document.index("<svg") :].strip()
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.S)
    head, body = svg.split(">", 1)
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', head)
    assert box is not None
    # a rule in it would apply to the whole page, whose own rules for figures do the same
    body = re.sub(r"\s*<defs>\s*<style[^>]*>.*?</style>\s*</defs>", "", body, count=1, flags=re.S)
    body = re.sub(r"<[^<>]*>", lambda tag: _themed(tag[0], name), body)
    width, shape = float(box[1]), float(box[1]) / float(box[2])
    letters = [float(size) for size in re.findall(r"\bfont(?:-size)?: ([\d.]+)px", body)]
    least = width * LETTERS / min(letters, default=LETTERS)  # CSS pixels
    kind = "figure narrow" if least <= NARROW else "figure"
    return (
        f'<svg class="{kind}" viewBox="0 0 {box[1]} {box[2]}" role="img" aria-label="{escape(title)}" '
        f'style="--inches: {width / 72:.4g}; --shape: {shape:.4g}; --least: {least:.4g}px" '
        f'xmlns:xlink="http://www.w3.org/1999/xlink">{body}'
    )


def _themed(tag: str, name: str) -> str:
    """Change ids, colours and fonts within one tag; what is between tags is text."""
    tag = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', tag)
    tag = re.sub(r'(href=")#', rf"\1#{name}-", tag)
    tag = tag.replace("url(#", f"url(#{name}-")
    tag = re.sub(r"font-family: [^;\"]*", "font-family: inherit", tag)
    for colour, variable in THEME.items():
        tag = re.sub(rf"(?<=: ){colour}\b", f"var({variable}, {colour})", tag)
    return tag


def base64_of(array: Array) -> str:
    """Return the bytes of an array as base64; elements wider than a byte must be little-endian."""
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")


def png(pixels: Array) -> str:
    """Return the data address of (H, W) or (H, W, 3) uint8 pixels."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def picture(pixels: "Tensor | Array", alt: str, height: int = 56) -> Markup:
    """Return an ``<img>`` of uint8 pixels, ``height`` CSS pixels high.

    Args:
        pixels: (C, H, W), of which one channel is grey and three are colours; or (H, W) or (H, W, 3).
        alt: text for those who do not see it.
        height: CSS pixels.
    """
    array = np.asarray(pixels)
    if array.ndim == 3 and array.shape[2] != 3:
        array = array[0] if len(array) < 3 else array[:3].transpose(1, 2, 0)
    rows, columns = array.shape[:2]
    return Markup('<img class="pixels" src="{}" alt="{}" width="{}" height="{}">').format(
        png(array), alt, round(height * columns / rows), height
    )


def heat_map(values: Array, *, signed: bool, bound: float | None = None) -> Array:
    """Colour values (H, W) on the scale of the other pictures, (H, W, 3) uint8.

    Args:
        values: finite numbers.
        signed: whether zero lies in the middle of the scale (white) or at its lower end.
        bound: the value at the end of the scale; the largest that occurs, if None.
    """
    top = float(np.abs(values).max()) if bound is None else bound
    scaled = values / (top or 1.0)
    places = (scaled + 1) / 2 if signed else scaled
    table = colours(style.SIGNED if signed else style.POSITIVE)
    coloured: Array = table[np.clip(np.rint(255 * places), 0, 255).astype(int)]
    return coloured


def render(template: str, **values: Any) -> Markup:
    """Fill a Jinja template; what is not `Markup` is escaped, and unknown names are errors.

    Templates have filters for numbers: ``percent(digits)`` of a fraction, ``probability(digits)``,
    ``interval`` of two fractions, ``number`` with thousands separators, ``signed`` with two decimals;
    and `inline`, `picture` and `scrolling` for what is drawn.

    >>> render("{{ n | number }} of <{{ name }}>: {{ p | percent(1) }}", n=1234, name="a&b", p=0.5)
    Markup('1,234 of <a&amp;b>: 50.0 %')
    """
    return Markup(environment().from_string(template).render(**values))


@functools.cache
def environment() -> "Environment":
    """Return the Jinja environment of all templates."""
    from jinja2 import Environment, StrictUndefined

    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {"percent": percent, "probability": partial(percent, certain=False)}
    made.filters["interval"] = interval
    made.filters["number"] = lambda value: f"{value:,}"
    made.filters |= {"inline": inline, "scrolling": scrolling, "picture": picture}
    made.filters["signed"] = lambda value: f"{value:+.2f}".replace("-", "−")
    return made


def scrolling(content: "Markup | Table[Any]", label: str) -> Markup:
    """Return a region that scrolls sideways where the page is narrower than its content."""
    return Markup('<div class="scroll" tabindex="0" role="region" aria-label="{}">{}</div>').format(
        label, Markup(content.__html__())
    )
