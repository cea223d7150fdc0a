"""Mistakes: the misclassified images beside the training images that the network finds most similar.

The answer is `lenetscope.evaluation.mistakes.find_mistakes`.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from lenetscope.errors import LenetscopeError, UsageError
from lenetscope.evaluation.mistakes import Mistake
from lenetscope.plots import html, style, tiles
from lenetscope.questions import Costs, Part, Question, numbered
from lenetscope.questions.attribution import HEIGHT, PAGE_POINTS, attribute, pictures_of_maps
from lenetscope.table import percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lenetscope.inspection import Inspection
    from lenetscope.selection import Selection

PER_PAGE, COLUMNS = 12, 2
"""Mistakes in a figure, and side by side."""
COLUMN, ROW, HEAD, SIDE = 3.25, 1.32, 0.55, 0.68
"""Inches: width and height of a mistake, height of the title, side of the image."""

LISTED, LISTED_BYTES = 60, 2_000_000
"""Mistakes that the report shows at most, and bytes of the pixels of all pictures, if that is fewer."""
OPEN = 12
"""Mistakes that are visible before the others are unfolded."""
PAGE = """
{% macro card(row, image, map, near) %}
<li class="card"><div class="pair">{{ image }}{{ map }}</div>
<p class="verdict">a <strong>{{ names[row.true] }}</strong>,
predicted <strong>{{ names[row.predicted] }}</strong></p>
<ul class="probabilities">
{% for k, p in [(row.predicted, row.probability_predicted), (row.true, row.probability_true)] %}
<li><span>{{ names[k] }}</span> <i style="--p: {{ p | round(4) }}"></i>
<b>{{ p | probability(1) }}</b></li>
{% endfor %}</ul>
{% if near %}<p class="fine">most similar in training:</p><div class="near">
{% for image, k in near %}
<span{% if k == row.true %} class="agrees"{% endif %}>{{ image }}<b>{{ names[k] }}</b></span>
{% endfor %}</div>{% endif %}
{% if row.label_may_be_wrong %}<p class="flag">The label may be wrong.</p>{% endif %}
<p class="fine">test image {{ row.index }}</p></li>
{% endmacro %}
{% set shown = cards | length %}
{% if not cards %}
<p class="say">All {{ total | number }} test images are classified correctly. The network can still make
errors on others: with an error rate of {{ (1 - 0.05 ** (1 / total)) | percent }}, as many images show
no error in 1 of 20 cases.</p>
{% else %}
<p class="say">{% if left_out %}The {{ shown }} worst of {{ (shown + left_out) | number }}
misclassified images; the others are left out to keep the page small.
{% elif shown == 1 %}The only misclassified image.{% else %}All {{ shown }} misclassified images.
{% endif %} Those with the least probability of the true class come first. Beside
each image: the pixels that raise (red) and lower (blue) the logit of the predicted class, each map on
a colour scale of its own{% if near %}; below it the training images that are most similar to the
network{% endif %}. {% if doubtful %}By confident learning, {{ doubtful }} of the labels may be wrong;
only a person can tell.{% endif %}</p>
<ol class="cards">{% for each in cards[:open] %}{{ card(*each) }}{% endfor %}</ol>
{% if shown > open %}<details><summary>The other {{ shown - open }}</summary>
<ol class="cards" start="{{ open + 1 }}">{% for each in cards[open:] %}{{ card(*each) }}{% endfor %}
</ol></details>{% endif %}
{% endif %}
"""


def plot_mistakes(
    found: Sequence[Mistake],
    pixels: style.Array,
    classes: Sequence[str],
    *,
    train_pixels: style.Array | None = None,
    page: int = 0,
    **figure_options: Any,
) -> "Figure":
    """Draw a page of misclassified images, each beside its nearest training images with their labels.

    Labels of training images are red where they are the predicted class, bold where the true class.

    Args:
        found: the answer of `find_mistakes`.
        pixels: (N, C, H, W) of the images that it was asked about, uint8 or from 0 to 1.
        classes: K names.
        train_pixels: (M, C, H, W); None to leave them out.
        page: from 0; `PER_PAGE` mistakes are on each.
        figure_options: go to `matplotlib.figure.Figure`.

    Raises:
        UsageError: if there is no such page.
    """
    pages = max(1, math.ceil(len(found) / PER_PAGE))
    if not 0 <= page < pages:
        raise UsageError(f"there is no page {page}: pages go from 0 to {pages - 1}.")
    first, shown = page * PER_PAGE, found[page * PER_PAGE : (page + 1) * PER_PAGE]
    width, height = COLUMNS * COLUMN, HEAD + ROW * math.ceil(len(shown) / COLUMNS)
    title = f"mistakes {first + 1} to {first + len(shown)} of {len(found)}" if shown else "no mistakes"
    beside = "" if train_pixels is None else ", beside it the nearest training images"
    # everything has its place in inches, so that rows are alike whether or not a label is doubtful
    with style.new_figure({"layout": "none"} | figure_options, (width, height)) as figure:

        def write(x: float, y: float, text: str, **look: Any) -> None:
            figure.text(x / width, 1 - y / height, text, va="center", **look)

        def draw(x: float, y: float, side: float, image: style.Array) -> Any:
            place = (x / width, 1 - (y + SIDE) / height, side / width, side / height)
            ax = figure.add_axes(place)
            tiles.image(ax, image)
            tiles.bare(ax)
            return ax

        write(width / 2, 0.2, title, ha="center", fontsize=11)
        if shown:
            text = f"true class (probability) → predicted class (probability){beside}"
            write(width / 2, 0.42, text, ha="center", fontsize=9)
        for number, row in enumerate(shown):
            x, y = 0.08 + number % COLUMNS * COLUMN, HEAD + number // COLUMNS * ROW
            true, predicted = classes[row.true], classes[row.predicted]
            both = row.probability_true, row.probability_predicted
            chances = [percent(p, 1, certain=False) for p in both]
            text = f"no. {row.index}:  {true} ({chances[0]}) → {predicted} ({chances[1]})"
            write(x, y + 0.12, text, fontsize=9)
            if row.label_may_be_wrong:
                text = f"the label {true} may be wrong"
                write(x, y + 0.28, text, fontsize=9, color=style.WRONG)
            draw(x, y + 0.38, SIDE, pixels[row.index])
            if row.nearest is None or train_pixels is None:
                continue
            room = (COLUMN - 0.3 - SIDE) / len(row.nearest.indices)
            side = min(SIDE, room - 0.05)
            near = zip(row.nearest.indices, row.nearest.labels, strict=True)
            for k, (index, label) in enumerate(near):
                left = x + SIDE + 0.1 + k * (side + 0.05)
                ax = draw(left, y + 0.38, side, train_pixels[index])
                colour = style.WRONG if label == row.predicted else style.INK
                weight = "bold" if label == row.true else "normal"
                ax.set_xlabel(classes[label], fontsize=9, labelpad=2, color=colour, fontweight=weight)
    return figure


def _figures(inspection: "Inspection", _selection: "Selection") -> "Iterator[tuple[str, Figure]]":
    found = inspection.mistakes
    pixels, train_pixels = inspection.pixels.numpy(), inspection.train_pixels.numpy()
    for page in range(math.ceil(len(found) / PER_PAGE)):
        figure = plot_mistakes(found, pixels, inspection.classes, train_pixels=train_pixels, page=page)
        yield numbered("mistakes", page), figure


def _part(inspection: "Inspection") -> Part:
    found, names = inspection.mistakes, inspection.classes
    pixels, train_pixels = inspection.pixels, inspection.train_pixels
    listed = found[: max(6, min(LISTED, LISTED_BYTES // (8 * math.prod(inspection.image_shape))))]
    rows = [row.index for row in listed]
    images, predicted = inspection.images[rows], inspection.predicted[rows]
    maps = [""] * len(rows)
    with suppress(LenetscopeError):  # the attribution part gives the reason
        method = "integrated-gradients"
        found_maps = attribute(inspection.model, images, predicted, method=method, steps=PAGE_POINTS)
        maps = pictures_of_maps(found_maps.values.numpy(), [names[k] for k in predicted])
    cards = []
    for row, heat in zip(listed, maps, strict=True):
        text = f"test image {row.index}, labelled {names[row.true]}, predicted {names[row.predicted]}"
        near = zip(row.nearest.indices, row.nearest.labels, strict=True) if row.nearest else ()
        similar = [(html.picture(train_pixels[i], f"a {names[k]}", 32), k) for i, k in near]
        cards.append((row, html.picture(pixels[row.index], text, HEIGHT), heat, similar))
    return Part.of(
        PAGE,
        cards=cards,
        names=names,
        left_out=len(found) - len(cards),
        doubtful=sum(row.label_may_be_wrong for row in found),
        total=len(inspection.labels),
        near=any(row.nearest for row in listed),
        open=OPEN,
    )


Question(
    "mistakes",
    summary="Every misclassified image, and the training images that are most similar to it.",
    figures=_figures,
    part=_part,
    chapter="errors",
    heading="Mistakes",
    place=10,
    costs=Costs(6.2, 0.4, 10),
).register()
