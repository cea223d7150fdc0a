"""Is every part of a network at work? Dead units, gradients, and how far steps move the weights.

In: a model, images and their labels, the loss. Out: a row for each layer that learns, and sentences for
what is ill. Counts are exact over all images, which go through in batches. After X. Glorot and
Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010
(gradients, layer by layer), L. Lu et al., "Dying ReLU and initialization", 2019, arXiv:1903.06733, and
A. Karpathy, CS231n notes "Neural networks part 3" (update ratios).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lenetscope.errors import DataError, LayerError, UsageError
from lenetscope.evaluation.predictions import label_error, main_output
from lenetscope.insight import stream
from lenetscope.insight.answers import Answers
from lenetscope.tables import Table, column
from lenetscope.tracking import Track, untracked
from lenetscope.untouched import device_of, untouched

NEARLY_DEAD = 0.01
"""Share of images below which a unit that answers is called nearly dead: with ten classes, less than a
tenth of one class."""

Loss = Callable[..., Tensor]


@dataclass(frozen=True)
class LayerHealth:
    """How one layer that learns is doing.

    A unit (a channel of a convolution, an element of a vector) is judged by its layer's answers, see
    `insight.answers`: as a rule what the activation that follows puts out.

    Attributes:
        layer: name.
        kind: class of the layer.
        judged_by: the activation whose outputs are the answers; the layer's own name if none follows.
        units: how many it has.
        dead: units that put out one and the same number for all images and places, or, where no answer
            is below zero (as after ReLU), never one above zero.
        nearly_dead: units that are not dead and answer above zero on less than 1 % of the images; None
            where there are answers below zero, because such units are never silent.
        norm: mean over images of the Euclidean length of all answers to one image.
        gradient: Euclidean norm of the gradient of the mean loss with respect to all the layer's own
            parameters; None if they are frozen.
        update: ‖ΔW‖ / ‖W‖ of one step, of the layer's largest parameter; None if it was not given.
        images: n, how many the units were judged by.
    """

    layer: str = column()
    kind: str = column()
    judged_by: str = column()
    units: int = column(",d")
    dead: int = column(",d")
    nearly_dead: int | None = column(",d", "on < 1 %")
    norm: float = column(".3g", "mean norm")
    gradient: float | None = column(".2e")
    update: float | None = column(".2e", "update / weight")
    images: int = column(",d")


def health(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    loss_fn: Loss,
    *,
    updates: Mapping[str, float | None] | None = None,
    gradient_images: int = 500,
    batch_size: int = 250,
    track: Track = untracked,
) -> Table[LayerHealth]:
    """Look at each layer that learns: its units, its gradient, its steps.

    Args:
        model: of one input; it is looked at in evaluation mode and is as before when this returns or
            raises.
        images: (N, …), N of at least 2, as the model takes them, on any device.
        labels: (N,), as the loss takes them.
        loss_fn: of (outputs, labels), a mean over the batch.
        updates: name of a parameter to its update ratio, as `UpdateRow.typical` returns them.
        gradient_images: the gradient is that of the mean loss of so many images, the first ones.
        batch_size: how many images go through at once.
        track: is handed the batches of the pass without gradients.

    Returns:
        A row for each layer that has parameters of its own and runs, in the order in which they run.

    Raises:
        DataError: if there are fewer than two images, not as many labels, or a label is out of range.
        UsageError: if the model takes several inputs, or puts out nothing to judge by.
        LayerError: if no layer learns, or one of them puts out no tensor.
    """
    stream.check(model, images)
    if len(images) < 2 or len(labels) != len(images) or gradient_images < 1:
        raise DataError(
            "health needs at least two images, a label for each and gradient_images of at least 1, not "
            f"{len(images)} images, {len(labels)} labels and gradient_images={gradient_images}."
        )
    layers = {
        name: module
        for name, module in model.named_modules()
        if name and any(True for _ in module.parameters(recurse=False))
    }
    if not layers:
        raise LayerError(
            "no layer inside the model has parameters: there is nothing to look at. If the model is "
            "one layer by itself, wrap it in nn.Sequential."
        )
    with untouched(model):
        model.eval()
        tallies = _tallies(model, images, layers, batch_size, track)
        chosen = images[:gradient_images], labels[:gradient_images]
        gradients = _gradients(model, *chosen, loss_fn, batch_size)
    return Table(
        tally.row(name, layers[name], gradients, updates or {})
        for name, tally in tallies.items()
        if tally.calls  # it may run for some images only, and for none of these
    )


def health_over_time(
    epochs: Sequence[int],
    model_at: Callable[[int], nn.Module],
    images: Tensor,
    labels: Tensor,
    loss_fn: Loss,
    *,
    updates: Mapping[int, Mapping[str, float | None]] | None = None,
    gradient_images: int = 500,
    batch_size: int = 250,
    track: Track = untracked,
) -> dict[int, Table[LayerHealth]]:
    """Return the health at each of several epochs; one model is held at a time.

    Args:
        epochs: their numbers.
        model_at: returns the model as it was at an epoch, such as ``run.load_model``.
        images: (N, …), the same at each epoch; see `health`.
        labels: (N,).
        loss_fn: of (outputs, labels), a mean over the batch.
        updates: epoch to update ratios, see `health`.
        gradient_images: how many images the gradients are of.
        batch_size: how many images go through at once.
        track: is handed the epochs.
    """
    told = updates or {}
    return {
        epoch: health(
            model_at(epoch),
            images,
            labels,
            loss_fn,
            updates=told.get(epoch),
            gradient_images=gradient_images,
            batch_size=batch_size,
        )
        for epoch in track(epochs)
    }


class _Tally:
    """What is kept of a layer's answers while images go through."""

    def __init__(self, by: str) -> None:
        self.by = by
        self.images = self.calls = 0
        self.norms = 0.0
        self.highest: Tensor | None = None  # (units,), over all images and places
        self.lowest: Tensor | None = None
        self.above: Tensor | None = None  # (units,), images on which the unit was above zero
        self._now: Tensor | None = None  # (n, units), of the batch under way, over all calls

    def add(self, answers: Tensor) -> None:
        high, low = answers.amax(dim=2), answers.amin(dim=2)  # (n, units)
        highest, lowest = high.amax(dim=0), low.amin(dim=0)  # (units,)
        self.highest = highest if self.highest is None else torch.maximum(self.highest, highest)
        self.lowest = lowest if self.lowest is None else torch.minimum(self.lowest, lowest)
        self._now = high > 0 if self._now is None else self._now | (high > 0)
        norms = torch.linalg.vector_norm(answers.float(), dim=(1, 2))  # (n,)
        self.norms += float(norms.sum(dtype=torch.float64 if norms.device.type != "mps" else None))
        self.calls += len(answers)

    def end_batch(self) -> None:
        if self._now is not None:
            count = self._now.sum(dim=0)
            self.above = count if self.above is None else self.above + count
            self.images += len(self._now)
            self._now = None

    def row(
        self,
        name: str,
        layer: nn.Module,
        gradients: Mapping[nn.Parameter, Tensor],
        updates: Mapping[str, float | None],
    ) -> LayerHealth:
        assert self.highest is not None
        assert self.lowest is not None
        assert self.above is not None
        dead = self.highest == self.lowest
        rectified = bool((self.lowest >= 0).all())
        if rectified:
            dead = dead | (self.highest <= 0)
        rare = ~dead & (self.above < NEARLY_DEAD * self.images)
        own = dict(layer.named_parameters(recurse=False))
        squares = [float(gradients[p].norm()) ** 2 for p in own.values() if p in gradients]
        largest = max(own, key=lambda key: own[key].numel())
        return LayerHealth(
            layer=name,
            kind=type(layer).__name__,
            judged_by=self.by,
            units=len(dead),
            dead=int(dead.sum()),
            nearly_dead=int(rare.sum()) if rectified else None,
            norm=self.norms / self.calls,
            gradient=math.sqrt(math.fsum(squares)) if squares else None,
            update=updates.get(f"{name}.{largest}"),
            images=self.images,
        )


def _tallies(
    model: nn.Module,
    images: Tensor,
    layers: dict[str, nn.Module],
    batch_size: int,
    track: Track,
) -> dict[str, _Tally]:
    device = device_of(model)
    with torch.no_grad():
        order, judges = _judges(model, images[:2].to(device, copy=True), layers)
        running = {name: layers[name] for name in order}
        tallies = {name: _Tally(judges.get(name, name)) for name in order}

        def tell(name: str, _by: str, answers: Tensor) -> None:
            tallies[name].add(answers)

        alone = [name for name in order if name not in judges]
        with Answers(model, running, tell, alone):
            for batch in track(torch.split(images, batch_size)):
                # a copy, because the first layer may work in place
                model(batch.to(device, copy=True))
                for tally in tallies.values():
                    tally.end_batch()
    return tallies


def _judges(
    model: nn.Module, images: Tensor, layers: dict[str, nn.Module]
) -> tuple[list[str], dict[str, str]]:
    """Return the layers in running order, and of each that an activation follows, which."""
    order: list[str] = []
    judges: dict[str, str] = {}
    inside: list[str] = []
    handles = []

    def hook(name: str, module: nn.Module) -> None:
        def begin(_module: nn.Module, _inputs: Any) -> None:
            inside.append(name)

        def end(_module: nn.Module, _inputs: Any, _outputs: Any) -> None:
            inside.pop()
            if name in layers and name not in order:
                order.append(name)

        handles.append(module.register_forward_pre_hook(begin))
        handles.append(module.register_forward_hook(end))

    for name, module in model.named_modules():
        if name:
            hook(name, module)

    def tell(layer: str, by: str, _answers: Tensor) -> None:
        leaf = inside and not any(model.get_submodule(inside[-1]).children())
        judges.setdefault(layer, inside[-1] if leaf else f"{by}()")

    try:
        with Answers(model, layers, tell, None):
            model(images)
    finally:
        for handle in handles:
            handle.remove()
    return order, judges


def _gradients(
    model: nn.Module, images: Tensor, labels: Tensor, loss_fn: Loss, batch_size: int
) -> dict[nn.Parameter, Tensor]:
    """Return the gradient of the mean loss with respect to each parameter that learns."""
    device = device_of(model)
    learning = [p for p in model.parameters() if p.requires_grad]
    sums = {p: torch.zeros_like(p) for p in learning}
    with torch.enable_grad():
        for batch, truth in zip(
            torch.split(images, batch_size), torch.split(labels, batch_size), strict=True
        ):
            outputs = main_output(model(batch.to(device, copy=True)))
            if outputs is None:
                raise UsageError(
                    "the model puts out no tensor, nor anything with one called 'logits': there is "
                    "nothing to compute a loss from."
                )
            truth = truth.to(device)
            try:
                loss = loss_fn(outputs, truth)
            except IndexError as error:
                raise label_error(outputs, truth, error) from error
            share = len(batch) / len(images)
            found = torch.autograd.grad(loss * share, learning, allow_unused=True) if learning else ()
            for parameter, gradient in zip(learning, found, strict=True):
                if gradient is not None:
                    sums[parameter] += gradient
    return sums
