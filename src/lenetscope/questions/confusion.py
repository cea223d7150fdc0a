"""The confusion matrix: which classes are predicted as which others."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lenetscope.evaluation.scores import wilson_interval
from lenetscope.plots import style, tiles
from lenetscope.questions import Costs, Part, Question

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lenetscope.inspection import Inspection
    from lenetscope.selection import Selection

COUNTED = 30
"""Classes up to which the cells of the figure carry counts: of more they could not be read."""
CONFUSED = 8
"""Pairs of classes that the report lists."""


PAGE = """
<p class="say">Rows are true classes, columns predicted ones: what lies off the diagonal is an error.
{% if most %}The darkest cell holds {{ most | percent(1) }} of the images of its class; the others are
shaded in proportion. {% endif %}Choose a cell to see its images{% if left_out %};
{{ left_out | number }} misclassified images are counted but not shown, to keep the page small
{%- endif %}.</p>
<div class="matrix"><div class="scroll" tabindex="0" role="region" aria-label="Confusion matrix">
<table id="confusion" class="confusion{% if classes | map('length') | max > 3 %} long{% endif %}">
<caption class="unseen">Rows: true class. Columns: predicted class. Cells: test images.</caption>
<thead><tr><th scope="col" class="corner">true ↓ predicted →</th>
{% for name in classes %}<th scope="col"><span>{{ name }}</span></th>{% endfor %}</tr></thead>
<tbody>{% for row in scores.confusion.tolist() %}{% set i = loop.index0 %}
<tr><th scope="row"><span>{{ classes[i] }}</span></th>
{% for n in row %}{% set j = loop.index0 %}
{% set share = n / (row | sum or 1) / (most or 1) %}
<td{% if i == j %} class="right"{% elif n %} class="wrong" style="--share: {{ share }}"{% endif %}>
{%- if n %}<button type="button" data-true="{{ i }}" data-predicted="{{ j }}"
aria-label="true {{ classes[i] }}, predicted {{ classes[j] }}: {{ n }}">{{ n }}</button>
{%- else %}<span aria-label="none">·</span>{% endif %}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>
<div id="cell" class="cell" aria-live="polite"><p class="fine">Choose a cell with the mouse, or with
Tab, arrow keys and Enter.</p></div></div>
<div class="columns"><div><h4>Class by class</h4>
<p class="say">Precision: the fraction of the images predicted as a class that belong to it. Recall: the
fraction of the images of a class that are predicted as it.</p>
{{ scores.per_class() | scrolling("Scores of each class") }}</div>
<div><h4>Most confused</h4><p class="say">{% if confused %}The count at the top is
{{ share | percent(1) }} of the images of its class ({{ bounds | interval(1) }}): with other test
images, pairs with similar counts may change places.
{% else %}No image is misclassified.{% endif %}</p>{{ confused or "" }}</div></div>
"""


def plot_confusion(matrix: style.Array, classes: Sequence[str], **figure_options: Any) -> "Figure":
    """Draw a confusion matrix: counts in the cells, colour for errors as a fraction of the true class.

    Args:
        matrix: (K, K) counts, rows true and columns predicted.
        classes: K names.
        figure_options: go to `matplotlib.figure.Figure`.
    """
    count, total, correct = len(matrix), int(matrix.sum()), int(matrix.trace())
    errors = 100 * error_shares(matrix)
    side = min(style.MAX_SIDE, 2.4 + 0.52 * count)
    with style.new_figure(figure_options, (side + 0.8, side)) as figure:
        ax = figure.subplots()
        norm = style.colour_scale(errors, signed=False)
        ax.imshow(errors, cmap="Reds", norm=norm)
        tiles.bare(ax)
        middle: Any = {"ha": "center", "va": "center", "fontsize": 9}
        for row, column in np.argwhere(matrix).tolist() if count <= COUNTED else ():
            colour = "white" if norm(errors[row, column]) > 0.6 else style.INK
            weight = "bold" if row == column else "normal"
            text = str(int(matrix[row, column]))
            ax.text(column, row, text, color=colour, fontweight=weight, **middle)
        turned: Any = {"rotation": 45, "ha": "right"} if max(map(len, classes)) > 3 else {}
        ax.set_xticks(range(count), classes, **turned)
        ax.set_yticks(range(count), classes)
        ax.tick_params(length=0)
        ax.set(xlabel="predicted", ylabel="true", title=f"{total - correct} errors in {total:,} images")
        style.colour_bar(ax, norm, "Reds", "% of the true class")
    return figure


def error_shares(matrix: style.Array) -> style.Array:
    """Return what fraction of its true class each cell off the diagonal holds, (K, K)."""
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1) * (1 - np.eye(len(matrix)))
    return np.asarray(shares)


def _figures(inspection: "Inspection", _selection: "Selection") -> "Iterator[tuple[str, Figure]]":
    scores = inspection.run.scores() or inspection.scores.as_dict()
    yield "confusion", plot_confusion(np.array(scores["confusion"]), scores["classes"])


def _part(inspection: "Inspection") -> Part:
    scores = inspection.scores
    confused = scores.most_confused(CONFUSED)
    top = confused[0].n if confused else 0
    total = int(scores.confusion.sum(axis=1)[scores.classes.index(confused[0].true)]) if confused else 1
    return Part.of(
        PAGE,
        share=top / total,
        bounds=wilson_interval(top, total),
        scores=scores,
        most=float(error_shares(scores.confusion).max()),
        classes=scores.classes,
        left_out=inspection.embedded.left_out,
        confused=confused,
    )


Question(
    "confusion",
    summary="Which classes are predicted as which others.",
    figures=_figures,
    part=_part,
    chapter="scores",
    heading="Confusion matrix",
    place=10,
    default=True,
    costs=Costs(0.1, 0.1, 0.2),
).register()
