"""The picture of a reading: every step, and below it what the network would have said there.

In: steps. Out: a figure. The first row is the whole picture's, then comes a row for each digit.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from lenetscope.errors import DataError
from lenetscope.plots import style
from lenetscope.plots.style import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

MOST_DIGITS = 8
"""Digits that are drawn, the first."""


class StepLike(Protocol):
    """What is drawn of a step."""

    @property
    def name(self) -> str:
        """Of the step."""

    @property
    def picture(self) -> Array:
        """(H, W) in [0, 1]."""

    @property
    def image(self) -> Array:
        """(28, 28) uint8 that the network was given."""

    @property
    def label(self) -> str:
        """That it answered."""

    @property
    def probability(self) -> float:
        """Of the answer."""

    @property
    def digit(self) -> int | None:
        """Which digit it is of, None for the whole picture."""


def reading_steps(steps: Sequence[StepLike], text: str, title: str, **figure_options: Any) -> "Figure":
    """Draw the steps of a reading.

    Args:
        steps: in order, those of the whole picture first.
        text: the answer in the end, a character a digit; spaces are ignored.
        title: of the figure.
        figure_options: go to `matplotlib.figure.Figure`.

    Raises:
        DataError: if there is no step.
    """
    if not steps:
        raise DataError("there is nothing to draw: read the picture with explain=True.")
    labels = text.replace(" ", "")
    rows: dict[int | None, list[StepLike]] = {}
    for step in steps:
        if step.digit is None or step.digit < MOST_DIGITS:
            rows.setdefault(step.digit, []).append(step)
    columns = max(len(row) for row in rows.values())
    with style.new_figure(figure_options, (1.55 * columns + 0.2, 2.75 * len(rows) + 0.5)) as figure:
        figure.suptitle(title)
        parts = figure.subfigures(len(rows), 1, squeeze=False)[:, 0]
        for part, (digit, row) in zip(parts, rows.items(), strict=True):
            if digit is None:
                _draw_row(part, row, columns, labels, "")
            else:
                _draw_row(part, row, columns, labels[digit], f"digit {digit + 1}: ")
    return figure


def _draw_row(
    part: "SubFigure", row: Sequence[StepLike], columns: int, final: str, prefix: str
) -> None:
    axes = part.subplots(2, columns, squeeze=False, height_ratios=(1.6, 1))
    for ax in axes.flat:
        ax.set_axis_off()
    for number, (step, above, below) in enumerate(zip(row, axes[0], axes[1], strict=False)):
        for ax, shown in ((above, step.picture), (below, step.image)):
            ax.imshow(shown, cmap=style.PIXELS, vmin=0, vmax=1 if shown.dtype.kind == "f" else 255)
        above.set_title(f"{prefix}{step.name}" if number == 0 else step.name, fontsize=9)
        right = len(final) == 1 and step.label == final
        below.set_title(
            f"{step.label}  {100 * step.probability:.0f} %",
            fontsize=9,
            color=style.INK if right else style.WRONG,
        )
