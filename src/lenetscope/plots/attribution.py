"""Pictures of which pixels speak for a class, and of whether that can be believed.

In: pixels, maps and curves. Out: figures. Maps of one method share a colour scale, symmetric around
white if they have a sign; the digit's outline is drawn over them, so that one sees what a value belongs
to.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lenetscope.errors import DataError
from lenetscope.plots import style
from lenetscope.plots.style import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

CLIPPED = 0.5
"""Percent of a method's values that may lie past the ends of its colour scale."""

_LINES: list[tuple[str, Any]] = [
    (style.TRAIN, "-"),
    (style.VALID, "-"),
    (style.INK, "-"),
    (style.WRONG, (0, (6, 1, 1, 1))),
    (style.TRAIN, (0, (2, 1))),
    (style.VALID, (0, (2, 1))),
]
_MUTED, _FAINT = "#666666", "#999999"


def attribution(
    pixels: Array,
    maps: Mapping[str, Array],
    classes: Sequence[Sequence[Any]],
    *,
    labels: Sequence[Any] | None = None,
    units: Mapping[str, str] | None = None,
    **figure_options: Any,
) -> "Figure":
    """Draw what pixels say: an image beside the next, below it a row a method, a column a class.

    Args:
        pixels: (N, C, H, W) or (N, H, W), any numbers; of several channels the mean is drawn.
        maps: method to (N, K, H, W), for K classes of each image, or (N, H, W) for one.
        classes: N times K names, such as the class predicted and the runner-up.
        labels: N true labels for the titles.
        units: of a method's values, for its colour bar.
        figure_options: go to `matplotlib.figure.Figure`.

    Raises:
        DataError: if there is nothing to draw, or shapes do not fit each other.
    """
    grey = np.asarray(pixels, dtype=np.float32)
    grey = grey.mean(axis=1) if grey.ndim == 4 else grey  # (N, H, W)
    count = len(grey)
    asked = {n: np.asarray(v if np.ndim(v) == 4 else np.asarray(v)[:, None]) for n, v in maps.items()}
    per = len(classes[0]) if len(classes) else 0
    wanted = (count, per, *grey.shape[1:])
    wrong = [f"'{name}' {values.shape}" for name, values in asked.items() if values.shape != wanted]
    if not count or not asked or not per or len(classes) != count or wrong:
        raise DataError(
            f"{count} images with {len(classes)} times {per} classes need maps {wanted}; "
            f"given: {', '.join(wrong) or f'{len(asked)} maps'}."
        )
    columns = count * per
    top = 1 + 0.4 * (per > 1)  # the height of the images, in cells
    cell = min(1.3, max(0.62, 5.0 / columns))
    size = (
        min(style.MAX_SIDE, cell * columns + 2.0),
        min(style.MAX_SIDE, (cell + 0.1) * (len(asked) + top) + 0.8),
    )
    with style.new_figure(figure_options, size) as figure:
        figure.get_layout_engine().set(w_pad=0.02, h_pad=0.03, hspace=0, wspace=0)  # type: ignore[union-attr, call-arg]
        grid = figure.add_gridspec(1 + len(asked), columns, height_ratios=[top] + [1] * len(asked))
        for number in range(count):
            ax = figure.add_subplot(grid[0, number * per : (number + 1) * per])
            _bare(ax)
            ax.imshow(grey[number], cmap=style.PIXELS)
            ax.set_title(f"image {number}" if labels is None else f"true {labels[number]}")
        for row, (name, values) in enumerate(asked.items(), start=1):
            norm, colours = _scale(values)
            for column in range(columns):
                number, which = divmod(column, per)
                ax = figure.add_subplot(grid[row, column])
                _bare(ax)
                ax.imshow(values[number, which], cmap=colours, norm=norm)
                _outline(ax, grey[number], "white" if colours == style.POSITIVE else style.INK)
                if row == 1:
                    ax.set_title(f"for {classes[number][which]}", fontsize=9, pad=3)
                if column == 0:
                    ax.set_ylabel(name.replace("-", "-\n", 1), rotation=0, ha="right", va="center")
            style.colour_bar(ax, norm, colours, (units or {}).get(name, ""), ticks=2)
    return figure


def faithfulness(
    fractions: Array,
    deletion: Mapping[str, Array],
    insertion: Mapping[str, Array],
    *,
    controls: Sequence[str] = ("ink", "chance"),
    **figure_options: Any,
) -> "Figure":
    """Draw how the class goes when pixels are taken away, and how it comes when they are put in.

    Args:
        fractions: (S+1,) share of the pixels, 0 to 1.
        deletion: method to mean probability of the class, (S+1,); ``insertion`` likewise.
        insertion: the same methods.
        controls: those that know nothing of the network; drawn thin, grey and broken.
        figure_options: go to `matplotlib.figure.Figure`.

    Raises:
        DataError: if there is nothing to draw, or the two do not hold the same methods.
    """
    if not deletion or set(deletion) != set(insertion):
        raise DataError(
            f"deletion of {list(deletion)} and insertion of {list(insertion)} cannot be drawn side by "
            "side; give both for the same methods, one or more."
        )
    looks: dict[str, tuple[str, Any]] = dict(
        zip((n for n in deletion if n not in controls), _LINES * len(deletion), strict=False)
    )
    looks |= dict(
        zip(controls, [(_MUTED, (0, (1, 1.2))), (_FAINT, (0, (5, 2)))] * len(controls), strict=False)
    )
    with style.new_figure(figure_options, (6.5, 3.9)) as figure:
        sides = figure.subplots(1, 2, sharey=True)
        parts = (
            ("deletion: lower is better", "pixels taken away (%)", deletion),
            ("insertion: higher is better", "pixels put in (%)", insertion),
        )
        for ax, (title, label, curves) in zip(sides, parts, strict=True):
            for name, curve in curves.items():
                colour, dash = looks[name]
                area = float(np.trapezoid(curve, fractions))
                ax.plot(
                    100 * np.asarray(fractions),
                    100 * np.asarray(curve),
                    color=colour,
                    linestyle=dash,
                    linewidth=1.5 if name in controls else 2,
                    label=f"{area:.3f}  {name}",
                )
            ax.set(title=title, xlabel=label, xlim=(0, 100), ylim=(0, 103))
            style.grid(ax)
            ax.legend(
                title="area under the curve",
                loc="upper center",
                bbox_to_anchor=(0.5, -0.2),
                fontsize=9,
                title_fontsize=9,
                alignment="left",
            )
        sides[0].set_ylabel("probability of the class (%)")
    return figure


def _bare(ax: "Axes") -> None:
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def _scale(values: Array) -> "tuple[Normalize, str]":
    """Return a colour scale that a few extreme values do not make pale, and its colours."""
    signed = bool(np.nanmin(values) < 0)
    bound = np.nanpercentile(np.abs(values), 100 - CLIPPED) or np.nanmax(np.abs(values))
    clipped = np.clip(values, -bound, bound)
    return style.colour_scale(clipped, signed), style.SIGNED if signed else style.POSITIVE


def _outline(ax: "Axes", image: Array, colour: str) -> None:
    """Draw the line where an image is half as bright as it gets, if there is one."""
    low, high = float(image.min()), float(image.max())
    if high > low:
        ax.contour(image, levels=[(low + high) / 2], colors=[colour], linewidths=0.6)
