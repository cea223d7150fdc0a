"""Pictures of what a network loses without each of its units.

In: counts of errors. Out: figures, a row a unit: a bar, and the damage to each class.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lenetscope.errors import DataError
from lenetscope.plots import style
from lenetscope.plots.style import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 32
"""Units that are drawn at most: those that are missed most."""


def ablation(
    errors: Array,
    baseline: Array,
    totals: Array,
    classes: Sequence[str],
    layer: str,
    **figure_options: Any,
) -> "Figure":
    """Draw the errors that each unit's absence adds, worst first, and to which classes.

    Args:
        errors: (units, K), errors of each true class without the unit.
        baseline: (K,), errors of each class with all units.
        totals: (K,), images of each class.
        classes: K names.
        layer: name for the title.
        figure_options: go to `matplotlib.figure.Figure`.

    Raises:
        DataError: if shapes do not fit each other, or there are no units.
    """
    errors, baseline, totals = (np.asarray(values) for values in (errors, baseline, totals))
    if (
        errors.ndim != 2
        or not errors.size
        or not (errors.shape[1] == len(baseline) == len(totals) == len(classes))
    ):
        raise DataError(
            f"errors {errors.shape}, baseline {baseline.shape}, totals {totals.shape} and "
            f"{len(classes)} classes must be (units, K), (K,), (K,) and K."
        )
    added = errors.sum(axis=1) - baseline.sum()
    order = np.argsort(-added, kind="stable")[:MOST]
    damage = 100 * (errors - baseline)[order] / np.maximum(totals, 1)  # (shown, K)
    height = 0.21 * len(order) + 1.5
    with style.new_figure(figure_options, (4.0 + 0.42 * len(classes), height)) as figure:
        left, right = figure.subplots(
            1, 2, sharey=True, gridspec_kw={"width_ratios": (2.4, 0.36 * len(classes))}
        )
        colours = [style.WRONG if value > 0 else style.TRAIN for value in added[order]]
        left.barh(range(len(order)), added[order], color=colours, height=0.75)
        left.axvline(0, color=style.INK, linewidth=0.6)
        left.set_yticks(range(len(order)), [str(unit) for unit in order], fontsize=8)
        left.set(ylabel="unit switched off", xlabel="errors added", ylim=(len(order) - 0.5, -0.5))
        left.tick_params(axis="y", length=0)
        style.whole_numbers(left.xaxis)
        style.grid(left, "x")
        left.set_title("in all")
        _heat(right, damage, classes)
        which = f"{len(order)} of {len(errors)} units, most missed first"
        if len(order) == len(errors):
            which = f"{len(errors)} units, most missed first"
        figure.suptitle(
            f"{layer}: {which} ({int(baseline.sum())} errors in {int(totals.sum()):,} with all)",
            fontsize=11,
        )
    return figure


def _heat(ax: "Axes", damage: Array, classes: Sequence[str]) -> None:
    norm = style.colour_scale(damage, signed=True)
    ax.imshow(damage, cmap=style.SIGNED, norm=norm, aspect="auto")
    ax.set_xticks(range(len(classes)), classes)
    if max(map(len, classes)) > 3:
        ax.tick_params(axis="x", labelrotation=45)
    ax.tick_params(length=0)
    ax.tick_params(axis="y", labelleft=False)
    ax.set(xlabel="true class", title="by class")
    ax.spines[:].set_visible(False)
    style.colour_bar(ax, norm, style.SIGNED, "errors added, % of the class")
