"""Pictures of wrong answers, each beside the training images that the network finds most like it.

In: images, labels, probabilities. Out: figures, one a page.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lenetscope.errors import DataError, UsageError
from lenetscope.plots import style
from lenetscope.plots.style import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 2
"""Mistakes that stand side by side."""

COLUMN, ROW, HEAD, SIDE = 3.25, 1.32, 0.55, 0.68
"""Inches: a mistake's width and height, the title's height, the side of the image."""


def mistakes(
    images: Array,
    true: Array,
    predicted: Array,
    probabilities: Array,
    classes: Sequence[str],
    *,
    indices: Array | None = None,
    near_images: Array | None = None,
    near_labels: Array | None = None,
    doubted: Array | None = None,
    page: int = 0,
    per_page: int = 12,
    **figure_options: Any,
) -> "Figure":
    """Draw a page of wrong answers in the order given, nearest training images to the right of each.

    Labels of training images in colour speak for the wrong answer, in bold for the label.

    Args:
        images: (M, H, W) or (M, C, H, W) of the mistakes, C 1 or 3, uint8 or from 0 to 1.
        true: (M,) labels.
        predicted: (M,) classes.
        probabilities: (M, 2) given to the label and to the predicted class.
        classes: K names.
        indices: (M,) numbers of the images, to be written beside them.
        near_images: (M, k, H, W) or (M, k, C, H, W).
        near_labels: (M, k) their labels.
        doubted: (M,) bool, whether the label may be wrong.
        page: from 0; see `mistake_pages`.
        per_page: mistakes a page.
        figure_options: go to `matplotlib.figure.Figure`.

    Raises:
        DataError: if lengths differ.
        UsageError: if there is no such page.
    """
    total = len(images)
    given = (true, predicted, probabilities, indices, near_images, near_labels, doubted)
    if any(values is not None and len(values) != total for values in given):
        raise DataError(f"each array has a row a mistake: images have {total}, another has not.")
    if (near_images is None) != (near_labels is None):
        raise DataError("give near_images and near_labels together.")
    pages = mistake_pages(total, per_page)
    if not 0 <= page < pages:
        raise UsageError(f"there is no page {page}: pages go from 0 to {pages - 1}.")
    shown = range(page * per_page, min(total, (page + 1) * per_page))
    k = 0 if near_images is None else near_images.shape[1]
    rows = math.ceil(len(shown) / COLUMNS)
    width, height = COLUMNS * COLUMN, HEAD + ROW * rows
    # everything has its place in inches, so that rows are alike whether or not a label is in doubt
    with style.new_figure({"layout": "none"} | figure_options, (width, height)) as figure:
        title = f"mistakes {shown[0] + 1} to {shown[-1] + 1} of {total}" if shown else "no mistakes"
        figure.text(0.5, 1 - 0.2 / height, title, ha="center", va="center", fontsize=11)
        if shown:
            beside = ", beside it the nearest training images" if k else ""
            figure.text(
                0.5,
                1 - 0.42 / height,
                f"label (probability) → answer (probability){beside}",
                ha="center",
                va="center",
                fontsize=9,
            )
        for number in shown:
            row, column = divmod(number - shown[0], COLUMNS)
            left, top = 0.08 + column * COLUMN, height - HEAD - row * ROW
            name = "" if indices is None else f"no. {indices[number]}:  "
            label, answer = classes[true[number]], classes[predicted[number]]
            own, said = (_percent(share) for share in probabilities[number])
            figure.text(
                left / width,
                (top - 0.12) / height,
                f"{name}{label} ({own}) → {answer} ({said})",
                va="center",
                fontsize=9,
            )
            if doubted is not None and doubted[number]:
                figure.text(
                    left / width,
                    (top - 0.28) / height,
                    f"the label {label} may be wrong",
                    va="center",
                    fontsize=9,
                    color=style.WRONG,
                )
            side = min(SIDE, (COLUMN - 0.3 - SIDE) / max(k, 1) - 0.05)

            def tile(x: float, size: float, top: float = top) -> "Axes":
                place = (x / width, (top - 0.38 - SIDE) / height, size / width, size / height)
                return figure.add_axes(place)

            _picture(tile(left, SIDE), images[number])
            if near_images is None or near_labels is None:
                continue
            for place, near in enumerate(near_labels[number].tolist()):
                ax = tile(left + SIDE + 0.1 + place * (side + 0.05), side)
                _picture(ax, near_images[number, place])
                ax.set_xlabel(
                    classes[near],
                    fontsize=9,
                    labelpad=2,
                    color=style.WRONG if near == predicted[number] else style.INK,
                    fontweight="bold" if near == true[number] else "normal",
                )
    return figure


def mistake_pages(total: int, per_page: int = 12) -> int:
    """Return how many pages so many mistakes take, at least 1.

    >>> mistake_pages(75)
    7
    """
    if per_page < 1:
        raise UsageError(f"a page holds 1 mistake or more, not {per_page}.")
    return max(1, math.ceil(total / per_page))


def _percent(share: float) -> str:
    """Write a probability so that neither 0 nor 100 % is claimed.

    >>> _percent(0.99997), _percent(0.0002), _percent(0.4567)
    ('> 99.9 %', '< 0.1 %', '45.7 %')
    """
    if share < 0.0005:
        return "< 0.1 %"
    return "> 99.9 %" if share >= 0.9995 else f"{100 * share:.1f} %"


def _picture(ax: "Axes", image: Array) -> None:
    """Draw one image, gray or in colour, without a frame."""
    values = np.asarray(image)
    if values.ndim == 3:
        values = values[0] if len(values) == 1 else np.moveaxis(values, 0, -1)  # (H, W, 3)
    top = 255 if values.dtype == np.uint8 else 1
    ax.imshow(values, cmap=style.PIXELS, vmin=0, vmax=top)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
