"""What a network loses when one of its units is switched off.

In: a model, images and labels. Out: for each unit (a channel of a convolution, or an element of a
vector) the errors that are made without it, by class; the units, worst loss first. After A. Morcos et
al., "On the importance of single directions for generalization", arXiv:1803.06959, 2018.

Each unit costs a pass of its own over all images. What comes before the layer is computed once a batch,
if the model lets itself be replayed, see `replay`; else every pass runs in full.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from lenetscope.errors import DataError, LayerError, UsageError, listed
from lenetscope.evaluation.predictions import main_output
from lenetscope.insight.filters import CONVOLUTIONS
from lenetscope.insight.replay import Replay
from lenetscope.insight.stream import Found, check, check_units, find_layer, stream_one
from lenetscope.tables import Table, column
from lenetscope.tracking import Track, untracked
from lenetscope.untouched import device_of, untouched

Fill = Literal["zero", "mean"]
FILLS = get_args(Fill)


@dataclass(frozen=True)
class AblationRow:
    """What is lost without one unit.

    Attributes:
        layer: name, and call.
        unit: number of the channel or element.
        errors: that the network makes without it.
        added: how many more these are than with all units; negative if there are fewer.
        accuracy_drop: the same as a share of all images.
        worst_class: class with the largest damage; None if no class gains an error.
        worst_damage: errors added to this class, as a share of its images.
    """

    layer: str = column()
    unit: int = column("d")
    errors: int = column(",d")
    added: int = column("+,d", "errors added")
    accuracy_drop: float = column("+.2%", "accuracy lost")
    worst_class: int | None = column("d", "worst class")
    worst_damage: float = column("+.1%", "of its images")


@dataclass(frozen=True)
class Ablation:
    """What is lost without each unit.

    Attributes:
        fill: what stood in the place of a unit's output.
        rows: a row a unit, most errors first; in the order of layers and units where equal.
        errors: by layer, (units, K) int64, errors of each true class without the unit.
        baseline: (K,) int64, errors of each class with all units.
        totals: (K,) int64, images of each class.
    """

    fill: Fill
    rows: Table[AblationRow]
    errors: dict[str, Tensor]
    baseline: Tensor
    totals: Tensor

    def damage(self, layer: str) -> Tensor:
        """Return errors added as a share of each class's images, (units, K); NaN without images."""
        return (self.errors[layer] - self.baseline) / self.totals

    def __str__(self) -> str:
        return str(self.rows)

    def _repr_html_(self) -> str:
        return self.rows._repr_html_()


def ablate(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    layers: str | Iterable[str] | None = None,
    *,
    fill: Fill = "zero",
    batch_size: int = 250,
    track: Track = untracked,
) -> Ablation:
    """Switch each unit of some layers off, one at a time, and count errors.

    Args:
        model: of one input, that puts out logits (N, K); it is as before when this returns or raises.
        images: (N, …), as the model takes them, on any device.
        labels: (N,) int64.
        layers: exact names, or ``name:1`` for the second call of a layer that runs several times; None
            for all convolutions.
        fill: what a unit puts out when it is off: ``"zero"``, or ``"mean"``, what it puts out at each
            place on average over the images. A unit that is zero most of the time loses little by zero;
            one that always says the same loses nothing by its mean.
        batch_size: how many images go through at once.
        track: is handed the layers and batches and shows how far one has come.

    Raises:
        LayerError: if there is no such layer, no convolution, or no units in it.
        DataError: if labels do not fit the images or the classes.
        UsageError: if the model does not put out logits (N, K), or ``fill`` is neither of the two.
    """
    if fill not in FILLS:
        raise UsageError(f"'{fill}' is none of {listed(FILLS)}.")
    check(model, images)
    if labels.ndim != 1 or len(labels) != len(images) or labels.is_floating_point():
        raise DataError(
            f"labels must be ({len(images)},) integers, one an image, not {tuple(labels.shape)} of "
            f"{str(labels.dtype).removeprefix('torch.')}."
        )
    found = _layers(model, layers)
    fills = [_fill(model, images, each, fill, batch_size) for each in found]
    parts = list(
        zip(torch.split(images, batch_size), torch.split(labels.cpu(), batch_size), strict=True)
    )
    steps = [(each, fill, part) for each, fill in zip(found, fills, strict=True) for part in parts]
    errors: dict[str, Tensor] = {}
    baseline: dict[str, Tensor] = {}
    device = device_of(model)
    with untouched(model), torch.no_grad():
        model.eval()
        for each, off, (batch, classes) in track(steps):
            replay = Replay(model, each, batch.to(device))
            check_units(each.key, replay.values)
            counted = _errors(replay.outputs, classes)
            lost = torch.stack(
                [
                    _errors(replay.run(_without(replay.values, unit, off)), classes)
                    for unit in range(replay.values.shape[1])
                ]
            )  # (units, K)
            errors[each.key] = errors.get(each.key, 0) + lost
            baseline[each.key] = baseline.get(each.key, 0) + counted
    before = baseline[found[0].key]
    totals = labels.cpu().bincount(minlength=len(before))
    rows = [row for name, counts in errors.items() for row in _rows(name, counts, before, totals)]
    rows.sort(key=lambda row: -row.errors)
    return Ablation(fill, Table(rows), errors, before, totals)


def _layers(model: nn.Module, names: str | Iterable[str] | None) -> list[Found]:
    if names is None:
        names = [name for name, module in model.named_modules() if isinstance(module, CONVOLUTIONS)]
    found = {each.key: each for each in (find_layer(model, n) for n in _listed(names))}
    if not found:
        raise LayerError(
            "there is no layer to switch units of: the model has no convolution; name some."
        )
    return list(found.values())


def _listed(names: str | Iterable[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _fill(model: nn.Module, images: Tensor, found: Found, fill: Fill, batch_size: int) -> Tensor | None:
    """Return what stands in for each unit, (units, …); None for zero."""
    if fill == "zero":
        return None
    sums: list[Tensor] = []

    def add(values: Tensor) -> None:
        check_units(found.key, values)
        total = values.double().sum(dim=0)
        sums[:] = [sums[0] + total if sums else total]

    stream_one(model, images, found.key, add, batch_size=batch_size)
    return sums[0] / len(images)


def _without(values: Tensor, unit: int, off: Tensor | None) -> Tensor:
    """Copy a layer's outputs with one unit switched off."""
    changed = values.clone()
    changed[:, unit] = 0 if off is None else off[unit].to(values.dtype)
    return changed


def _errors(outputs: object, classes: Tensor) -> Tensor:
    """Count errors by true class, (K,)."""
    logits = main_output(outputs)
    if logits is None or logits.ndim != 2 or logits.shape[1] < 2:
        shape = "no tensor" if logits is None else str(tuple(logits.shape))
        raise UsageError(
            f"the model puts out {shape}; errors of classes can be counted of logits (N, K) with at "
            "least two classes."
        )
    count = logits.shape[1]
    if int(classes.min()) < 0 or int(classes.max()) >= count:
        raise DataError(
            f"labels go from {int(classes.min())} to {int(classes.max())}, and the network has outputs "
            f"for 0 to {count - 1}."
        )
    wrong = logits.argmax(dim=1).cpu() != classes
    return classes[wrong].bincount(minlength=count)


def _rows(layer: str, errors: Tensor, before: Tensor, totals: Tensor) -> list[AblationRow]:
    images, made = int(totals.sum()), int(before.sum())
    shares = (errors - before) / totals.clamp(min=1)  # (units, K)
    rows = []
    for unit, (count, share) in enumerate(zip(errors.sum(dim=1).tolist(), shares, strict=True)):
        worst = int(share.argmax())
        damage = float(share[worst])
        rows.append(
            AblationRow(
                layer=layer,
                unit=unit,
                errors=count,
                added=count - made,
                accuracy_drop=(count - made) / images,
                worst_class=worst if damage > 0 else None,
                worst_damage=max(damage, 0.0),
            )
        )
    return rows
