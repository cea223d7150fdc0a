"""The network as it was after each epoch: how filters moved, how predictions settled.

A run keeps its weights before training, as epoch 0, and after each epoch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lenetscope.errors import DataError, RunError
from lenetscope.evaluation.outputs import probabilities
from lenetscope.plots import html, style, tiles
from lenetscope.plots.style import Array
from lenetscope.questions import Costs, Part, Question, some_images, spread
from lenetscope.questions.filters import filters_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lenetscope.inspection import Inspection
    from lenetscope.selection import Selection

Floats = npt.NDArray[np.float64]

DRAWN_EPOCHS = 8
"""Rows of the figure of filters, evenly spaced over the epochs."""
COLUMNS, BLOCKS = 16, 2
"""Filters side by side, and blocks of them: more would be too small."""
PAGE_EPOCHS, PAGE_BYTES = 60, 1_000_000
"""Epochs of the report's slider at most, and what their filters may take."""


@dataclass(frozen=True)
class FilterMovement:
    """How the F filters of a layer moved over E epochs.

    Attributes:
        epochs: (E,), their numbers.
        distance: (E, F), Euclidean distance from the filter at the first epoch.
        cosine: (E, F), between a filter and that at the first epoch; NaN where one is all zero.
        step: (E, F), distance from the epoch before; 0 at the first.
        step_cosine: (E, F), between a filter and that at the epoch before; 1 at the first.
    """

    epochs: npt.NDArray[np.int64]
    distance: Floats
    cosine: Floats
    step: Floats
    step_cosine: Floats


def filter_movement(weights: npt.ArrayLike, epochs: Sequence[int]) -> FilterMovement:
    """Return how far, and in which direction, each filter moved.

    >>> moved = filter_movement([[[3.0, 0.0]], [[0.0, 4.0]]], epochs=[0, 1])
    >>> moved.distance.tolist(), moved.cosine.tolist()
    ([[0.0], [5.0]], [[1.0], [0.0]])

    Args:
        weights: (E, F, …): the filters, or the rows of a linear layer, at each epoch, without the bias.
        epochs: E numbers; all are compared with the first, usually 0 for before training.

    Raises:
        DataError: if the shapes do not fit.
    """
    values, numbers = np.asarray(weights, dtype=np.float64), np.asarray(epochs, dtype=np.int64)
    if values.ndim < 3 or not values.size or len(values) != len(numbers):
        raise DataError(
            f"weights must be (epochs, filters, …) for {len(numbers)} epochs, not {values.shape}."
        )
    flat = values.reshape(*values.shape[:2], -1)  # (E, F, weights of a filter)
    before = np.concatenate([flat[:1], flat[:-1]])
    return FilterMovement(
        numbers,
        np.linalg.norm(flat - flat[:1], axis=2),
        _cosine(flat, flat[:1]),
        np.linalg.norm(flat - before, axis=2),
        _cosine(flat, before),
    )


def _cosine(first: Floats, second: Floats) -> Floats:
    lengths = np.linalg.norm(first, axis=2) * np.linalg.norm(second, axis=2)
    cosines = np.full_like(lengths, np.nan)
    np.divide((first * second).sum(axis=2), lengths, out=cosines, where=lengths > 0)
    clipped: Floats = cosines.clip(-1.0, 1.0)
    return clipped


def plot_filter_movement(moved: FilterMovement, layer: str, **figure_options: Any) -> "Figure":
    """Draw how far each filter moved: a thin line per filter, a thick one for their median.

    Args:
        moved: the answer of `filter_movement`.
        layer: name for the title.
        figure_options: go to `matplotlib.figure.Figure`.
    """
    later = min(1, len(moved.epochs) - 1)  # at the first epoch nothing has moved yet
    panels = [
        ("distance from the first", 0, moved.distance),
        ("moved in one epoch", later, moved.step),
        ("cosine with the first", 0, moved.cosine),
    ]
    with style.new_figure(figure_options, (6.5, 2.9)) as figure:
        axes = figure.subplots(1, 3)
        for ax, (title, start, values) in zip(axes, panels, strict=True):
            epochs, lines = moved.epochs[start:], values[start:]
            known = np.ma.masked_invalid(lines)
            middle = np.ma.median(known, axis=1).filled(np.nan)  # type: ignore[no-untyped-call]
            ax.plot(epochs, lines, color=style.TRAIN, alpha=0.35, linewidth=0.8)
            ax.plot(epochs, middle, color=style.VALID, linewidth=2.5, marker="o", markersize=4)
            ax.set_title(title, fontsize=10)
            ax.set(xlabel="epoch", ylim=(0, None))
            style.whole_numbers(ax.xaxis)
            style.grid(ax)
        axes[2].set_ylim(-1.05 if (moved.cosine < 0).any() else 0, 1.05)
        figure.suptitle(f"{layer}: {moved.distance.shape[1]} filters, thick: their median", fontsize=11)
    return figure


def plot_filter_snapshots(
    weights: Array, epochs: Sequence[int], layer: str, **figure_options: Any
) -> "Figure":
    """Draw the filters of a layer as they were at some epochs: one row per epoch.

    Args:
        weights: (E, F, H, W): for a layer of several input channels one of them.
        epochs: E numbers.
        layer: name for the title.
        figure_options: go to `matplotlib.figure.Figure`.

    Raises:
        DataError: if ``weights`` is not (E, F, H, W).
    """
    weights = np.asarray(weights)
    if weights.ndim != 4 or len(weights) != len(epochs) or not weights.size:
        raise DataError(
            f"weights must be (epochs, filters, H, W) for {len(epochs)} epochs, not {weights.shape}: "
            "choose one input channel."
        )
    total, height, width = weights.shape[1:]
    columns, drawn = min(COLUMNS, total), weights[:, : COLUMNS * BLOCKS]  # (E, F, H, W)
    # inches of a block that is 4.5 wide
    tall = 4.5 * len(epochs) * (height + 1) / (columns * (width + 1))
    blocks = [drawn[:, start : start + columns] for start in range(0, drawn.shape[1], columns)]
    size = (6.5, min(style.MAX_SIDE, len(blocks) * (tall + 0.25) + 0.65))
    with style.new_figure(figure_options, size) as figure:
        axes = figure.subplots(len(blocks), squeeze=False)[:, 0]
        norm = style.colour_scale(drawn, signed=True)
        for number, (ax, block) in enumerate(zip(axes, blocks, strict=True)):
            count = block.shape[1]  # of the last block, which is filled up with empty tiles
            whole = np.pad(
                block, [(0, 0), (0, columns - count), (0, 0), (0, 0)], constant_values=np.nan
            )
            tiles.mosaic(ax, whole.reshape(-1, height, width), columns, norm, style.SIGNED)
            tiles.number(ax.xaxis, width, {k: number * columns + k for k in range(count)})
            tiles.number(ax.yaxis, height, dict(enumerate(epochs)))
            ax.tick_params(length=0, labelsize=8, pad=2)
            ax.set_ylabel("epoch")
            style.colour_bar(ax, norm, style.SIGNED, "weight")
        axes[-1].set_xlabel("filter")
        shown = "" if drawn.shape[1] == total else f" (of {total})"
        axes[0].set_title(f"{layer}: {drawn.shape[1]} filters{shown} of {height}x{width}")
    return figure


def _figures(inspection: "Inspection", selection: "Selection") -> "Iterator[tuple[str, Figure]]":
    epochs = inspection.snapshot_epochs
    for layer in inspection.selected_convolutions(selection)[:1]:
        weights = {e: filters_of(inspection.model_at(e), layer) for e in inspection.progress(epochs)}
        moved = filter_movement(np.stack(list(weights.values())), epochs)
        yield "filter-movement", plot_filter_movement(moved, layer)
        some = spread(epochs, DRAWN_EPOCHS)
        drawn = np.stack([weights[epoch][:, 0] for epoch in some])  # (E, F, H, W)
        yield "filter-snapshots", plot_filter_snapshots(drawn, some, layer)


PAGE = """
<p class="say">Move through the epochs to see {% if layer %}the filters of {{ layer }} and {% endif %}
the predictions change. Epoch 0 is before training, with random weights. Correct predictions are
counted on {{ some }}.{% if left_out %} Epochs left
out to keep the page small: {{ left_out }}.{% endif %}</p>
<noscript><p class="refusal">This needs scripts, which are switched off here.</p></noscript>
<div id="epochs" hidden>
<div class="row"><label for="epoch">Epoch <output id="epoch-number" for="epoch"></output></label>
<input type="range" id="epoch" min="0" max="{{ last }}" step="1">
<button type="button" id="play-epochs">Play</button></div>
<p id="epoch-text" aria-live="polite"></p>
<div class="columns">
{% if layer %}
<figure><canvas id="epoch-filters" class="pixels" role="img"></canvas>
<figcaption>Filters of {{ layer }}{% if channels > 1 %}, summed over the {{ channels }} input channels
{%- endif %}. One colour scale for all epochs: the darkest red is {{ "%.2g" | format(bound) }}, the
darkest blue &minus;{{ "%.2g" | format(bound) }}, white zero.</figcaption></figure>
{% endif %}
<ul id="epoch-predictions" class="strip predictions"></ul></div></div>
"""


def _part(inspection: "Inspection") -> Part:
    epochs = inspection.snapshot_epochs
    if len(epochs) < 2:
        raise RunError("the run has kept the weights of one epoch only.")
    layer = next(iter(inspection.convolutions), None)
    size = filters_of(inspection.model, layer).nbytes if layer else 1
    shown = spread(epochs, min(PAGE_EPOCHS, max(2, PAGE_BYTES // size)))
    labels, logits = inspection.labels[inspection.followed], inspection.logits_by_epoch
    history = {row["epoch"]: row for row in inspection.run.history()}
    rows, filters = [], []
    for epoch in inspection.progress(shown):
        outputs, known = logits[epoch], history.get(epoch, {})
        found = probabilities(outputs[len(labels) :], inspection.arch.loss_fn)
        assert found is not None
        probability = [[round(p, 5) for p in line] for line in found.tolist()]
        correct = int((outputs[: len(labels)].argmax(dim=1) == labels).sum())
        row = {"epoch": epoch, "correct": correct, "probabilities": probability}
        row |= {"trainLoss": known.get("train_loss"), "validAccuracy": known.get("valid_accuracy")}
        rows.append(row)
        if layer:
            filters.append(filters_of(inspection.model_at(epoch), layer))
    weights = np.stack(filters) if layer else np.zeros((1, 1, 1))  # (epochs, filters, channels, H, W)
    data = {
        "images": len(labels),
        "examples": list(inspection.embedded.examples),
        "epochs": rows,
        "layer": layer,
        "filters": html.base64_of(weights.astype("<f4")) if layer else None,
        "filterShape": list(weights.shape[1:]) if layer else [],  # [filters, channels, H, W]
    }
    text = html.render(
        PAGE,
        layer=layer,
        left_out=len(epochs) - len(shown),
        last=len(shown) - 1,
        some=some_images(len(labels), len(inspection.labels)),
        channels=weights.shape[2],
        bound=float(np.abs(weights).max()) * weights.shape[2] ** 0.5,  # as epochs.js draws them
    )
    return Part(text, data)


Question(
    "snapshots",
    summary="How the filters moved from epoch to epoch.",
    figures=_figures,
    part=_part,
    chapter="training",
    heading="The network after each epoch",
    place=20,
    costs=Costs(1.5, 1.5, 0.6),
).register()
