"""Calibration: whether probabilities can be trusted, and what temperature scaling changes.

The answers are in `lenetscope.evaluation.reliability` and `lenetscope.evaluation.calibration`.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from lenetscope.errors import DataError
from lenetscope.evaluation import calibration
from lenetscope.evaluation.reliability import Reliability, reliability
from lenetscope.plots import style
from lenetscope.questions import Costs, Part, Question
from lenetscope.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lenetscope.inspection import Inspection
    from lenetscope.selection import Selection

PAGE = """
<p class="say">
<strong>{{ "There is" if r.ece <= r.ece_chance else "The network is" }} {{ r.verdict }}.</strong>
The mean probability of the predicted class is {{ r.confidence | probability }}, the accuracy
{{ r.accuracy | percent }}. The expected calibration error is {{ r.ece | percent }}; on
{{ r.n | number }} images, chance alone causes up to {{ r.ece_chance | percent }}. This holds for images
like the test images only: a picture of something else can get a high probability, too.</p>
<div class="columns"><figure>
{{ figure | inline("reliability", "accuracy by confidence; the table gives the same")
| scrolling("Accuracy by confidence") }}
<figcaption>On the dashed line confidence and accuracy agree; below it the network is overconfident.
The vertical lines are 95 % intervals: they are long where a bin holds few
images.</figcaption></figure><div><details><summary>The bins as a table</summary>
{{ bins | scrolling("Confidence and accuracy") }}</details>
{% if c %}<p>With logits divided by
{% for t in c.temperatures %}{{ "%.2f" | format(t) }}{{ " and " if not loop.last }}{% endfor %}
 ({% if c.temperatures | length > 1 %}each fitted on one half of the test images and used on the other
{%- else %}fitted on the images held out{% endif %}), the mean loss changes from
{{ "%.4g" | format(c.before.nll) }} to {{ "%.4g" | format(c.after.nll) }}, the calibration error from
{{ c.before.ece | percent }} to {{ c.after.ece | percent }}. Predicted classes stay the same.</p>
{% else %}<p>No temperature was fitted: {{ reason }}</p>{% endif %}</div></div>
"""


def plot_reliability(found: Mapping[str, Reliability], **figure_options: Any) -> "Figure":
    """Draw reliability diagrams side by side: accuracy over confidence, and images per bin below.

    On the dashed line confidence and accuracy agree; below it the network is overconfident. The bars
    are 95 % intervals.

    Args:
        found: answers of `reliability` by title, such as ``"before"`` and ``"after"``.
        figure_options: go to `matplotlib.figure.Figure`.
    """
    width = 3.2 * len(found) + (1.2 if len(found) == 1 else 0.3)
    with style.new_figure(figure_options, (width, 5.1)) as figure:
        shared: Any = {"sharex": True, "sharey": "row", "squeeze": False}
        axes = figure.subplots(2, len(found), height_ratios=(3, 1.2), **shared)
        for (above, below), (title, each) in zip(axes.T, found.items(), strict=True):
            rows = [row for row in each.bins.as_dicts() if row["n"]]
            bins = {name: np.array([row[name] for row in rows]) for name in rows[0]}
            _draw_diagram(above, bins)
            _draw_counts(below, bins)
            above.set_title(title)
        axes[0, 0].set_ylabel("accuracy, %")
        axes[1, 0].set_ylabel("images (log)")
        legend = axes[0, 0].get_legend_handles_labels()
        figure.legend(*legend, loc="outside lower center", ncols=2, fontsize=9)
    return figure


def _draw_diagram(ax: "Axes", bins: Mapping[str, Any]) -> None:
    """Draw the accuracy of each bin where its mean confidence is, on a square from 0 to 100 %."""
    x, y = 100 * bins["confidence"], 100 * bins["accuracy"]
    bars = [y - 100 * bins["accuracy_low"], 100 * bins["accuracy_high"] - y]
    ax.plot([0, 100], [0, 100], color=style.INK, linestyle="--", linewidth=1, label="calibrated")
    ax.vlines(x, np.minimum(x, y), np.maximum(x, y), color=style.VALID, alpha=0.35, linewidth=5)
    look: Any = {"fmt": "o", "ms": 5, "color": style.TRAIN, "elinewidth": 1.2, "capsize": 2}
    ax.errorbar(x, y, np.maximum(0, bars), label="a bin, with its 95 % interval", **look)
    ax.set(xlim=(0, 102), ylim=(-2, 102))
    style.grid(ax)


def _draw_counts(ax: "Axes", bins: Mapping[str, Any]) -> None:
    """Draw the number of images per bin, on a logarithmic scale from below 1; label the largest.

    As lines across each bin: a bar has no length on a scale without zero.
    """
    low, high, n = bins["low"], bins["high"], bins["n"]
    ax.hlines(n, 100 * low, 100 * high, color=style.TRAIN, linewidth=3)
    ax.plot(50 * (low + high), n, "o", color=style.TRAIN, markersize=3)  # bins can be very narrow
    top = 6 * n.max()
    ax.set(xlabel="confidence, %", xticks=range(0, 101, 20), yscale="log", ylim=(0.5, top))
    ax.set(yticks=[10**k for k in range(7) if 10**k <= top])
    ax.yaxis.set_major_formatter("{x:,.0f}")
    ax.minorticks_off()
    most = int(n.argmax())
    place: Any = {"ha": "right" if high[most] > 0.5 else "left", "va": "bottom", "fontsize": 9}
    text, point = f"{n[most]:,} of {n.sum():,}", (100 * high[most], n[most])
    ax.annotate(text, point, (0, 2), textcoords="offset points", **place)
    style.grid(ax, axis="x")
    ax.set_axisbelow(True)


def _calibrate(inspection: "Inspection") -> tuple[calibration.Calibration | None, str]:
    """Scale by a temperature fitted on the validation images, or on halves of the test images.

    Returns:
        The calibration and ``""``; None and the reason where there is no best temperature.
    """
    recipe, logits, labels = inspection.arch.recipe, inspection.logits, inspection.labels
    try:
        if recipe is None or not recipe.holdout:
            return calibration.cross_fitted(logits, labels), ""
        valid = inspection.splits.valid
        temperature = calibration.fit_temperature(inspection.logits_of(valid), valid.labels)
        return calibration.with_temperature(logits, labels, temperature), ""
    except DataError as error:
        return None, str(error)


def _figures(inspection: "Inspection", _selection: "Selection") -> "Iterator[tuple[str, Figure]]":
    found, _ = _calibrate(inspection)
    panels = {"as trained": reliability(inspection.probabilities, inspection.labels)}
    if found is not None:
        panels = {"as trained": found.before, "with a temperature": found.after}
    yield "calibration", plot_reliability(panels)


def _part(inspection: "Inspection") -> Part:
    result = reliability(inspection.probabilities, inspection.labels)
    found, reason = _calibrate(inspection)
    return Part.of(
        PAGE,
        r=result,
        c=found,
        reason=reason,
        figure=plot_reliability({"": result}, figsize=(4.2, 4.6)),
        bins=Table(row for row in result.bins if row.n),
    )


Question(
    "calibration",
    summary="Whether probabilities can be trusted, before and after temperature scaling.",
    figures=_figures,
    part=_part,
    chapter="errors",
    heading="Calibration: can the probabilities be trusted?",
    place=20,
    costs=Costs(0.2, 0.2, 1.3),
).register()
