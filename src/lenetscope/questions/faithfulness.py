"""Faithfulness: whether attributions show what the network uses.

Deletion removes the pixels of an image, most important first, and records how the probability of the
class falls; insertion adds them to the baseline. The areas under these curves measure the attributions
(V. Petsiuk et al., "RISE", arXiv:1806.07421, 2018; here insertion begins with the baseline, too, not
with a blurred image). They are compared with two orders that know nothing of the network:
**chance**, all pixels in random order, and **ink**, the pixels farthest from the baseline first. As
most pixels of handwriting are background, which cannot matter, any map that finds the ink beats chance;
only one that beats ink says something about the network.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lenetscope.errors import DataError, UsageError
from lenetscope.evaluation.outputs import Target, chosen_classes, model_outputs, require_logits
from lenetscope.evaluation.scores import Z_95
from lenetscope.observe import BATCH_SIZE, require_images
from lenetscope.plots import style
from lenetscope.progress import Progress, no_progress
from lenetscope.questions import Costs, Part, Question, some_images
from lenetscope.questions.attribution import (
    PAGE_POINTS,
    Attribution,
    Baseline,
    attribute,
    baseline_of,
    methods_for,
)
from lenetscope.restore import device_of, restored
from lenetscope.table import ShowsRows, Table, column

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lenetscope.inspection import Inspection
    from lenetscope.selection import Selection

Map = Attribution | Tensor

JUDGED = 200
"""Test images that the methods are compared on."""
PAGE_IMAGES, PAGE_ORDERS, PAGE_STEPS = 50, 1, 14
"""The same for the report; random orders of each kind, and steps, there."""
CONTROLS: dict[str, Any] = {"ink": ("#666666", (0, (1, 1.2))), "chance": ("#999999", (0, (5, 2)))}
"""Orders that know nothing of the network: their colours and dashes."""
LINES: list[tuple[str, Any]] = [
    *((style.TRAIN, "-"), (style.VALID, "-"), (style.INK, "-"), (style.WRONG, (0, (6, 1, 1, 1)))),
    *((style.TRAIN, (0, (2, 1))), (style.VALID, (0, (2, 1)))),
]
"""Colours and dashes of the methods."""


@dataclass(frozen=True)
class FaithfulnessRow:
    """One method over all images: mean areas from 0 to 1, and what follows from them.

    The area of deletion should be small, that of insertion large. A method beats chance or ink on an
    image if it is better in both.
    """

    method: str = column()
    deletion: float = column(".3f", "deletion area")
    insertion: float = column(".3f", "insertion area")
    beats_chance: float | None = column(".0%", "beat chance")
    beats_ink: float | None = column(".0%", "beat ink")
    verdict: str = column()


@dataclass(frozen=True)
class Faithfulness(ShowsRows):
    """Deletion and insertion curves of several methods on the same images.

    Attributes:
        fractions: (S+1,) of the pixels removed or added, from 0 to 1.
        deletion: by method, and ``"ink"`` and ``"chance"``, (N, S+1): the probability of the class,
            for the two a mean over random orders.
        insertion: likewise.
        target: (N,) int64, the classes.
    """

    fractions: Tensor
    deletion: dict[str, Tensor]
    insertion: dict[str, Tensor]
    target: Tensor

    def area(self, curves: Tensor) -> Tensor:
        """Return the area under curves (…, S+1), by trapezoids, (…) in [0, 1]."""
        return torch.trapezoid(curves, self.fractions, dim=-1)

    def gains(self, method: str, than: str = "chance") -> Tensor:
        """Return by how much the areas of a method are better than those of another, (N, 2).

        Args:
            method: a name in ``deletion``.
            than: another, such as ``"chance"`` or ``"ink"``.

        Returns:
            For each image the gain in deletion and in insertion, positive where ``method`` is better.
        """
        deletion = self.area(self.deletion[than] - self.deletion[method])
        insertion = self.area(self.insertion[method] - self.insertion[than])
        return torch.stack([deletion, insertion], dim=1)

    def verdict(self, method: str) -> str:
        """Say whether a method is faithful: better than chance and than ink on most of the images.

        Most are more than half by two standard errors of a coin that is tossed as often; of four images
        or fewer, all.
        """
        chance, ink = (_on_most(self.gains(method, than)) for than in ("chance", "ink"))
        if all(chance):
            return "faithful" if all(ink) else "no better than ink"
        if any(chance):
            return f"better than chance in {'deletion' if chance[0] else 'insertion'} only"
        return "no better than chance"

    def beats(self, method: str, than: str) -> float | None:
        """Return the fraction of images on which a method is better in both; None for chance itself."""
        if method in ("chance", than):
            return None
        return (self.gains(method, than) > 0).all(dim=1).double().mean().item()

    @property
    def rows(self) -> Table[FaithfulnessRow]:
        """One row per method, and one each for ink and chance."""
        return Table(
            FaithfulnessRow(
                method=name,
                deletion=self.area(self.deletion[name]).mean().item(),
                insertion=self.area(self.insertion[name]).mean().item(),
                beats_chance=self.beats(name, "chance"),
                beats_ink=self.beats(name, "ink"),
                verdict="-" if name in CONTROLS else self.verdict(name),
            )
            for name in self.deletion
        )


def deletion_insertion(
    model: nn.Module,
    images: Tensor,
    maps: Mapping[str, Map],
    target: Target = None,
    *,
    baseline: Baseline = None,
    steps: int = 28,
    random_orders: int = 5,
    seed: int = 0,
    batch_size: int = BATCH_SIZE,
    progress: Progress = no_progress,
) -> Faithfulness:
    """Remove and add pixels by importance, and record the probability of the class.

    An image goes through the model ``2 * (steps + 1) * (methods + 2 * random_orders)`` times.

    Args:
        model: of one input, that returns logits (N, K); it is as before when this returns or raises.
        images: (N, C, H, W) float, as the model takes them, on any device.
        maps: by name, what `attribute` returned, or (N, H, W). Negative values come last. Equal values
            come in random order, the same for every image.
        target: see `chosen_classes`; None for that of the maps, if they have one.
        baseline: what a pixel is set to when it is removed, see `baseline_of`.
        steps: number of times that pixels are removed, each time H*W/steps of them.
        random_orders: number of random orders of each kind, of which the mean is taken.
        seed: of the random orders.
        batch_size: images per batch.
        progress: is handed the batches.

    Raises:
        DataError: if maps do not fit the images, or were made for different classes.
        UsageError: if an option is out of range, or there are no logits.
    """
    require_images(model, images, 4)
    logits = require_logits(model_outputs(model, images, batch_size))  # (N, K)
    count = images.shape[2] * images.shape[3]
    if not 1 <= steps <= count or random_orders < 1:
        raise UsageError(f"steps must be 1 to {count} and random_orders at least 1.")
    if not maps or maps.keys() & CONTROLS.keys():
        raise UsageError("give maps by name, and none the name 'ink' or 'chance'.")
    classes = _classes(logits, maps, target)
    values = [_fitting(name, each, images) for name, each in maps.items()]  # (N, H*W) each
    start = baseline_of(images, baseline)
    taken = [round(i * count / steps) for i in range(steps + 1)]
    generator = torch.Generator().manual_seed(seed)
    shuffled = [torch.randperm(count, generator=generator) for _ in range(random_orders)]
    parts = []
    with restored(model), torch.no_grad():
        model.eval()
        for first in progress(range(0, len(images), batch_size)):
            rows = slice(first, first + batch_size)
            batch, base = (x[rows].to(device_of(model)) for x in (images, start))
            ink = (batch - base).abs().sum(1).flatten(1).float().cpu()  # (n, H*W)
            orders = [
                *(_descending(each[rows], shuffled[0]) for each in values),
                *(_descending(ink, order) for order in shuffled),
                *(order.expand(len(batch), -1) for order in shuffled),
            ]
            curves = [_curves(model, batch, base, classes[rows], order, taken) for order in orders]
            parts.append(torch.stack(curves, dim=1))
    groups = torch.split(torch.cat(parts), [1] * len(maps) + [random_orders] * 2, dim=1)
    means = dict(zip([*maps, *CONTROLS], (group.mean(dim=1) for group in groups), strict=True))
    deletion, insertion = ({name: both[:, k] for name, both in means.items()} for k in range(2))
    return Faithfulness(torch.tensor(taken) / count, deletion, insertion, classes)


def logit_drops(
    model: nn.Module,
    images: Tensor,
    maps: Mapping[str, Map],
    target: Target = None,
    *,
    fraction: float = 0.1,
    baseline: Baseline = None,
    random_orders: int = 10,
    seed: int = 0,
) -> dict[str, Tensor]:
    """Return by how much the logit falls when the most important pixels are removed.

    One point of deletion, in logits, which also tell classes apart that are not predicted. An image
    goes through the model ``methods + 2 * random_orders`` times.

    >>> linear = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False))
    >>> linear[1].weight.data = torch.tensor([[4.0, 1, 1, 1], [0, 0, 0, 0]])
    >>> image, found = torch.ones(1, 1, 2, 2), torch.tensor([[[9.0, 0], [0, 0]]])
    >>> logit_drops(linear, image, {"map": found}, 0, fraction=0.25, baseline=0.0)["map"]
    tensor([4.])

    Args:
        model: see `deletion_insertion`, as for what else it takes.
        images: (N, C, H, W).
        maps: by name, for one class each.
        target: see `chosen_classes`.
        fraction: of the pixels that are removed, above 0 and at most 1.
        baseline: what they are set to.
        random_orders: of each kind.
        seed: of the random orders.

    Returns:
        By the name of each map, and ``"ink"`` and ``"chance"``, which are means, (N,).

    Raises:
        DataError, UsageError: as `deletion_insertion`.
    """
    require_images(model, images, 4)
    logits = require_logits(model_outputs(model, images))  # (N, K)
    count = images.shape[2] * images.shape[3]
    if not 0 < fraction <= 1 or random_orders < 1:
        raise UsageError("fraction must be above 0 and at most 1, and random_orders at least 1.")
    classes = _classes(logits, maps, target)
    start = baseline_of(images, baseline)
    generator = torch.Generator().manual_seed(seed)
    shuffled = [torch.randperm(count, generator=generator) for _ in range(random_orders)]
    ink = (images - start).abs().sum(1).flatten(1).float().cpu()  # (N, H*W)
    orders = {
        name: [_descending(_fitting(name, each, images), shuffled[0])] for name, each in maps.items()
    }
    orders["ink"] = [_descending(ink, order) for order in shuffled]
    orders["chance"] = [order.expand(len(images), -1) for order in shuffled]
    taken = max(1, round(fraction * count))
    drops = {}
    for name, some in orders.items():
        ranks = torch.stack(some).argsort(dim=2).to(images.device)  # (r, N, H*W)
        removed = (ranks < taken).view(len(some), *images[:, :1].shape)  # (r, N, 1, H, W)
        left = model_outputs(model, torch.where(removed, start, images).flatten(0, 1))  # (r*N, K)
        drop = (logits - left.view(len(some), *logits.shape)).mean(dim=0)  # (N, K)
        drops[name] = drop.gather(1, classes[:, None])[:, 0]
    return drops


def _curves(
    model: nn.Module, images: Tensor, base: Tensor, classes: Tensor, order: Tensor, taken: list[int]
) -> Tensor:
    """Return the probability after so many pixels were removed, and added, (n, 2, S+1)."""
    rank = order.argsort(dim=1).to(images.device).view_as(images[:, :1])  # (n, 1, H, W)
    points = []
    for many in taken:
        changed = rank < many
        for mixed in (torch.where(changed, base, images), torch.where(changed, images, base)):
            probabilities = require_logits(model(mixed)).float().softmax(dim=1).cpu()  # (n, K)
            points.append(probabilities.gather(1, classes[:, None])[:, 0])
    return torch.stack(points, dim=1).reshape(len(images), -1, 2).transpose(1, 2)  # (n, 2, S+1)


def _descending(values: Tensor, ties: Tensor) -> Tensor:
    """Return pixels, largest value first, equal ones in the order of ``ties``, (n, H*W)."""
    return ties[values[:, ties].argsort(dim=1, descending=True, stable=True)]


def _on_most(gains: Tensor) -> list[bool]:
    """Tell for each column of (N, 2) whether it is positive on more images than chance explains."""
    count = len(gains)
    needed = 0.5 + count**-0.5 if count > 4 else 1 - 1e-6
    return [fraction > needed for fraction in (gains > 0).double().mean(0).tolist()]


def _classes(logits: Tensor, maps: Mapping[str, Map], target: Target) -> Tensor:
    """Return the class of each image: what was asked for, else what the maps were made for."""
    made = [each.target for each in maps.values() if isinstance(each, Attribution)]
    if target is None and any(not torch.equal(each, made[0]) for each in made):
        raise DataError("the maps were made for different classes: give those for one, or a target.")
    return chosen_classes(logits, made[0] if target is None and made else target)


def _fitting(name: str, attribution: Map, images: Tensor) -> Tensor:
    values = attribution.values if isinstance(attribution, Attribution) else attribution
    needed = (len(images), *images.shape[2:])
    if values.shape != needed or bool(values.isnan().any()):
        raise DataError(f"the map '{name}' must be {needed} without NaN, not {tuple(values.shape)}.")
    return values.detach().cpu().float().flatten(1)


def plot_faithfulness(found: Faithfulness, **figure_options: Any) -> "Figure":
    """Draw mean deletion curves beside mean insertion curves, with the 95 % intervals of the means.

    Args:
        found: the answer of `deletion_insertion`.
        figure_options: go to `matplotlib.figure.Figure`.
    """
    methods = [name for name in found.deletion if name not in CONTROLS]
    looks = dict(zip(methods, LINES * len(methods), strict=False)) | CONTROLS
    sides = (
        ("deletion: lower is better", "pixels removed (%)", found.deletion),
        ("insertion: higher is better", "pixels added (%)", found.insertion),
    )
    with style.new_figure(figure_options, (6.5, 3.9)) as figure:
        axes = figure.subplots(1, 2, sharey=True)
        for ax, (title, pixels, curves) in zip(axes, sides, strict=True):
            for name, curve in curves.items():
                (colour, dash), width = looks[name], 1.5 if name in CONTROLS else 2
                x, y = 100 * found.fractions.numpy(), 100 * curve.mean(dim=0).numpy()
                label = f"{found.area(curve).mean():.3f}  {name}"
                ax.plot(x, y, color=colour, linestyle=dash, linewidth=width, label=label)
                margin = 100 * Z_95 * curve.std(dim=0).numpy() / len(curve) ** 0.5
                ax.fill_between(x, y - margin, y + margin, color=colour, alpha=0.12, linewidth=0)
            ax.set(title=title, xlabel=pixels, xlim=(0, 100), ylim=(0, 103))
            style.grid(ax)
            below: Any = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2), "alignment": "left"}
            ax.legend(title="area under the curve", fontsize=9, title_fontsize=9, **below)
        axes[0].set_ylabel("probability of the class (%)")
        figure.suptitle(f"means over {len(found.target):,} images, with 95 % intervals", fontsize=11)
    return figure


def _compare(
    inspection: "Inspection", count: int, leave_out: str = "", points: int = 50, **options: Any
) -> Faithfulness:
    """Compare the methods that a network allows on some of the test images."""
    model, images = inspection.model, inspection.images[inspection.sample(count)]
    maps = {
        method: attribute(
            model, images, method=method, layer=layer, steps=points, progress=inspection.progress
        )
        for method, layer in methods_for(inspection).items()
        if method != leave_out
    }
    return deletion_insertion(model, images, maps, progress=inspection.progress, **options)


def _figures(inspection: "Inspection", _selection: "Selection") -> "Iterator[tuple[str, Figure]]":
    yield "faithfulness", plot_faithfulness(_compare(inspection, JUDGED))


def _part(inspection: "Inspection") -> Part:
    options = {"points": PAGE_POINTS, "random_orders": PAGE_ORDERS, "steps": PAGE_STEPS}
    found = _compare(inspection, PAGE_IMAGES, "occlusion", **options)
    return Part.of(
        """
<p class="say">The pixels of {{ some }} were removed, most important first (deletion), and added to an
image without content in the same order (insertion). If a map is faithful, the probability of the class
falls, and rises, sooner than with the pixels in random order (chance) or those with the most ink first
(ink). Occlusion is left out because it takes longer: <code>lenetscope inspect --what
faithfulness</code> includes it.</p>
<figure>{{ figure
| inline("faithfulness", "probability of the class by the fraction of pixels removed and added")
| scrolling("Deletion and insertion curves") }}</figure>
{{ found.rows | scrolling("Faithfulness of each method") }}
""",
        found=found,
        some=some_images(len(found.target), len(inspection.labels)),
        figure=plot_faithfulness(found, figsize=(4.8, 4.0)),
    )


Question(
    "faithfulness",
    summary="Whether the maps of each attribution method show what the network uses.",
    figures=_figures,
    part=_part,
    heading="Faithfulness: can the maps be trusted?",
    place=20,
    costs=Costs(1, 1, 28),
).register()
