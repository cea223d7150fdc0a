"""Ablation: the errors a network makes when one of its units is switched off.

After A. Morcos et al., "On the importance of single directions for generalization",
arXiv:1803.06959, 2018. In one pass a batch is repeated behind the layer, once per unit, each copy
without that unit; what comes before the layer runs once for all of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from lenetscope.errors import DataError, LayerError
from lenetscope.evaluation.outputs import require_labels, require_logits
from lenetscope.observe import (
    BATCH_SIZE,
    Call,
    Layers,
    batches,
    find_layers,
    layer_outputs,
    observe,
    require_one_of,
    require_units,
)
from lenetscope.plots import style
from lenetscope.progress import Progress, no_progress
from lenetscope.questions import Costs, Part, Question, some_images
from lenetscope.questions.filters import CONVOLUTIONS
from lenetscope.table import ShowsRows, Table, column

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lenetscope.inspection import Inspection
    from lenetscope.selection import Selection

Fill = Literal["zero", "mean"]

COPIES = 10
"""Units that are switched off in one pass: what comes before the layer costs a tenth then."""
SHOWN = 32
"""Units that are drawn at most: those with the most errors."""
CHANCE = 6
"""Errors added from which a unit is told apart from chance: of six images on which two equally good
networks differ, all six speak against the same one in 1 of 32 cases (sign test, both sides)."""
PAGE_IMAGES, PAGE_UNITS, PAGE_CLASSES = 1000, 128, 12
"""Test images that the report counts on; units and classes beyond which it leaves the figure out."""


@dataclass(frozen=True)
class AblationRow:
    """The network without one unit.

    Attributes:
        layer: name, and call.
        unit: number of the channel or element.
        errors: that the network makes without it.
        added: how many more these are than with all units; negative if there are fewer.
        accuracy_drop: the same as a fraction of all images.
        worst_class: class that gains the most errors; None if no class gains any.
        worst_added: errors added to this class, as a fraction of its images.
    """

    layer: str = column()
    unit: int = column("d")
    errors: int = column(",d")
    added: int = column("+,d", "errors added")
    accuracy_drop: float = column("+.2%", "accuracy lost")
    worst_class: int | None = column("d", "worst class")
    worst_added: float = column("+.1%", "of its images")


@dataclass(frozen=True)
class Ablation(ShowsRows):
    """Errors without each unit.

    Attributes:
        errors: by layer, (units, K) int64, errors of each true class without the unit.
        baseline: (K,) int64, errors of each class with all units.
        totals: (K,) int64, images of each class.
    """

    errors: dict[str, Tensor]
    baseline: Tensor
    totals: Tensor

    def added(self, layer: str) -> Tensor:
        """Return errors added as a fraction of each class's images, (units, K); NaN without images."""
        return (self.errors[layer] - self.baseline).double() / self.totals

    @property
    def rows(self) -> Table[AblationRow]:
        """One row per unit, most errors first; in the order of layers and units where equal."""
        rows, images, made = [], int(self.totals.sum()), int(self.baseline.sum())
        for layer, errors in self.errors.items():
            most, worst = self.added(layer).nan_to_num(0).max(dim=1)  # (units,)
            given = zip(errors.sum(dim=1).tolist(), most.tolist(), worst.tolist(), strict=True)
            for unit, (count, gained, label) in enumerate(given):
                added, name = count - made, label if gained > 0 else None
                rows.append(
                    AblationRow(layer, unit, count, added, added / images, name, max(gained, 0.0))
                )
        return Table(sorted(rows, key=lambda row: -row.errors))


def ablate(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    layers: Layers = None,
    *,
    fill: Fill = "zero",
    batch_size: int = BATCH_SIZE,
    progress: Progress = no_progress,
) -> Ablation:
    """Switch off each unit of some layers, one at a time, and count errors.

    Args:
        model: of one input, that returns logits (N, K); it is as before when this returns or raises.
        images: (N, …), as the model takes them, on any device.
        labels: (N,) int64.
        layers: names or patterns, see `find_layers`; None for all convolutions.
        fill: what replaces the output of a unit: ``"zero"``, or ``"mean"``, its mean over the images,
            place by place. A unit that is zero most of the time loses little by zero; one that is
            constant loses nothing by its mean.
        batch_size: images per batch, repetitions included.
        progress: is handed the layers and batches.

    Raises:
        LayerError: if there is no such layer, no convolution, or no units in it.
        DataError: if labels do not fit the images or the classes.
        UsageError: if the model does not return logits (N, K), or ``fill`` is neither of the two.
    """
    require_one_of("fill", fill, get_args(Fill))
    named = find_layers(model, layers)
    keys = [k for k, layer in named.items() if layers is not None or isinstance(layer, CONVOLUTIONS)]
    if not keys:
        raise LayerError("the model has no convolution: name the layers whose units are switched off.")
    seen = images if fill == "mean" else images[:1]
    off = {key: _mean_output(model, seen, key, batch_size) for key in keys}
    if fill == "zero":
        off = {key: torch.zeros_like(mean) for key, mean in off.items()}
    some = images[: max(1, batch_size // COPIES)]
    classes = _logits(model, some, keys[0], torch.tensor([-1]), off[keys[0]]).shape[2]
    true = require_labels(labels, len(images), classes)
    copies = {key: _copies(model, some, key, off[key]) for key in keys}
    sizes = {key: max(1, batch_size // copies[key]) for key in keys}
    errors: dict[str, Tensor] = {}
    for key, first in progress([(k, start) for k in keys for start in range(0, len(images), sizes[k])]):
        batch, expected = (values[first : first + sizes[key]] for values in (images, true))
        wrong = [
            _logits(model, batch, key, units, off[key]).argmax(dim=2).cpu() != expected
            for units in torch.split(torch.arange(-1, len(off[key])), copies[key])
        ]  # -1 is the network with all units
        counts = torch.cat(wrong).long() @ nn.functional.one_hot(expected, classes)
        errors[key] = errors.get(key, 0) + counts  # (1 + units, K)
    without = {key: counts[1:] for key, counts in errors.items()}
    return Ablation(without, errors[keys[0]][0], true.bincount(minlength=classes))


def _mean_output(model: nn.Module, images: Tensor, key: str, batch_size: int) -> Tensor:
    """Return the mean output of a layer over the images, (units, …)."""
    sums: list[Tensor] = []

    def add(call: Call) -> None:
        if call.key == key:
            total = require_units(call).double().sum(dim=0)
            sums[:] = [sums[0] + total if sums else total]

    layer_outputs(model, images, [key], add, batch_size=batch_size)
    return sums[0] / len(images)


def _copies(model: nn.Module, images: Tensor, key: str, off: Tensor) -> int:
    """Return how often a batch can be repeated behind a layer: once if that changes the logits.

    It does where later layers need the batch as it was, as behind a shortcut around the layer, or
    where they mix its images.
    """
    units = torch.arange(-1, len(off))[:COPIES]
    alone = torch.cat([_logits(model, images, key, unit, off) for unit in torch.split(units, 1)])
    try:
        together = _logits(model, images, key, units, off)
    except Exception:  # noqa: BLE001  # whatever it is, it is due to the repetition
        return 1
    # sums are rounded otherwise in a larger batch, by less than a thousandth
    bound = 1e-3 * alone.abs().max()
    same = together.shape == alone.shape and (together - alone).abs().max() <= bound
    return COPIES if same else 1


def _logits(model: nn.Module, images: Tensor, key: str, units: Tensor, off: Tensor) -> Tensor:
    """Return the logits (units, n, K) without each of some units; of unit -1, with all of them."""

    def switch_off(call: Call) -> Any:
        if call.key != key:
            return None
        changed = torch.cat([call.tensor] * len(units))  # (units * n, units of the layer, …)
        for copy, unit in zip(changed.chunk(len(units)), units.tolist(), strict=True):
            if unit >= 0:
                copy[:, unit] = off[unit].to(copy.dtype)
        if isinstance(call.outputs, Tensor):
            return changed
        return type(call.outputs)([changed, *call.outputs[1:]])

    (batch,) = batches(model, images, len(images))
    with observe(model, [key], switch_off, mode="eval"), torch.no_grad():
        logits = require_logits(model(batch))
    return logits.reshape(len(units), -1, logits.shape[1])


def plot_ablation(
    found: Ablation, layer: str, classes: Sequence[str], **figure_options: Any
) -> "Figure":
    """Draw the errors added without each unit, most first, and the classes that they were added to.

    All are counts of images. Bars of fewer than `CHANCE` are grey, and the colours of the cells reach
    at least as far, so that a single error looks like one.

    Args:
        found: the answer of `ablate`.
        layer: whose units are drawn.
        classes: K names.
        figure_options: go to `matplotlib.figure.Figure`.

    Raises:
        DataError: if there are not K names.
    """
    if len(classes) != len(found.baseline):
        raise DataError(f"there are {len(found.baseline)} classes, and {len(classes)} names for them.")
    errors, made = found.errors[layer].sum(dim=1).numpy(), int(found.baseline.sum())  # (units,)
    added = errors - made
    order = np.argsort(-added, kind="stable")[:SHOWN]
    by_class = (found.errors[layer] - found.baseline).numpy()[order]  # (shown, K)
    norm = style.colour_scale(np.append(by_class, CHANCE), signed=True)
    size = (3.4 + 0.38 * len(classes), 0.21 * len(order) + 1.7)
    with style.new_figure(figure_options, size) as figure:
        left, right = figure.subplots(
            1, 2, sharey=True, gridspec_kw={"width_ratios": (2.4, 0.36 * len(classes))}
        )
        looks = {1: style.WRONG, 0: "#999999", -1: style.TRAIN}
        colours = [looks[int(np.sign(value)) * (abs(value) >= CHANCE)] for value in added[order]]
        left.barh(range(len(order)), added[order], color=colours, height=0.75)
        low, high = left.get_xlim()
        left.set_xlim(min(low, -CHANCE / 2), max(high, CHANCE))
        left.axvline(0, color=style.INK, linewidth=0.6)
        left.set_yticks(range(len(order)), [str(unit) for unit in order], fontsize=9)
        left.set(ylabel="unit switched off", ylim=(len(order) - 0.5, -0.5))
        left.set_xlabel(f"errors added\n(grey: below {CHANCE}, may be chance)")
        left.set_title("all classes")
        left.tick_params(axis="y", length=0)
        style.whole_numbers(left.xaxis)
        style.grid(left, "x")
        right.imshow(by_class, cmap=style.SIGNED, norm=norm, aspect="auto")
        for place, k in np.argwhere(by_class).tolist():
            count = int(by_class[place, k])
            colour = "white" if abs(norm(count) - 0.5) > 0.3 else style.INK
            right.text(k, place, f"{count:+d}", color=colour, fontsize=9, ha="center", va="center")
        right.set_xticks(range(len(classes)), classes, rotation=45 if max(map(len, classes)) > 3 else 0)
        right.tick_params(length=0)
        right.tick_params(axis="y", labelleft=False)
        few, many = int(found.totals.min()), int(found.totals.max())
        each = f"{few:,}" if few == many else f"{few:,} to {many:,}"
        right.set(xlabel=f"true class\n({each} images each)", title="by class")
        right.spines[:].set_visible(False)
        style.colour_bar(right, norm, style.SIGNED, "errors added")
        which = f"{len(order)} of {len(errors)}" if len(order) < len(errors) else f"{len(errors)}"
        images = f"with all units {made} errors in {int(found.totals.sum()):,} images"
        figure.suptitle(f"{layer}: {which} units, most errors first\n{images}", fontsize=11)
    return figure


def _figures(inspection: "Inspection", selection: "Selection") -> "Iterator[tuple[str, Figure]]":
    layers = selection.layers or inspection.convolutions
    if not layers:
        return
    found = ablate(
        inspection.model, inspection.images, inspection.labels, layers, progress=inspection.progress
    )
    for layer in found.errors:
        yield f"ablation-{layer}", plot_ablation(found, layer, inspection.classes)


PAGE = """
<p class="say">Each unit of {{ layer }} was switched off by itself, and the errors on {{ some }} were
counted again. Fewer than {{ chance }} errors more or less may be chance. A unit without which no errors
are added is not needed by itself: it may be useless, or other units may do the same work.</p>
<figure>{{ figure | inline("ablation", "errors added without each unit of " ~ layer ~ ", by class")
| scrolling("Errors without a unit") }}</figure>
"""


def _part(inspection: "Inspection") -> Part:
    if not inspection.convolutions:
        raise LayerError("this network has no convolution.")
    layer = inspection.convolutions[-1]
    units = next(row.shape[0] for row in inspection.layers if row.name == layer)
    if units > PAGE_UNITS or len(inspection.classes) > PAGE_CLASSES:
        raise LayerError(
            f"{layer} has {units} units and there are {len(inspection.classes)} classes: too many for "
            "one figure. lenetscope inspect --what ablation draws it."
        )
    rows = inspection.sample(PAGE_IMAGES)
    images, labels = inspection.images[rows], inspection.labels[rows]
    found = ablate(inspection.model, images, labels, layer, progress=inspection.progress)
    figure = plot_ablation(found, layer, inspection.classes)
    some = some_images(len(rows), len(inspection.labels))
    return Part.of(PAGE, layer=layer, some=some, chance=CHANCE, figure=figure)


Question(
    "ablation",
    summary="Which errors are added when a unit is switched off, for each unit.",
    figures=_figures,
    part=_part,
    heading="Ablation: the network without one unit",
    place=50,
    costs=Costs(2.6, 0, 57),
).register()
