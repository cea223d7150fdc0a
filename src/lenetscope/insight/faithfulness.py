"""Whether a map of important pixels can be believed.

In: a model, images and one or several maps of them. Out: how the probability of the class falls when
pixels are taken away, most important first (deletion), how it rises when they are put in, most
important first (insertion), the areas under these curves, and the same for two orders that know nothing
of the model. The measure is that of V. Petsiuk et al., "RISE", arXiv:1806.07421, 2018; insertion here
begins with the baseline, too, not with a blurred image.

**Chance** takes all pixels in random order. **Ink** takes first what is farthest from the baseline, on
handwriting the brightest ink, and equal pixels in random order: the image itself, taken for a map. As
most pixels of handwriting are background, which cannot matter, any map that finds the ink beats chance.
A map tells something about the network only if it beats ink, too.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lenetscope.errors import DataError, UsageError
from lenetscope.insight.asking import (
    Baseline,
    Target,
    as_logits,
    baseline_of,
    chosen_classes,
    logits_of,
)
from lenetscope.insight.attribution import Attribution
from lenetscope.tables import Table, column
from lenetscope.tracking import Track, untracked
from lenetscope.untouched import device_of, untouched

Map = Attribution | Tensor


@dataclass(frozen=True)
class FaithfulnessRow:
    """One method over all images: mean areas in [0, 1], and what follows from them.

    The area of deletion is better small, that of insertion large. What beats chance or ink is the share
    of the images for which both areas are better than on the mean of the random orders.
    """

    method: str = column()
    deletion: float = column(".3f", "deletion area")
    insertion: float = column(".3f", "insertion area")
    beats_chance: float | None = column(".0%", "beat chance")
    beats_ink: float | None = column(".0%", "beat ink")
    verdict: str = column()


@dataclass(frozen=True)
class Faithfulness:
    """Curves of several methods over the same images.

    Attributes:
        fractions: (S+1,) share of the pixels taken away or put in, from 0 to 1.
        deletion: method to (N, S+1), the probability of the class; ``insertion`` likewise.
        chance: (N, R, S+1) deletion curves of R random orders of all pixels; ``chance_insertion``
            likewise.
        ink: (N, R, S+1) deletion curves of the pixels farthest from the baseline first, with R random
            orders of equal ones; ``ink_insertion`` likewise.
        target: (N,) int64, the classes.
    """

    fractions: Tensor
    deletion: dict[str, Tensor]
    insertion: dict[str, Tensor]
    chance: Tensor
    chance_insertion: Tensor
    ink: Tensor
    ink_insertion: Tensor
    target: Tensor

    def area(self, curves: Tensor) -> Tensor:
        """Return the area under curves (…, S+1), by trapezoids, (…) in [0, 1]."""
        return torch.trapezoid(curves, self.fractions, dim=-1)

    def sooner(self, method: str, *, than: str = "chance") -> Tensor:
        """Tell for each image how much sooner a method removes the class, and brings it.

        Args:
            method: one of those asked about.
            than: ``"chance"`` or ``"ink"``, the mean of the random orders.

        Returns:
            (N, 2) differences of areas, positive where the method is better: removes, brings.
        """
        random, bringing = {
            "chance": (self.chance, self.chance_insertion),
            "ink": (self.ink, self.ink_insertion),
        }[than]
        removes = self.area(random).mean(1) - self.area(self.deletion[method])
        brings = self.area(self.insertion[method]) - self.area(bringing).mean(1)
        return torch.stack([removes, brings], dim=1)

    def verdict(self, method: str) -> str:
        """Say in words whether the maps of a method can be believed.

        "believable": on most of the images they remove the class sooner, and on most they bring it
        sooner, than chance and than ink do. "Most" is more than half by two standard errors of a coin
        tossed as often; of four images or fewer it is all.
        """
        chance, ink = (_on_most(self.sooner(method, than=t)) for t in ("chance", "ink"))
        if all(chance):
            return "believable" if all(ink) else "tells no more than the ink"
        if any(chance):
            return f"not believable: {'removes' if chance[0] else 'brings'} the class sooner only"
        return "not believable: no better than chance"

    @property
    def rows(self) -> Table[FaithfulnessRow]:
        """A row a method, and one each for the two kinds of chance."""
        rows = [
            FaithfulnessRow(
                name,
                self.area(self.deletion[name]).mean().item(),
                self.area(self.insertion[name]).mean().item(),
                (self.sooner(name) > 0).all(1).float().mean().item(),
                (self.sooner(name, than="ink") > 0).all(1).float().mean().item(),
                self.verdict(name),
            )
            for name in self.deletion
        ]
        ink, brought = self.area(self.ink).mean(1), self.area(self.ink_insertion).mean(1)
        by_luck, back = self.area(self.chance).mean(1), self.area(self.chance_insertion).mean(1)
        share = ((ink < by_luck) & (brought > back)).float().mean().item()
        rows += [
            FaithfulnessRow("ink", ink.mean().item(), brought.mean().item(), share, None, "-"),
            FaithfulnessRow("chance", by_luck.mean().item(), back.mean().item(), None, None, "-"),
        ]
        return Table(rows)

    def __str__(self) -> str:
        return str(self.rows)

    def _repr_html_(self) -> str:
        return self.rows._repr_html_()


def deletion_insertion(
    model: nn.Module,
    images: Tensor,
    attributions: Map | Mapping[str, Map],
    target: Target = None,
    *,
    baseline: Baseline = "background",
    steps: int = 28,
    random_orders: int = 5,
    seed: int = 0,
    batch_size: int = 250,
    track: Track = untracked,
) -> Faithfulness:
    """Take pixels away and put them in by importance, and watch the probability of the class.

    Args:
        model: of one input, that puts out logits (N, K), K ≥ 2; asked in evaluation mode.
        images: (N, C, H, W) float, as the model takes them, on any device.
        attributions: maps (N, H, W), or what `attribute` returned, or several of them by name. Where
            values have a sign, pixels that speak against the class come last. Equal values come in
            random order, the same for every image.
        target: the class, as for `attribute`; None for that of the attributions, if they know it, else
            the one predicted.
        baseline: what a pixel is set to when it is taken away, as for `attribute`.
        steps: how many times pixels are taken away, each time H*W/steps of them.
        random_orders: how many random orders of each kind chance is the mean of.
        seed: of the random orders.
        batch_size: how many images go through at once.
        track: is handed the batches and shows how far one has come.

    Returns:
        Curves, areas and verdicts. An image goes through the model about
        ``(steps + 1) * (2 * methods + 4 * random_orders)`` times.

    Raises:
        DataError: if maps do not fit the images, or were made for different classes.
        UsageError: if ``steps`` or ``random_orders`` is out of range, or there are no logits.
    """
    maps = (
        dict(attributions) if isinstance(attributions, Mapping) else {_name(attributions): attributions}
    )
    logits = logits_of(model, images, batch_size)  # (N, K)
    height, width = images.shape[2:]
    if not 1 <= steps <= height * width or random_orders < 1 or not maps:
        raise UsageError(
            f"{steps} steps, {random_orders} random orders and {len(maps)} methods cannot be: there "
            f"are 1 to {height * width} steps, and one random order and one method or more."
        )
    classes = _classes(logits, maps, target)
    values = {name: _fitting(name, each, images) for name, each in maps.items()}  # (N, H*W)
    start = baseline_of(images, baseline)
    count = height * width
    taken = [round(i * count / steps) for i in range(steps + 1)]
    generator = torch.Generator().manual_seed(seed)
    shuffled = torch.stack([torch.randperm(count, generator=generator) for _ in range(random_orders)])

    device = device_of(model)
    parts = []
    with untouched(model), torch.no_grad():
        model.eval()
        for first in track(range(0, len(images), batch_size)):
            rows = slice(first, first + batch_size)
            batch, base = images[rows].to(device), start[rows].to(device)
            brightness = (batch - base).abs().sum(1).flatten(1).float().cpu()  # (n, H*W)
            orders = [
                *(_descending(each[rows], shuffled[0]) for each in values.values()),
                *(_descending(torch.zeros_like(brightness), order) for order in shuffled),
                *(_descending(brightness, order) for order in shuffled),
            ]
            curves = [_curves(model, batch, base, classes[rows], order, taken) for order in orders]
            parts.append(torch.stack(curves, dim=1))
    found = torch.cat(parts)  # (N, methods + 2R, 2, S+1)
    by_method = found[:, : len(maps)].unbind(1)  # (N, 2, S+1) each
    chance, ink = found[:, len(maps) :].chunk(2, dim=1)  # (N, R, 2, S+1)
    return Faithfulness(
        torch.tensor(taken) / count,
        {name: both[:, 0] for name, both in zip(maps, by_method, strict=True)},
        {name: both[:, 1] for name, both in zip(maps, by_method, strict=True)},
        chance[:, :, 0],
        chance[:, :, 1],
        ink[:, :, 0],
        ink[:, :, 1],
        classes,
    )


def _curves(
    model: nn.Module,
    images: Tensor,
    baseline: Tensor,
    classes: Tensor,
    order: Tensor,
    taken: list[int],
) -> Tensor:
    """Return the class's probability after so many pixels were taken away, and put in, (n, 2, S+1)."""
    rank = order.argsort(1).to(images.device).view(len(images), 1, *images.shape[2:])  # (n, 1, H, W)
    points = []
    for many in taken:
        changed = rank < many
        for mixed in (torch.where(changed, baseline, images), torch.where(changed, images, baseline)):
            chances = as_logits(model(mixed)).float().softmax(1).cpu()  # (n, K)
            points.append(chances.gather(1, classes[:, None])[:, 0])
    found = torch.stack(points, dim=1).reshape(len(images), -1, 2)  # (n, S+1, 2)
    return found.transpose(1, 2)


def _descending(values: Tensor, ties: Tensor) -> Tensor:
    """Return pixels, largest value first, equal ones in the order of ``ties``, (n, H*W)."""
    places = values[:, ties].argsort(dim=1, descending=True, stable=True)
    return ties[places]


def _on_most(differences: Tensor) -> list[bool]:
    """Tell for each column of (N, 2) whether it is above zero for more images than luck would have."""
    count = len(differences)
    wanted = 0.5 + count**-0.5 if count > 4 else 1 - 1e-6
    return [share > wanted for share in (differences > 0).double().mean(0).tolist()]


def _name(attribution: Map) -> str:
    return attribution.method if isinstance(attribution, Attribution) else "attribution"


def _classes(logits: Tensor, maps: Mapping[str, Map], target: Target) -> Tensor:
    """Return the class of each image: what was asked for, else what the maps were made for."""
    if target is not None:
        return chosen_classes(logits, target)
    known = [(name, each.target) for name, each in maps.items() if isinstance(each, Attribution)]
    for name, classes in known[1:]:
        if not torch.equal(classes, known[0][1]):
            raise DataError(
                f"the maps '{known[0][0]}' and '{name}' were made for different classes; compare maps "
                "for the same, or give the target to judge them by."
            )
    return chosen_classes(logits, known[0][1] if known else None)


def _fitting(name: str, attribution: Map, images: Tensor) -> Tensor:
    values = attribution.values if isinstance(attribution, Attribution) else attribution
    wanted = (len(images), *images.shape[2:])
    if values.shape != wanted or bool(values.isnan().any()):
        raise DataError(
            f"the map '{name}' is {tuple(values.shape)} or has NaN in it; these images need {wanted}, "
            "one number a pixel."
        )
    return values.detach().cpu().float().flatten(1)
