"""Whether every layer of a network works: dead units, gradients, and the size of the steps.

After X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural
networks", AISTATS 2010 (gradients per layer), L. Lu et al., "Dying ReLU and initialization", 2019,
arXiv:1903.06733, and A. Karpathy, CS231n notes "Neural networks part 3" (update ratios).
"""

import math
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from lenetscope.arguments import main_output
from lenetscope.errors import DataError, LayerError, UsageError
from lenetscope.evaluation.outputs import loss_of
from lenetscope.observe import (
    BATCH_SIZE,
    Call,
    batches,
    find_layers,
    layer_outputs,
    observe,
    require_units,
)
from lenetscope.plots import style
from lenetscope.progress import Progress, no_progress
from lenetscope.questions import Costs, Part, Question, some_images, spread
from lenetscope.questions.filters import CONVOLUTIONS
from lenetscope.restore import restored
from lenetscope.table import Table, column

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lenetscope.inspection import Inspection
    from lenetscope.selection import Selection

PAGE_IMAGES, PAGE_EPOCHS = 1000, 6  # in the report, at most
RARE = 0.01
"""Fraction of images below which a unit is rarely active: with ten classes, a tenth of one class."""
ENOUGH = 300
"""Images below which no unit is called dead: active on none of 300 is less than 1 %, 95 % confident."""
GRADIENT_IMAGES = 500
"""Images of whose mean loss the gradients are at most, evenly spaced."""
DEAD = 0.1
"""Fraction of dead units in a layer above which there is a warning. Three runs of the reference network
(recipe reference, 15 epochs, MNIST's 10,000 test images) had at most 2 of 128; a learning rate far too
high can kill 40 % (CS231n notes, "Neural networks part 1")."""
RARE_OR_DEAD = 0.25
"""The same for dead and rarely active units together, of which these runs had at most 7 of 128."""
DEAD_UNTRAINED = 0.4
"""As DEAD, before training: of 12 seeds of the reference network, 10 to 29 of the 128 units of fc1 were
zero for 1,000 test images, and recovered."""
GRADIENT_RATIO = 1e3
"""Factor by which the gradients of two layers may differ: five sigmoids, each with a slope of at most
1/4, make it a thousand times smaller."""
SMALLEST_UPDATE, LARGEST_UPDATE = 1e-5, 1e-1
"""‖ΔW‖ / ‖W‖ of one step: two powers of ten around the usual 1e-3 (CS231n notes, "Neural networks part
3"). At the lower end 10,000 steps in one direction would move the weights by a tenth of their norm."""

ACTIVATIONS = (
    nn.CELU, nn.ELU, nn.GELU, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh, nn.LeakyReLU, nn.LogSigmoid,
    nn.Mish, nn.PReLU, nn.ReLU, nn.RReLU, nn.SELU, nn.Sigmoid, nn.SiLU, nn.Softplus, nn.Softsign,
    nn.Tanh, nn.Threshold,
)  # fmt: skip
"""Modules that compute one number from one number. ReLU6 is a kind of Hardtanh."""
UNITS_LAST = (nn.Linear, nn.Bilinear, nn.LayerNorm, nn.Embedding, nn.MultiheadAttention)
"""Layers whose units are the last dimension; of all others they are the one after N."""

DIVERGED = "Training has diverged: use a learning rate ten times lower, or clip the gradients."


@dataclass(frozen=True)
class LayerHealth:
    """The state of one layer that has parameters.

    A unit (a channel of a convolution, an element of a vector) is judged by the output of the first
    activation module that runs between its layer and the next convolution or linear layer; without
    one, by the input of that next layer, if the units are still apart there; and where nothing follows,
    by the layer's own outputs. If a layer runs several times per image, each run counts.

    Attributes:
        layer, kind: name and class of the layer.
        judged_by: name of the activation, of the next layer, or of the layer itself.
        units, images: how many of each were judged.
        dead: units that are one and the same number for all images and positions.
        rarely_active: units that are not dead and above zero on less than 1 % of the images; None
            unless zero is the smallest number that any unit returns, as after ReLU.
        norm: Euclidean norm of all units together, mean over images.
        gradient: norm of the gradient of the mean loss with respect to the layer's own parameters; None
            if they are frozen.
        update: ‖ΔW‖ / ‖W‖ of one step, of the layer's largest parameter; None if it is not known.
    """

    layer: str = column()
    kind: str = column()
    judged_by: str = column()
    units: int = column(",d")
    dead: int = column(",d")
    rarely_active: int | None = column(",d", "on < 1 %")
    norm: float = column(".3g", "mean norm")
    gradient: float | None = column(".2e")
    update: float | None = column(".2e", "update / weight")
    images: int = column(",d")


def layer_health(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    loss_fn: Callable[..., Tensor],
    *,
    updates: Mapping[str, float | None] | None = None,
    batch_size: int = BATCH_SIZE,
    progress: Progress = no_progress,
) -> Table[LayerHealth]:
    """Return the health of each layer that has parameters and runs, in running order.

    Args:
        model: of one input; it is judged in evaluation mode, and left as it was.
        images: (N, …), N of at least 2, as the model takes them, on any device.
        labels: (N,), as the loss takes them.
        loss_fn: of (outputs, labels), a mean over the batch.
        updates: by name of a parameter, its update ratio, as `UpdateRow.typical` returns them.
        batch_size: images per batch.
        progress: is handed the batches of the pass without gradients.

    Raises:
        DataError: if there are fewer than two images, not as many labels, or a label is out of range.
        UsageError: if the model takes several inputs, or returns no tensor.
        LayerError: if no layer has parameters, or one returns something other than (N, units, …).
    """
    if len(images) < 2 or len(labels) != len(images):
        raise DataError(f"health needs 2 labelled images or more, not {len(images)} and {len(labels)}.")
    modules = find_layers(model, "*") if any(model.children()) else {}
    names = {module: name for name, module in reversed(modules.items())}  # the first of several names
    layers = {n: m for m, n in names.items() if next(m.parameters(recurse=False), None) is not None}
    if not layers:
        raise LayerError("no layer inside the model has parameters; wrap a layer in nn.Sequential.")
    calls: list[Call] = []
    with observe(model, "*", calls.append, mode="eval"), torch.no_grad():
        model(next(batches(model, images[:2])))
    tallies: dict[str, _Tally] = {}
    judges: dict[str, list[tuple[_Tally, bool]]] = {}
    for place, call in enumerate(calls):
        if call.name in layers:
            tally = tallies.setdefault(call.name, _Tally(call))
            judge, by_inputs = _judge(tally, call, calls[:place], calls[place + 1 :])
            tally.judged_by = tally.judged_by or judge.name
            judges.setdefault(judge.key, []).append((tally, by_inputs))

    def see(call: Call) -> None:
        for tally, by_inputs in judges[call.key]:
            tally.add(call.inputs[0] if by_inputs else call.tensor)

    layer_outputs(model, images, list(judges), see, batch_size=batch_size, progress=progress)
    every = math.ceil(len(images) / GRADIENT_IMAGES)
    gradients = _gradients(model, images[::every], labels[::every], loss_fn, batch_size)
    return Table(tally.row(layers[name], gradients, updates or {}) for name, tally in tallies.items())


class _Tally:
    """What is kept of the units of one layer while images go through."""

    def __init__(self, call: Call) -> None:
        own = require_units(call)
        self.layer, self.judged_by = call.name, ""
        self.dimension = -1 if isinstance(call.layer, UNITS_LAST) else 1
        self.units, self.maps = own.shape[self.dimension], own.ndim > 2 and self.dimension == 1
        self.batches: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []

    def by_unit(self, values: Tensor) -> Tensor | None:
        """Return values as (n, units, positions), or None where they do not keep the units apart."""
        size = values.shape[self.dimension] if values.ndim > 1 else 0
        flattened = self.maps and values.ndim == 2 and size % self.units == 0
        if size != self.units and not flattened:
            return None
        return values.movedim(self.dimension, 1).reshape(len(values), self.units, -1)

    def add(self, values: Tensor) -> None:
        """Add what the units are judged by, for one batch."""
        split = self.by_unit(values)  # (n, units, positions)
        assert split is not None
        high = split.amax(dim=2)  # (n, units)
        norms = torch.linalg.vector_norm(split.float(), dim=(1, 2)).cpu().double()  # (n,)
        self.batches.append((high.amax(dim=0), split.amin(dim=(0, 2)), (high > 0).sum(dim=0), norms))

    def row(
        self, layer: nn.Module, gradients: Mapping[Tensor, Tensor], updates: Mapping[str, float | None]
    ) -> LayerHealth:
        highs, lows, counts, parts = zip(*self.batches, strict=True)
        highest, lowest, norms = torch.stack(highs).amax(0), torch.stack(lows).amin(0), torch.cat(parts)
        rectified, dead = bool(lowest.min() == 0), highest == lowest
        rare = ~dead & (torch.stack(counts).sum(0) < RARE * len(norms))
        own = dict(layer.named_parameters(recurse=False))
        lengths = [float(gradients[p].norm()) for p in own.values() if p in gradients]
        gradient = math.hypot(*lengths) if lengths else None
        update = updates.get(f"{self.layer}.{max(own, key=lambda name: own[name].numel())}")
        what = self.layer, type(layer).__name__, self.judged_by, self.units, int(dead.sum())
        known = int(rare.sum()) if rectified else None, float(norms.mean()), gradient, update
        return LayerHealth(*what, *known, len(norms))


def _judge(tally: _Tally, call: Call, before: list[Call], after: list[Call]) -> tuple[Call, bool]:
    """Return the call, of the layer or after it, that its units are judged by; and if by its inputs."""
    earlier = [*call.inputs, *(each for c in before for each in (*c.inputs, c.outputs))]
    kinds = (*ACTIVATIONS, *CONVOLUTIONS, nn.Linear)
    if later := next((each for each in after if isinstance(each.layer, kinds)), None):
        given = later.inputs[0]
        values = later.tensor if isinstance(later.layer, ACTIVATIONS) else given
        # a tensor that was there before the layer ran comes from another branch
        follows = given is call.tensor or all(given is not each for each in earlier)
        if follows and len(values) == len(call.tensor) and tally.by_unit(values) is not None:
            return later, values is given
    return call, False


def _gradients(
    model: nn.Module, images: Tensor, labels: Tensor, loss_fn: Callable[..., Tensor], batch_size: int
) -> dict[Tensor, Tensor]:
    """Return the gradient of the mean loss with respect to each parameter that is not frozen."""
    sums: dict[Tensor, Tensor] = {p: torch.zeros_like(p) for p in model.parameters() if p.requires_grad}
    with restored(model), torch.enable_grad():
        model.eval()
        for number, batch in enumerate(batches(model, images, batch_size)):
            true = labels[number * batch_size :][: len(batch)].to(batch.device)
            outputs = main_output(model(batch))
            if outputs is None:
                raise UsageError("the model returns no tensor from which a loss could be computed.")
            loss = loss_of(loss_fn, outputs, true) * (len(batch) / len(images))
            found = torch.autograd.grad(loss, list(sums), allow_unused=True) if sums else ()
            for parameter, gradient in zip(sums, found, strict=True):
                if gradient is not None:
                    sums[parameter] += gradient
    return sums


def health_warnings(rows: Sequence[LayerHealth], *, trained: bool = True) -> list[str]:
    """Say what is wrong, one text per problem, and how to mend it.

    Args:
        rows: of `layer_health`, in the order in which the layers run.
        trained: False for a network before training, of which more units may be dead.
    """
    texts = [text for row in rows for text in _layer_warnings(row, trained)]
    if any((row.dead or row.rarely_active) and row.images < ENOUGH for row in rows):
        texts.append(f"{rows[0].images} images are too few to tell whether a unit is dead.")
    return [*texts, *_gradient_warnings(rows)]


def _layer_warnings(row: LayerHealth, trained: bool) -> Iterator[str]:
    def units(count: int) -> str:
        kind = "filters" if row.kind.startswith("Conv") else "units"
        return f"{row.layer}: {count:,} of {row.units:,} {kind} are"

    images, rare, enough = f"{row.images:,} images", row.rarely_active, row.images >= ENOUGH
    if not math.isfinite(row.norm):
        yield f"{row.layer}: its outputs are not finite. {DIVERGED}"
    elif enough and row.dead > (DEAD if trained else DEAD_UNTRAINED) * row.units:
        change = "Lower the learning rate, warm it up, or try another seed; a leaky ReLU cannot die."
        look = "Look at the layers before, and at the initial weights."
        yield (
            f"{units(row.dead)} one and the same number for all {images}, whatever they show. {look}"
            if rare is None
            else f"{units(row.dead)} zero for all {images}, and learn nothing while they are. {change}"
        )
    elif enough and trained and rare is not None and row.dead + rare > RARE_OR_DEAD * row.units:
        yield (
            f"{units(row.dead + rare)} active on less than 1 % of {images}. The layer may be larger "
            "than necessary, or the learning rate too high."
        )
    if row.update is not None and not SMALLEST_UPDATE <= row.update <= LARGEST_UPDATE:
        high = row.update > LARGEST_UPDATE
        advice = "Lower the learning rate" if high else "Raise the learning rate, or stop training"
        size = f"{row.update:.1e} of their norm (usual is 1e-3)"
        yield f"{row.layer}: one step changes the weights by {size}. {advice}."


def _gradient_warnings(rows: Sequence[LayerHealth]) -> Iterator[str]:
    known = {row.layer: row.gradient for row in rows if row.gradient is not None}
    if broken := [layer for layer, norm in known.items() if not math.isfinite(norm)]:
        yield f"{', '.join(broken)}: the gradient is not finite. {DIVERGED}"
        return
    if zero := [layer for layer, norm in known.items() if norm == 0]:
        yield (
            f"{', '.join(zero)}: the gradient is zero, so nothing is learned. A later layer may be "
            "dead, or all its weights zero: start from random weights."
        )
    flowing = sorted((norm, place, layer) for place, (layer, norm) in enumerate(known.items()) if norm)
    if flowing and flowing[-1][0] > GRADIENT_RATIO * flowing[0][0]:
        (least, early, small), (most, late, large) = flowing[0], flowing[-1]
        change, advice = (
            ("vanishes", "Use ReLU, batch normalisation, shortcuts, or larger initial weights")
            if early < late
            else ("explodes", "Use batch normalisation, smaller initial weights, or clip the gradients")
        )
        yield (
            f"the gradient of {small} is {most / least:,.0f} times smaller than that of {large}: it "
            f"{change} on the way back to the first layers. {advice}."
        )


def plot_health(tables: Mapping[int, Table[LayerHealth]], **figure_options: Any) -> "Figure":
    """Draw dead units, norms, gradients and update ratios over the epochs, with one line per layer.

    Args:
        tables: the answer of `layer_health` for each of some epochs, with the same layers.
        figure_options: go to `matplotlib.figure.Figure`.
    """
    names = [row.layer for row in next(iter(tables.values()))]

    def values(name: str) -> style.Array:
        return np.array([[getattr(r, name) for r in rows] for rows in tables.values()], dtype=float)

    panels = {
        "dead units (%)": 100 * values("dead") / values("units"),
        "mean norm of the outputs": values("norm"),
        "norm of the gradient": values("gradient"),
        "update / weight, one step": values("update"),
    }
    colours, sizes = style.gradation(len(names)), np.linspace(9, 4, len(names))
    with style.new_figure(figure_options, (6.5, 4.8 + 0.055 * len(names))) as figure:
        axes = figure.subplots(2, 2, sharex=True).flatten()
        for ax, (title, lines) in zip(axes, panels.items(), strict=True):
            for k, name in enumerate(names):  # markers of several sizes do not hide one another
                look = {"color": colours[k], "marker": "osD^vP"[k % 6], "markersize": sizes[k]}
                ax.plot(list(tables), lines[:, k], label=name, **look)
            ax.set_title(title)
            style.grid(ax)
            style.whole_numbers(ax.xaxis)
            if ax is not axes[0]:
                style.logarithmic(ax)
        top = max(10.0, np.nanmax(panels["dead units (%)"]))
        axes[0].set_ylim(-0.04 * top, 1.1 * top)
        low, high = axes[3].get_ylim()
        for edge, far in ((SMALLEST_UPDATE, low), (LARGEST_UPDATE, high)):
            if low < edge < high:
                axes[3].axhspan(edge, far, color=style.WRONG, alpha=0.12, linewidth=0)
        axes[3].set_ylim(low, high)
        figure.supxlabel("epoch", fontsize=10)
        figure.legend(handles=axes[0].get_lines(), loc="outside upper center", ncols=4)
    return figure


def _tables(
    inspection: "Inspection", rows: Any, epochs: Sequence[int]
) -> tuple[dict[int, Any], list[str]]:
    """Judge the layers after some epochs by some of the test images."""
    updates = {row.epoch: row.typical() for row in inspection.run.updates()}
    data = inspection.images[rows], inspection.labels[rows], inspection.arch.loss_fn
    tables = {
        epoch: layer_health(inspection.model_at(epoch), *data, updates=updates.get(epoch))
        for epoch in inspection.progress(epochs)
    }
    warnings = health_warnings(tables[epochs[-1]], trained=epochs[-1] > 0)
    return tables, warnings or ["No warnings."]


def _figures(inspection: "Inspection", _selection: "Selection") -> "Iterator[tuple[str, Figure]]":
    tables, warnings = _tables(inspection, slice(None), inspection.snapshot_epochs)
    figure = plot_health(tables)
    figure.supxlabel("\n".join(textwrap.fill(e, 95) for e in ("epoch", "", *warnings)), fontsize=10)
    yield "health", figure


PAGE = """
<p class="say">Measured on {{ some }}. A unit is dead if it returns the same number, after ReLU zero,
for all of these. As a rule of thumb, one step changes weights by about 0.1 % of their norm, and
gradients differ less than a thousandfold from layer to layer; there is a warning where they are far
from that.</p>
<ul class="warnings">{% for text in warnings %}<li>{{ text }}</li>{% endfor %}</ul><figure>{{ figure
| inline("health", "dead units, norms, gradients and size of the steps, by layer and epoch")
| scrolling("Health of the layers over the epochs") }}</figure>
"""


def _part(inspection: "Inspection") -> Part:
    rows = inspection.sample(PAGE_IMAGES)
    tables, warnings = _tables(inspection, rows, spread(inspection.snapshot_epochs, PAGE_EPOCHS))
    some, figure = (
        some_images(len(rows), len(inspection.labels)),
        plot_health(tables, figsize=(4.8, 5.0)),
    )
    return Part.of(PAGE, some=some, warnings=warnings, figure=figure)


Question(
    "health",
    summary="Whether layers stayed healthy during training: dead units, gradients, size of the steps.",
    figures=_figures,
    part=_part,
    chapter="training",
    heading="Did training stay healthy?",
    place=40,
    costs=Costs(1.6, 1.6, 17),
).register()
