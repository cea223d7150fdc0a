"""Draws how a number was read: the strips, what the network says along them, and the other views."""

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lenetscope.data.preprocess import Preprocess
from lenetscope.errors import DataError
from lenetscope.models.reader import BLANK, PER_POSITION
from lenetscope.plots import style
from lenetscope.questions.attribution import attribute
from lenetscope.reading import ctc
from lenetscope.reading.reader import Reader, Recogniser, load_reader
from lenetscope.reading.results import Reading
from lenetscope.table import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = npt.NDArray[Any]

LABELS = (*"0123456789", "other", "blank")
"""Rows of what the network says."""

MOST_LINES, MOST_VIEWS = 3, 8
"""Lines, and other views, that are drawn; more would not be legible."""

STEPS = 256
"""Points of the path that gradients are integrated along."""


class _Text(nn.Module):
    """Returns logits (N, 2) of lines: that a text is written, and 0."""

    def __init__(self, model: nn.Module, text: ctc.Labels) -> None:
        super().__init__()
        self.model, self.text = model, text

    def forward(self, lines: Tensor) -> Tensor:
        positions = self.model(lines).positions
        likely = torch.stack([ctc.log_likelihoods(each, [self.text])[0] for each in positions])
        return torch.stack([likely, torch.zeros_like(likely)], dim=1)


def attribution(reader: Reader, strip: Array, text: ctc.Labels) -> Array:
    """Return how much each pixel of a strip contributes to the log-likelihood of a text.

    Integrated gradients from blank paper, see `questions.attribution`.

    Args:
        reader: reads the strip.
        strip: (28, W) uint8, ink light.
        text: its labels.

    Returns:
        (28, W) float32, in nats; they add up to about the text's advantage over that on blank paper.
    """
    preprocess = Preprocess(reader.mean, reader.std)
    pixels = torch.from_numpy(strip.copy())[None, None]
    paper = preprocess(torch.zeros_like(pixels))
    found = attribute(
        _Text(reader.model, text),
        preprocess(pixels),
        0,
        method="integrated-gradients",
        baseline=paper,
        steps=STEPS,
    )
    values: Array = found.values[0].numpy()
    return values


def plot_reading(
    reading: Reading, reader: Recogniser | None = None, title: str = "", **figure_options: Any
) -> "Figure":
    """Draw how a number was read.

    From top to bottom: the picture; for each line the strip with its digits, the probability of each
    label along it, and what each pixel contributes to the text (red for, blue against); then the other
    views, in the order of their weights.

    Args:
        reading: made with ``explain``.
        reader: that it was made with; by default the one that is installed.
        title: of the figure.
        figure_options: of `matplotlib.figure.Figure`.

    Raises:
        DataError: if the reading was made without ``explain``.
    """
    if reading.picture is None:
        raise DataError("there is nothing to draw: read the picture with explain=True.")
    reader = load_reader() if reader is None else reader
    views = reading.views
    lines = list(views[0].strips[:MOST_LINES]) if views else []
    texts = [tuple(map(int, text)) for text in reading.text.split(" ")] if views else []
    rest = views[1 : 1 + MOST_VIEWS]
    pairs = -(-len(rest) // 2)
    heights = [2.4]
    for strip in lines:
        tall = float(np.clip(8 * strip.pixels.shape[0] / strip.pixels.shape[1], 0.5, 1.5))
        heights += [tall, 1.8, tall]
    heights += [0.75] * pairs
    with style.new_figure(figure_options, (8.6, sum(heights) + 0.45 * len(heights))) as figure:
        figure.suptitle(title)
        grid = figure.add_gridspec(len(heights), 2, height_ratios=heights)
        _plot_picture(figure.add_subplot(grid[0, :]), reading)
        digits = iter(reading.digits)
        for number, (strip, line) in enumerate(zip(lines, texts, strict=False)):
            axes = [figure.add_subplot(grid[1 + 3 * number + k, :]) for k in range(3)]
            (positions,) = reader.positions([strip.pixels])
            spans = ctc.align(positions, line)
            own = [next(digits) for _ in line]
            _plot_strip(
                axes[0], strip.pixels, spans, [d.label for d in own], [d.probability for d in own]
            )
            _plot_positions(axes[1], positions, spans)
            if isinstance(reader, Reader):
                _plot_attribution(axes[2], attribution(reader, strip.pixels, line))
            else:
                axes[2].set_axis_off()
        for number, view in enumerate(rest):
            ax = figure.add_subplot(grid[len(heights) - pairs + number // 2, number % 2])
            ax.imshow(
                _beside([strip.pixels for strip in view.strips]), cmap=style.PIXELS, vmin=0, vmax=255
            )
            ax.set_axis_off()
            same = view.text == reading.text
            name = textwrap.shorten(view.view, 46, placeholder=" …")
            ax.set_title(
                f"{name}: {view.text}  ({percent(view.weight, 0, certain=False)})",
                fontsize=8,
                color=style.INK if same else style.WRONG,
            )
    return figure


def _plot_picture(ax: "Axes", reading: Reading) -> None:
    assert reading.picture is not None
    full = reading.size
    ax.imshow(reading.picture, cmap=style.PIXELS, vmin=0, vmax=255, extent=(0, full[0], full[1], 0))
    for digit in reading.digits:
        left, top, right, bottom = digit.box
        ax.plot(
            [left, right, right, left, left], [top, top, bottom, bottom, top], color=style.VALID, lw=1
        )
    ax.set_axis_off()
    ax.set_title(str(reading), fontsize=10)
    ax.set_xlim(0, full[0])
    ax.set_ylim(full[1], 0)


def _plot_strip(
    ax: "Axes", pixels: Array, spans: list[tuple[int, int]], labels: list[str], likely: list[float]
) -> None:
    ax.imshow(pixels, cmap=style.PIXELS, vmin=0, vmax=255, aspect="auto")
    for (first, last), label, p in zip(spans, labels, likely, strict=True):
        x = PER_POSITION * (first + last) / 2 - 0.5
        ax.text(
            x,
            -2,
            label,
            ha="center",
            va="bottom",
            fontsize=10,
            color=style.INK if p > 0.9 else style.WRONG,
        )
        ax.axvspan(
            PER_POSITION * first - 0.5, PER_POSITION * last - 0.5, color=style.VALID, alpha=0.25, lw=0
        )
    ax.set_axis_off()


def _plot_positions(ax: "Axes", positions: Tensor, spans: list[tuple[int, int]]) -> None:
    likely = positions.exp().numpy()
    edge = PER_POSITION * likely.shape[1] - 0.5
    ax.imshow(
        likely,
        cmap="Blues",
        vmin=0,
        vmax=1,
        aspect="auto",
        extent=(-0.5, edge, len(LABELS) - 0.5, -0.5),
    )
    ax.set_yticks(range(len(LABELS)), LABELS, fontsize=7)
    ax.set_xticks([])
    ax.set_ylabel("label", fontsize=8)
    ax.set_title("probability of each label along the line", fontsize=8)
    for first, last in spans:
        ax.axvspan(
            PER_POSITION * first - 0.5, PER_POSITION * last - 0.5, color=style.VALID, alpha=0.12, lw=0
        )
    assert len(LABELS) == BLANK + 1


def _plot_attribution(ax: "Axes", values: Array) -> None:
    limit = float(np.percentile(np.abs(values), 99.5)) or 1.0
    ax.imshow(values, cmap=style.SIGNED, vmin=-limit, vmax=limit, aspect="auto")
    ax.set_axis_off()
    ax.set_title("what each pixel contributes: red for the text, blue against it", fontsize=8)


def _beside(strips: list[Array]) -> Array:
    """Put strips below each other, and pad them to the same width."""
    width = max(strip.shape[1] for strip in strips)
    return np.concatenate([np.pad(strip, ((0, 1), (0, width - strip.shape[1]))) for strip in strips])
