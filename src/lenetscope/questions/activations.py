"""Statistics of layer outputs: size, spread, zeros, dead units and saturation, per layer.

They show vanishing signals and saturated units, after X. Glorot and Y. Bengio, "Understanding the
difficulty of training deep feedforward neural networks", AISTATS 2010. Of each batch only a few numbers
are kept, in double precision, so that any number of images fits in memory.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from lenetscope.errors import DataError, LayerError
from lenetscope.observe import BATCH_SIZE, Call, Layers, find_layer, layer_outputs
from lenetscope.plots import style
from lenetscope.progress import Progress, no_progress
from lenetscope.questions import Costs, Part, Question, some_images
from lenetscope.table import Table, column

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lenetscope.inspection import Inspection
    from lenetscope.selection import Selection

SATURATED_TANH, SATURATED_SIGMOID = 0.97, 0.03
"""tanh beyond ±0.97 and sigmoid within 0.03 of 0 or 1 have slopes of less than 6 % and 3 %."""
PAGE_IMAGES = 500
"""Test images that the report measures on."""
UNCHANGING = ("Flatten", "Dropout", "Identity")
"""Kinds of layers that the report leaves out: their outputs are their inputs."""


@dataclass(frozen=True)
class ActivationRow:
    """The outputs of one layer, over all images.

    Attributes:
        layer: name, and call if it ran several times: ``relu:1``.
        kind: class of the layer.
        mean: of all values.
        std: their standard deviation (of the population).
        zeros: fraction of values that are exactly zero.
        dead: units (channels, or elements of a vector) that are zero everywhere in every image.
        saturated: fraction of values at the ends of a bounded activation, see `saturation`; None for
            other layers.
        min, max: of all values.
        norm: Euclidean length of all values of one image, mean over the images.
    """

    layer: str = column()
    kind: str = column()
    mean: float = column("+.3f")
    std: float = column(".3f")
    zeros: float = column(".1%")
    dead: int = column(",d", "dead units")
    saturated: float | None = column(".1%")
    min: float = column("+.3f")
    max: float = column("+.3f")
    norm: float = column(".2f")


def activation_statistics(
    model: nn.Module,
    images: Tensor,
    layers: Layers = None,
    *,
    batch_size: int = BATCH_SIZE,
    progress: Progress = no_progress,
) -> Table[ActivationRow]:
    """Describe the outputs of layers for one image or many.

    >>> model = nn.Sequential(nn.Flatten(), nn.ReLU())
    >>> row = activation_statistics(model, torch.tensor([[[-3.0, 1.0], [0.0, 3.0]]]), "1")[0]
    >>> row.mean, row.zeros, row.dead, row.max
    (1.0, 0.5, 2, 3.0)

    Args:
        model: of one input; it is as before when this returns or raises.
        images: (N, …), as the model takes them, on any device.
        layers: names or patterns, see `find_layers`; None for all that have no layers inside.
        batch_size: images per batch.
        progress: is handed the batches.

    Returns:
        One row per layer (per call of one that ran several times) that returned values, in running
        order.

    Raises:
        LayerError: if there is no such layer, or it returns no real tensor (N, …).
        DataError: if there are no images.
        UsageError: if the model takes several inputs.
    """
    parts: dict[str, list[tuple[list[float], Tensor]]] = {}

    def see(call: Call) -> None:
        values = call.tensor
        if values.ndim == 0 or values.is_complex():
            what = "complex numbers" if values.is_complex() else "one number for all images"
            raise LayerError(f"layer '{call.key}' returns {what}: choose another layer.")
        if values.numel():
            parts.setdefault(call.key, []).append(_sums(call.layer, values))

    layer_outputs(model, images, layers, see, batch_size=batch_size, progress=progress)
    return Table(_row(key, find_layer(model, key)[1], batches) for key, batches in parts.items())


def _sums(layer: nn.Module, values: Tensor) -> tuple[list[float], Tensor]:
    """Return nine numbers of a batch, and (units,) whether a unit is anywhere not zero."""
    flat = values.reshape(len(values), -1)  # (n, D)
    exact = flat.double()
    at_end = saturation(layer, flat)
    saturated = math.nan if at_end is None else at_end.sum()
    counts = len(flat), flat.numel(), flat.numel() - flat.count_nonzero(), saturated
    sizes = *torch.var_mean(exact, correction=0), *flat.aminmax(), exact.norm(dim=1).sum()
    units = values.shape[1] if values.ndim > 1 else 1
    return [float(n) for n in (*counts, *sizes)], flat.any(dim=0).reshape(units, -1).any(dim=1)


def _row(name: str, layer: nn.Module, batches: Sequence[tuple[list[float], Tensor]]) -> ActivationRow:
    numbers = np.array([numbers for numbers, _ in batches]).T  # (9, batches)
    images, counts, zeros, saturated, variances, means, lows, highs, norms = numbers
    count = counts.sum()
    mean = (counts * means).sum() / count
    # differences are squared, because differences of squares lose all digits where the mean is large
    variance = (counts * (variances + (means - mean) ** 2)).sum() / count
    active = torch.stack([active for _, active in batches]).any(dim=0)  # (units,)
    return ActivationRow(
        layer=name,
        kind=type(layer).__name__,
        mean=float(mean),
        std=float(variance**0.5),
        zeros=float(zeros.sum() / count),
        dead=int((~active).sum()),
        saturated=None if np.isnan(saturated).any() else float(saturated.sum() / count),
        min=float(lows.min()),
        max=float(highs.max()),
        norm=float(norms.sum() / images.sum()),
    )


def saturation(layer: nn.Module, values: Tensor) -> Tensor | None:
    """Return which outputs of a bounded activation are at its ends, where gradients are small.

    Tanh and softsign: beyond ±0.97. Sigmoid: below 0.03 or above 0.97. Hardtanh: at its lowest or
    highest value. ReLU6: at 6. Hardsigmoid: at 0 or 1.

    Returns:
        Booleans of the shape of ``values``; None for layers that have no upper end, such as ReLU.
    """
    if isinstance(layer, (nn.Tanh, nn.Softsign)):
        return values.abs() > SATURATED_TANH
    if isinstance(layer, nn.Sigmoid):
        return (values < SATURATED_SIGMOID) | (values > 1 - SATURATED_SIGMOID)
    if isinstance(layer, nn.ReLU6):
        return values >= 6
    if isinstance(layer, nn.Hardtanh):
        return (values <= layer.min_val) | (values >= layer.max_val)
    if isinstance(layer, nn.Hardsigmoid):
        return (values <= 0) | (values >= 1)
    return None


def plot_activations(rows: Sequence[ActivationRow], **figure_options: Any) -> "Figure":
    """Draw range, spread and mean of each layer's outputs, and the fractions of zeros and saturation.

    Args:
        rows: the answer of `activation_statistics`; the first is drawn at the top.
        figure_options: go to `matplotlib.figure.Figure`.

    Raises:
        DataError: if there are no rows.
    """
    if not rows:
        raise DataError("there is nothing to draw: no layer has run.")
    height = min(style.MAX_SIDE, 0.32 * len(rows) + 1.5)
    with style.new_figure(figure_options, (8.0, height)) as figure:
        left, right = figure.subplots(1, 2, sharey=True, gridspec_kw={"width_ratios": (3, 2)})
        places = range(len(rows))
        extremes = [row.min for row in rows], [row.max for row in rows]
        left.hlines(places, *extremes, color="#999999", linewidth=2, label="minimum to maximum")
        left.barh(
            places, [2 * row.std for row in rows], left=[row.mean - row.std for row in rows],
            height=0.5, color=style.TRAIN, alpha=0.75, label="mean ± standard deviation",
        )  # fmt: skip
        dots = {"linestyle": "", "marker": "o", "markersize": 5, "color": style.INK}
        left.plot([row.mean for row in rows], places, label="mean", **dots)
        left.axvline(0, color=style.INK, linewidth=0.6, zorder=0)
        for name, colour, shift in (("zeros", style.TRAIN, -0.15), ("saturated", style.VALID, 0.15)):
            _draw_fractions(right, rows, name, colour, shift)
        left.set_yticks(places, [f"{row.layer}  ({row.kind})" for row in rows])
        left.set(ylim=(len(rows) - 0.5, -0.5), xlabel="output", title="size")
        right.set(xlim=(0, 100), xlabel="% of outputs", title="zeros and saturation")
        for ax in (left, right):
            ax.tick_params(axis="y", length=0)
            style.grid(ax, "x")
        figure.legend(loc="outside lower center", ncols=5, fontsize=9)
    return figure


def _draw_fractions(
    ax: "Axes", rows: Sequence[ActivationRow], name: str, colour: str, shift: float
) -> None:
    shown = [place for place, row in enumerate(rows) if getattr(row, name) is not None]
    # two bars share the line of a layer that can saturate
    two = np.array([rows[place].saturated is not None for place in shown])
    places, heights = np.array(shown) + shift * two, np.where(two, 0.28, 0.5)
    percents = [100 * getattr(rows[place], name) for place in shown]
    if shown:
        ax.barh(places, percents, height=heights, color=colour, alpha=0.75, label=name)
    for place, percent in zip(places, percents, strict=True):
        ax.text(min(percent, 84) + 1.5, place, f"{percent:.1f}", va="center", fontsize=8)


def _figures(inspection: "Inspection", selection: "Selection") -> "Iterator[tuple[str, Figure]]":
    images = inspection.images if selection.labels else inspection.prepared(selection.pixels)
    rows = activation_statistics(
        inspection.model, images, selection.layers, progress=inspection.progress
    )
    yield "activations", plot_activations(rows)


PAGE = """
<p class="say">The outputs of each layer for {{ some }}. A unit that is zero for all of them counts as
dead: for these images it contributes nothing. Many dead units after a ReLU can be due to a learning
rate that was too high.</p>
{{ rows | scrolling("Statistics of the layers") }}
"""


def _part(inspection: "Inspection") -> Part:
    images = inspection.images[inspection.sample(PAGE_IMAGES)]
    rows = activation_statistics(inspection.model, images, progress=inspection.progress)
    shown = Table(row for row in rows if row.kind not in UNCHANGING)
    return Part.of(PAGE, some=some_images(len(images), len(inspection.labels)), rows=shown)


Question(
    "activations",
    summary="How large the outputs of each layer are, how many are zero, how many saturated.",
    figures=_figures,
    part=_part,
    chapter="training",
    heading="Outputs of the layers",
    place=50,
    costs=Costs(0.3, 0.3, 7),
).register()
