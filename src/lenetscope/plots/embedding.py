"""Pictures of images as points of a plane.

In: points, labels and predictions. Out: figures.
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

COLOURS = (
    *("#332288", "#88ccee", "#117733", "#ddcc77", "#cc6677"),
    *("#44aa99", "#882255", "#999933", "#aa4499", "#4477aa"),
)
"""Told apart also by the colour-blind, as far as ten can be: after P. Tol, "Colour Schemes", 2021."""
SHAPES = "osD^vPX<>*"
NAMED = 24
"""Points at most that carry a text saying what they were taken for."""


def embedding(
    points: Array,
    labels: Array,
    classes: Sequence[str],
    *,
    predicted: Array | None = None,
    explained: Array | None = None,
    title: str = "",
    **figure_options: Any,
) -> "Figure":
    """Draw points by their class: a colour, a shape, and the class's name at its centre.

    Points that were predicted wrongly have a ring, and as many of them as there is room for a text that
    says true and predicted class.

    Args:
        points: (n, 2).
        labels: (n,) true classes, 0 to K - 1.
        classes: K names.
        predicted: (n,) predicted classes.
        explained: (2,) shares of the variance, for the axes; without, they have no unit and no ticks.
        title: above.
        figure_options: go to `matplotlib.figure.Figure`.

    Raises:
        DataError: if shapes do not fit each other, or labels the classes.
    """
    points, labels = np.asarray(points), np.asarray(labels)
    said = labels if predicted is None else np.asarray(predicted)
    if points.shape != (len(labels), 2) or said.shape != labels.shape or not len(labels):
        raise DataError(
            f"points {points.shape}, labels {labels.shape} and predicted {said.shape} must be (n, 2), "
            "(n,) and (n,)."
        )
    if min(labels.min(), said.min()) < 0 or max(labels.max(), said.max()) >= len(classes):
        raise DataError(f"labels and predictions must be 0 to {len(classes) - 1}, one of the classes.")
    with style.new_figure(figure_options, (6.5, 6.2)) as figure:
        ax = figure.subplots()
        for k in np.unique(labels):
            ax.scatter(
                points[labels == k, 0],
                points[labels == k, 1],
                s=14,
                c=_colour(k),
                marker=SHAPES[k % len(SHAPES)],
                alpha=0.75,
                linewidths=0,
            )
        wrong = np.flatnonzero(said != labels)
        ax.set_aspect("equal", "datalim")
        centres = _name_classes(ax, points, labels, classes)
        texts = [f"{classes[labels[i]]}→{classes[said[i]]}" for i in wrong]
        _mark_errors(ax, points[wrong], texts, centres, 0.05 * float(np.ptp(points, axis=0).max()))
        if explained is None:
            ax.set(xticks=[], yticks=[], xlabel="only who is near to whom has a meaning here")
        else:
            ax.set_xlabel(f"first component ({100 * explained[0]:.0f} % of the variance)")
            ax.set_ylabel(f"second component ({100 * explained[1]:.0f} % of the variance)")
        errors = "" if predicted is None else f", {len(wrong)} predicted wrongly (true→predicted)"
        ax.set_title(f"{title + ': ' if title else ''}{len(labels):,} images{errors}")
    return figure


def _colour(k: int) -> str:
    return COLOURS[k % len(COLOURS)]


def _name_classes(ax: "Axes", points: Array, labels: Array, classes: Sequence[str]) -> list[Array]:
    """Write each class's name on a disc of its colour, at the median of its points; return where."""
    centres = []
    for k in np.unique(labels):
        centre, colour = np.median(points[labels == k], axis=0), _colour(k)
        red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
        bright = 0.299 * red + 0.587 * green + 0.114 * blue > 150
        ax.text(
            centre[0], centre[1], classes[k], ha="center", va="center", zorder=5, fontsize=13,
            fontweight="bold", color="#111111" if bright else "white",
            bbox={"boxstyle": "circle,pad=0.25", "facecolor": colour, "edgecolor": "white"},
        )  # fmt: skip
        centres.append(centre)
    return centres


def _mark_errors(
    ax: "Axes", points: Array, texts: Sequence[str], taken: list[Array], room: float
) -> None:
    """Put a ring around points, and texts beside those that keep their distance from what is there."""
    if not len(points):
        return
    ring: Any = {"facecolors": "none", "edgecolors": style.WRONG, "linewidths": 1.4}
    ax.scatter(points[:, 0], points[:, 1], s=60, zorder=4, **ring)
    taken = list(taken)
    most = len(taken) + NAMED
    for point, text in zip(points, texts, strict=True):
        if len(taken) < most and not any((np.abs(point - t) <= (2 * room, room)).all() for t in taken):
            ax.annotate(
                text, point, xytext=(6, 4), textcoords="offset points", fontsize=9, color=style.WRONG,
                fontweight="bold", zorder=6,
            )  # fmt: skip
            taken.append(point)
