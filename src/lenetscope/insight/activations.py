"""What every layer puts out, in figures: how large, how varied, how much of it zero or saturated.

In: a model and images. Out: a row for each layer, in the order in which they run. Sums are taken over
all numbers of all images in double precision as they come, so that the size of a batch changes nothing
and any number of images fits. The figures are those by which X. Glorot and Y. Bengio, "Understanding
the difficulty of training deep feedforward neural networks", AISTATS 2010, saw saturation and vanishing
signals.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lenetscope.insight.hooks import find_layers
from lenetscope.insight.stream import stream
from lenetscope.tables import Table, column
from lenetscope.tracking import Track, untracked

SATURATED_TANH, SATURATED_SIGMOID = 0.97, 0.03
"""tanh beyond ±0.97 and sigmoid within 0.03 of 0 or 1 have slopes of less than 6 and 3 %."""


@dataclass(frozen=True)
class ActivationRow:
    """What one layer puts out, over all images.

    Attributes:
        layer: name, and call if it ran several times: ``relu:1``.
        kind: class of the layer.
        mean: of all numbers.
        deviation: standard deviation of all numbers around it (of the population, not an estimate).
        zeros: share of numbers that are exactly zero.
        silent: how many units (channels, or elements of a vector) are zero for every image and place.
        saturated: share of numbers at the ends of a bounded activation, see `saturation`; else None.
        lowest: of all numbers, and ``highest``.
        norm: mean over images of the Euclidean length of all that the layer puts out for one image.
    """

    layer: str = column()
    kind: str = column()
    mean: float = column("+.3f")
    deviation: float = column(".3f")
    zeros: float = column(".1%")
    silent: int = column(",d", "silent units")
    saturated: float | None = column(".1%")
    lowest: float = column("+.3f")
    highest: float = column("+.3f")
    norm: float = column(".2f")


def activations(
    model: nn.Module,
    images: Tensor,
    layers: str | Iterable[str] | None = None,
    *,
    batch_size: int = 250,
    track: Track = untracked,
) -> Table[ActivationRow]:
    """Describe what layers put out for one image or many.

    >>> model = nn.Sequential(nn.Flatten(), nn.ReLU())
    >>> row = activations(model, torch.tensor([[[-3.0, 1.0], [0.0, 3.0]]]), "1")[0]
    >>> row.mean, row.zeros, row.silent, row.highest
    (1.0, 0.5, 2, 3.0)

    Args:
        model: of one input; it is as before when this returns or raises.
        images: (N, …), as the model takes them, on any device.
        layers: names or patterns, see `find_layers`; None for all that have no layers inside.
        batch_size: how many images go through at once.
        track: is handed the batches and shows how far one has come.

    Returns:
        A row for each layer that ran (each call of one that ran several times), in running order.

    Raises:
        LayerError: if there is no such layer, or it puts out no tensor.
        DataError: if there are no images.
        UsageError: if the model takes several inputs.
    """
    found = find_layers(model, layers)
    if layers is None:  # an alias of a shared layer would be counted a second time
        found = {name: m for name, m in model.named_modules() if name in found}
    running: dict[str, _Sums] = {}

    def see(key: str, values: Tensor) -> None:
        running.setdefault(key, _Sums()).add(found[_name(key, found)], values)

    stream(model, images, found, see, batch_size=batch_size, track=track)
    return Table(
        sums.row(key, type(found[_name(key, found)]).__name__) for key, sums in running.items()
    )


def saturation(layer: nn.Module, values: Tensor) -> Tensor | None:
    """Tell which outputs of a bounded activation stand at its ends, where it hardly learns.

    Tanh and softsign: beyond ±0.97. Sigmoid: below 0.03 or above 0.97. Hardtanh: at its lowest or
    highest value; ReLU6: at 6; hardsigmoid: at 0 or 1. ReLU and its kin have no upper end, and their
    zeros are counted as zeros; other layers are not bounded: None.

    Returns:
        Booleans of the shape of ``values``, or None where the question has no meaning.
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


class _Sums:
    """What is kept of a layer while images go through."""

    def __init__(self) -> None:
        self.images = self.count = self.zeros = self.saturated = 0
        self.mean = self.squares = self.norms = 0.0
        self.lowest, self.highest = math.inf, -math.inf
        self.bounded = False
        self.answered: Tensor | None = None

    def add(self, layer: nn.Module, outputs: Tensor) -> None:
        if not outputs.numel():
            return
        at_end = saturation(layer, outputs)
        self.bounded = at_end is not None
        self.saturated += 0 if at_end is None else int(at_end.sum())
        units = outputs.reshape(len(outputs), outputs.shape[1] if outputs.ndim > 1 else 1, -1)
        highest, lowest = units.amax(dim=(0, 2)), units.amin(dim=(0, 2))  # (units,)
        answered = (highest != 0) | (lowest != 0)
        self.answered = answered if self.answered is None else self.answered | answered
        self.lowest = min(self.lowest, float(lowest.min()))
        self.highest = max(self.highest, float(highest.max()))
        self.zeros += outputs.numel() - int(outputs.count_nonzero())
        values = outputs.reshape(len(outputs), -1).double()
        self.norms += float(values.norm(dim=1).sum())
        self.images += len(values)
        # T. Chan, G. Golub, R. LeVeque, "Algorithms for Computing the Sample Variance", 1983: squares
        # of differences, because differences of squares lose all digits where the mean is large
        variance, mean = torch.var_mean(values, correction=0)
        count, shift = values.numel(), float(mean) - self.mean
        total = self.count + count
        self.squares += float(variance) * count + shift**2 * self.count * count / total
        self.mean += shift * count / total
        self.count = total

    def row(self, name: str, kind: str) -> ActivationRow:
        count = max(self.count, 1)
        return ActivationRow(
            layer=name,
            kind=kind,
            mean=self.mean,
            deviation=math.sqrt(self.squares / count),
            zeros=self.zeros / count,
            silent=0 if self.answered is None else int((~self.answered).sum()),
            saturated=self.saturated / count if self.bounded else None,
            lowest=self.lowest,
            highest=self.highest,
            norm=self.norms / max(self.images, 1),
        )


def _name(key: str, found: dict[str, nn.Module]) -> str:
    """Return the layer's name without the number of the call."""
    return key if key in found else key.rpartition(":")[0]
