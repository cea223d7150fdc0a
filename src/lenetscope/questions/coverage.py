"""Coverage: how accurate the network is if it rejects the images that it is least confident about.

The answer is `lenetscope.evaluation.coverage.coverage_curve`.
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lenetscope.evaluation.coverage import Accepted, Coverage, coverage_curve
from lenetscope.plots import style
from lenetscope.questions import Costs, Part, Question
from lenetscope.table import percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lenetscope.inspection import Inspection
    from lenetscope.selection import Selection

WANTED = 0.999
"""The accuracy that the figure points out."""


def plot_coverage(curve: Coverage, *marks: Accepted, **figure_options: Any) -> "Figure":
    """Draw the accuracy of the most confident images over the fraction that is accepted.

    The horizontal axis begins a little before the first error.

    Args:
        curve: the answer of `coverage_curve`.
        marks: points of it to be labelled, see `Coverage.at_coverage` and `Coverage.at_accuracy`.
        figure_options: go to `matplotlib.figure.Figure`.
    """
    coverages, accuracies, bounds = 100 * curve.coverages, 100 * curve.accuracies, 100 * curve.intervals
    flawless = float(coverages[curve.errors == 0].max(initial=0.0))
    start = max(0.0, 10 * math.floor(flawless / 10) - 10)
    # the first few images tell little: their intervals would squeeze the curve flat
    shown = coverages >= max(start, 5)
    lowest = float(accuracies[shown].min(initial=bounds[-1, 0]))
    room = max(100 - lowest, 0.05)
    with style.new_figure(figure_options, (6.5, 4.0)) as figure:
        ax = figure.subplots()
        band: Any = {"color": style.TRAIN, "alpha": 0.2, "linewidth": 0, "label": "95 % interval"}
        ax.fill_between(coverages, *bounds.T, **band)
        ax.plot(coverages, accuracies, color=style.TRAIN, label="accuracy of accepted images")
        line = {"arrowstyle": "-", "color": style.WRONG, "lw": 0.8, "shrinkB": 3, "relpos": (1, 0.5)}
        look: Any = {"ha": "right", "va": "center", "fontsize": 9, "arrowprops": line}
        # the texts stand below the curve in the order of the points, so that no lines cross
        for number, mark in enumerate(sorted(marks, key=lambda mark: -(mark.accuracy or 0))):
            x, y = 100 * mark.coverage, 100 * (mark.accuracy or 0)
            text = f"{percent(mark.coverage, 1)} accepted, accuracy {percent(mark.accuracy or 0)}"
            ax.plot(x, y, "o", color=style.WRONG, zorder=3)
            ax.annotate(text, (x, y), (0.72, 0.64 - 0.13 * number), textcoords="axes fraction", **look)
        ax.set(xlim=(start, 100), ylim=(max(-2, 100 - 1.25 * room), 100 + 0.05 * room))
        ax.set(xlabel="images accepted, the most confident first, %", ylabel="accuracy, %")
        none = f"\nno error in the most confident {percent(flawless / 100, 1)}" if flawless else ""
        what = f"{percent(curve.accuracies[-1])} accuracy if all {curve.n:,} images are accepted"
        ax.set_title(what + none * (flawless < 100))
        ax.legend(loc="lower left", fontsize=9)
        ax.ticklabel_format(useOffset=False)
        style.grid(ax)
    return figure


def _figures(inspection: "Inspection", _selection: "Selection") -> "Iterator[tuple[str, Figure]]":
    curve = coverage_curve(inspection.probabilities, inspection.labels)
    everything, best = curve.at_coverage(1), curve.at_accuracy(WANTED)
    marks = [everything, best] if 0 < best.coverage < 1 else [everything]
    yield "coverage", plot_coverage(curve, *marks)


def _part(inspection: "Inspection") -> Part:
    curve = coverage_curve(inspection.probabilities, inspection.labels)
    return Part.of(
        """
<p class="say">The network may answer “I don't know” where its confidence, the probability of the
predicted class, is low. With {{ some.n | number }} of {{ curve.n | number }} images accepted, the most
confident ones, the accuracy is {{ some.accuracy | percent }}; with all of them it is
{{ everything.accuracy | percent }}.</p>
<div class="columns">{{ curve.rows | scrolling("Coverage and accuracy") }}
<figure>{{ figure | inline("coverage", "accuracy of the most confident images by the fraction accepted")
| scrolling("Accuracy by coverage") }}
<figcaption>The band is the 95 % interval of each accuracy by itself.</figcaption></figure></div>
""",
        curve=curve,
        some=curve.at_coverage(0.9),
        everything=curve.at_coverage(1),
        figure=plot_coverage(curve, figsize=(4.8, 3.4)),
    )


Question(
    "coverage",
    summary="How accurate the network is if it rejects the images that it is least confident about.",
    figures=_figures,
    part=_part,
    chapter="errors",
    heading="Coverage: if it may say “I don't know”",
    place=30,
    costs=Costs(0.1, 0.1, 0.2),
).register()
