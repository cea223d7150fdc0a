"""Records the picture after each step with the network's prediction for it, and draws these steps.

What the network is given for a step is the step's picture resized to 28x28, as if the reading ended
there: so the figure shows which step the correct prediction is owed to.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from lenetscope.errors import DataError
from lenetscope.plots import style
from lenetscope.reading.components import union
from lenetscope.reading.grey import to_grey
from lenetscope.reading.judge import Judge
from lenetscope.reading.results import Reading, Step
from lenetscope.reading.segmentation import Found
from lenetscope.reading.sheet import Sheet
from lenetscope.table import percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

Array = npt.NDArray[Any]

SHOWN = 400
"""Longest side, in pixels, of the whole picture as it is shown."""
MOST_DIGITS = 8
"""The first digits, which are drawn; more would not be legible."""


def explain(
    picture: Image.Image, sheet: Sheet | None, lines: list[list[Found]], judge: Judge
) -> tuple[Step, ...]:
    """Return the steps of a reading, those of the whole picture first, then those of each digit.

    Args:
        picture: of mode L or RGB.
        sheet: None if the picture was classified as it is.
        lines: the digits of each line.
        judge: classifies the picture of each step.
    """
    small = picture.copy()
    small.thumbnail((SHOWN, SHOWN), reducing_gap=2.0)
    steps: list[tuple[str, Array, int | None]] = [("picture", to_grey(np.asarray(small)), None)]
    digits = [digit for line in lines for digit in line]
    if sheet:
        ink = np.clip(sheet.ink, 0, 1) / max(float(sheet.ink.max()), 1e-3)
        steps += [
            ("illumination", ink if sheet.polarity.light else 1 - ink, None),
            ("polarity", ink, None),
            ("ink", sheet.mask.astype(np.float32), None),
            ("lines of paper", sheet.clean.astype(np.float32), None),
            ("pieces", _pieces(sheet), None),
        ]
    for number, digit in enumerate(digits):
        steps += [(name, shown, number) for name, shown in digit.prepared.steps]
        if not digit.prepared.steps:
            steps.append(("as it is", digit.prepared.image.astype(np.float32) / 255, number))
    images = [_as_image(shown, square=digit is not None) for _, shown, digit in steps]
    probabilities, _ = judge.judge(torch.from_numpy(np.stack(images))[:, None])
    return tuple(
        Step(name, shown, image, str(int(p.argmax())), float(p.max()), digit)
        for (name, shown, digit), image, p in zip(steps, images, probabilities, strict=True)
    )


def _pieces(sheet: Sheet) -> Array:
    kept = union(sheet.pieces)
    shown = np.zeros(sheet.grey.shape, dtype=np.float32)
    shown[kept.top : kept.bottom, kept.left : kept.right] = kept.mask
    return shown


def _as_image(shown: Array, square: bool) -> Array:
    """Resize the picture of a step to 28x28; that of a single digit with its aspect ratio kept."""
    if square:
        height, width = shown.shape
        side = max(height, width)
        top, left = (side - height) // 2, (side - width) // 2
        shown = np.pad(shown, ((top, side - height - top), (left, side - width - left)))
    large = Image.fromarray(np.clip(np.rint(shown * 255), 0, 255).astype(np.uint8))
    return np.asarray(
        large if large.size == (28, 28) else large.resize((28, 28), Image.Resampling.BILINEAR)
    )


def plot_steps(reading: Reading, title: str = "", **figure_options: Any) -> "Figure":
    """Draw the steps of a reading: a row for the whole picture, then a row per digit.

    Below each step is the image that the network was given and its prediction, red where it differs
    from the final one.

    Args:
        reading: made with ``explain``.
        title: of the figure.
        figure_options: of `matplotlib.figure.Figure`.

    Raises:
        DataError: if the reading has no steps.
    """
    if not reading.steps:
        raise DataError("there is nothing to draw: read the picture with explain=True.")
    labels = reading.text.replace(" ", "")
    rows: dict[int | None, list[Step]] = {}
    for step in reading.steps:
        if step.digit is None or step.digit < MOST_DIGITS:
            rows.setdefault(step.digit, []).append(step)
    columns = max(len(row) for row in rows.values())
    with style.new_figure(figure_options, (1.55 * columns + 0.2, 2.75 * len(rows) + 0.5)) as figure:
        figure.suptitle(title)
        parts = figure.subfigures(len(rows), 1, squeeze=False)[:, 0]
        for part, (digit, row) in zip(parts, rows.items(), strict=True):
            if digit is None:
                _plot_row(part, row, columns, labels, "")
            else:
                _plot_row(part, row, columns, labels[digit], f"digit {digit + 1}: ")
    return figure


def _plot_row(part: "SubFigure", row: list[Step], columns: int, final: str, prefix: str) -> None:
    axes = part.subplots(2, columns, squeeze=False, height_ratios=(1.6, 1))
    for ax in axes.flat:
        ax.set_axis_off()
    for number, (step, above, below) in enumerate(zip(row, axes[0], axes[1], strict=False)):
        for ax, shown in ((above, step.picture), (below, step.image)):
            ax.imshow(shown, cmap=style.PIXELS, vmin=0, vmax=1 if shown.dtype.kind == "f" else 255)
        above.set_title(f"{prefix}{step.name}" if number == 0 else step.name, fontsize=9)
        below.set_title(
            f"{step.label}  {percent(step.probability, 0, certain=False)}",
            fontsize=9,
            color=style.INK if step.label == final else style.WRONG,
        )
