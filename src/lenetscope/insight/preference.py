"""What a unit wants: the image that excites it most.

In: a model, a layer and some of its units. Out: an image for each, made by climbing: from faint noise
the pixels follow the slope of the unit's activation (D. Erhan et al., "Visualizing higher-layer
features of a deep network", University of Montreal, 2009). Left alone, this ends in noise that excites
and shows nothing; therefore the image is moved by some pixels at each step (jitter), smoothed (blur,
after J. Yosinski et al., arXiv:1506.06579, 2015), and pays for differences between neighbours (total
variation, after A. Mahendran, A. Vedaldi, arXiv:1412.0035, 2014; squared here) and for contrast (L2).
Pixels stay within what preprocessing can give, so that the network could be shown the picture.

A picture shows one thing that excites a unit, not all that does. How far it exceeds the highest
activation found on real images is told beside it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lenetscope.errors import LayerError, UsageError, listed, unknown
from lenetscope.evaluation.predictions import main_output
from lenetscope.insight.asking import check_images, check_one_input
from lenetscope.insight.hooks import CustomHooks, find_layers
from lenetscope.tables import Table, column
from lenetscope.tracking import Track, untracked
from lenetscope.untouched import device_of, untouched

Where = Literal["mean", "centre"]
Tap = Callable[[Tensor], Tensor]
STARTS = 8
"""Noise images that each unit may choose its beginning from: a ReLU that is off shows no slope."""


@dataclass(frozen=True)
class Climb:
    """How pictures are made; the defaults suit images of some 28x28 pixels.

    Attributes:
        steps: how many, 1 or more.
        step_size: of the first step, as a share of the range of a pixel; it falls to a tenth.
        jitter: by how many pixels at most the image is moved at each step, in each direction; in the
            last quarter it stands still. A filter of 3x3 wants 0.
        blur: standard deviation in pixels of the Gaussian that smooths the image at each step.
        total_variation: weight of differences between neighbours, relative to the slope.
        l2: weight of the distance from mid-range, relative to the slope.

    Raises:
        UsageError: if a value is negative, or steps so long that they overshoot.
    """

    steps: int = 200
    step_size: float = 0.04
    jitter: int = 1
    blur: float = 0.3
    total_variation: float = 0.3
    l2: float = 0.1

    def __post_init__(self) -> None:
        values = vars(self)
        if self.steps < 1 or self.step_size <= 0 or min(values.values()) < 0:
            raise UsageError(f"{values} cannot be: steps, step_size > 0, and the others not below 0.")
        if 2 * self.step_size * (8 * self.total_variation + self.l2) > 1:
            raise UsageError(
                f"a step_size of {self.step_size} overshoots with total_variation "
                f"{self.total_variation} and l2 {self.l2}; 2 * step_size * (8 * total_variation + l2) "
                "is 1 at most."
            )


@dataclass(frozen=True)
class PreferredRow:
    """One unit: the activation its picture reaches, and the highest that real images gave it."""

    unit: int = column()
    reached: float = column(".2f", "activation reached")
    real: float | None = column(".2f", "highest on real images")
    real_image: int | None = column(heading="by image")


@dataclass(frozen=True)
class Preference:
    """Pictures that units want.

    Attributes:
        layer: name, or None for what the model puts out.
        where: what is taken of a unit's map: its mean or its centre.
        units: (U,) int64.
        images: (U, C, H, W) float32, preprocessed as the model takes them.
        value_range: lowest and highest value that each channel may have, (C,) each.
        start: (U,) activation at the beginning, from noise.
        reached: (U,) activation that the pictures give.
        real: (U,) highest activation on the real images, and ``real_image`` (U,) which gave it; None if
            there were none.
    """

    layer: str | None
    where: Where
    units: Tensor
    images: Tensor
    value_range: tuple[Tensor, Tensor]
    start: Tensor
    reached: Tensor
    real: Tensor | None
    real_image: Tensor | None

    @property
    def shades(self) -> Tensor:
        """The pictures as shares of the range, (U, C, H, W) in [0, 1]: black to white."""
        low, high = (bound[:, None, None] for bound in self.value_range)
        return (self.images - low) / (high - low)

    @property
    def rows(self) -> Table[PreferredRow]:
        """One row a unit."""
        none = [None] * len(self.units)
        real = none if self.real is None else self.real.tolist()
        by = none if self.real_image is None else self.real_image.tolist()
        both = zip(self.units.tolist(), self.reached.tolist(), real, by, strict=True)
        return Table(PreferredRow(*row) for row in both)

    def __str__(self) -> str:
        return str(self.rows)

    def _repr_html_(self) -> str:
        return self.rows._repr_html_()


def preferred_images(
    model: nn.Module,
    layer: str | None = None,
    units: Sequence[int] | Tensor | None = None,
    *,
    images: Tensor | None = None,
    image_shape: tuple[int, int, int] | None = None,
    value_range: tuple[float, float] | None = None,
    where: Where = "centre",
    climb: Climb | None = None,
    seed: int = 0,
    batch_size: int = 250,
    track: Track = untracked,
) -> Preference:
    """Make the image that excites each unit most.

    Args:
        model: of one input; asked in evaluation mode, so that no dropout draws.
        layer: exact name; its units are channels of maps (N, C, h, w) or elements of vectors (N, D).
            Of a layer that runs several times ``"relu:1"`` is the second run. None: what the model puts
            out. Where a ReLU follows, the layer before it is easier to climb.
        units: which, in any order; all if None.
        images: real ones (N, C, H, W), preprocessed, to compare with; they also say the shape and
            range, if these are not given.
        image_shape: (C, H, W).
        value_range: lowest and highest value that preprocessing can give; those of each channel of
            ``images``, if None.
        where: of a unit that is a map: its ``"centre"``, which only pixels around the image's middle
            reach, all others staying grey (of real images the highest value anywhere in the map is
            taken); or the ``"mean"`` over the map, which textures excite.
        climb: how the pictures are made; `Climb` as it is, if None.
        seed: of the noise and the jitter.
        batch_size: how many units, or real images, go through at once.
        track: is handed the batches of units and shows how far one has come.

    Returns:
        Pictures (U, C, H, W), the activations they give, and the highest that real images gave.

    Raises:
        DataError: if the real images are not floats (N, C, H, W).
        LayerError: if there is no such layer or unit, or its output is neither maps nor vectors.
        UsageError: if an option is out of range, or shape or range are not known.
    """
    how = climb or Climb()
    if where not in ("mean", "centre") or batch_size < 1:
        raise UsageError(
            f"where '{where}' is {listed(['mean', 'centre'])}, and batch_size {batch_size} 1 or more."
        )
    check_one_input(model)
    if images is not None:
        check_images(images)
    low, high, shape = _frame(images, image_shape, value_range)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(STARTS, *shape, generator=generator).clamp(-2, 2)
    strength = torch.linspace(0.02, 0.4, STARTS).view(-1, 1, 1, 1)
    moves = torch.randint(-how.jitter, how.jitter + 1, (how.steps, 2), generator=generator)
    moves[how.steps * 3 // 4 :] = 0
    device = device_of(model)
    low, high = low.to(device), high.to(device)
    starts = (high + low) / 2 + (high - low) / 2 * (noise * strength).to(device)  # (8, C, H, W)
    with untouched(model), torch.inference_mode(False), torch.enable_grad(), _tap(model, layer) as tap:
        model.eval()
        with torch.no_grad():
            at_start = _activations(tap(starts), where)  # (8, D)
        chosen = _units(units, at_start.shape[1], layer)  # (U,)
        made = []
        reached = []
        for begin in track(range(0, len(chosen), batch_size)):
            some = chosen[begin : begin + batch_size].to(device)
            first = starts[at_start[:, some].argmax(0)].clone()  # (u, C, H, W)
            made.append(_climb(tap, where, some, first, (low, high), moves.tolist(), how))
            with torch.no_grad():
                found = _activations(tap(made[-1]), where)
            reached.append(found.gather(1, some[:, None])[:, 0])
        best = None
        if images is not None:
            with torch.no_grad():
                best = _highest(tap, where, images, chosen, batch_size, device)
    return Preference(
        layer,
        where,
        chosen,
        torch.cat(made).cpu(),
        (low.flatten().cpu(), high.flatten().cpu()),
        at_start[:, chosen.to(device)].amax(0).cpu(),
        torch.cat(reached).cpu(),
        None if best is None else best[0],
        None if best is None else best[1],
    )


def _climb(
    tap: Tap,
    where: Where,
    units: Tensor,
    images: Tensor,
    bounds: tuple[Tensor, Tensor],
    moves: Sequence[Sequence[int]],
    how: Climb,
) -> Tensor:
    """Return (u, C, H, W) images, each climbed for its own unit."""
    low, high = bounds
    middle, half = (high + low) / 2, (high - low) / 2  # (C, 1, 1)
    z = (images - middle) / half  # from here in [-1, 1]
    for number, (down, right) in enumerate(moves):
        z.requires_grad_()
        moved = (middle + half * z).roll((down, right), (2, 3))
        found = _activations(tap(moved), where).gather(1, units[:, None])  # (u, 1)
        (slope,) = torch.autograd.grad(found.sum(), z)
        size = slope.square().mean((1, 2, 3), keepdim=True).sqrt()
        with torch.no_grad():
            uphill = slope / (size + 1e-12) + how.total_variation * _curvature(z) - how.l2 * z
            # in z a share of the range is twice as much
            step = 2 * how.step_size * (1 - 0.9 * number / max(len(moves) - 1, 1))
            z = _smoothed(z + step * uphill, how.blur).clamp(-1, 1)
    return middle + half * z.detach()


def _curvature(z: Tensor) -> Tensor:
    """Return how much lower than its four neighbours each pixel is; at the edge it is its own."""
    padded = nn.functional.pad(z, (1, 1, 1, 1), mode="replicate")
    around = (
        padded[..., :-2, 1:-1] + padded[..., 2:, 1:-1] + padded[..., 1:-1, :-2] + padded[..., 1:-1, 2:]
    )
    return around - 4 * z


def _smoothed(z: Tensor, sigma: float) -> Tensor:
    """Smooth (u, C, H, W) with a Gaussian of ``sigma`` pixels, cut off at one pixel."""
    if not sigma:
        return z
    side = torch.tensor(-0.5 / sigma**2).exp()
    line = torch.stack([side, torch.ones(()), side]) / (1 + 2 * side)
    kernel = (line[:, None] * line).to(z).expand(z.shape[1], 1, 3, 3)
    return nn.functional.conv2d(
        nn.functional.pad(z, (1, 1, 1, 1), mode="replicate"), kernel, groups=z.shape[1]
    )


def _activations(values: Tensor, where: Where) -> Tensor:
    """Return one activation a unit, (n, D), of vectors or of maps (n, D, h, w)."""
    if values.ndim == 2:
        return values
    height, width = values.shape[2:]
    return values.mean((2, 3)) if where == "mean" else values[:, :, height // 2, width // 2]


def _highest(
    tap: Tap, where: Where, images: Tensor, units: Tensor, batch_size: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return each unit's highest activation on images, and the number of the image, (U,) each."""
    found = []
    for first in range(0, len(images), batch_size):
        values = tap(images[first : first + batch_size].to(device))
        if where == "centre" and values.ndim == 4:
            values = values.amax((2, 3), keepdim=True)  # the same patch may stand anywhere
        found.append(_activations(values, where).cpu()[:, units])
    best = torch.cat(found).max(0)
    return best.values, best.indices


@contextmanager
def _tap(model: nn.Module, layer: str | None) -> Iterator[Tap]:
    """Yield a function from images to what the layer puts out, (n, D) or (n, D, h, w) float32."""
    seen: list[Any] = []

    def checked(values: Any) -> Tensor:
        name = "the model" if layer is None else f"layer '{layer}'"
        if not isinstance(values, Tensor) or values.ndim not in (2, 4):
            shape = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
            raise LayerError(
                f"{name} puts out {shape}; a unit is a channel of maps (N, C, h, w) or an element of "
                "vectors (N, D): choose a layer that puts out one of these."
            )
        return values.float()

    if layer is None:
        yield lambda images: checked(main_output(model(images)))
        return
    name, _, call = layer.partition(":")
    found = find_layers(model, name)
    if name not in found or not (call or "0").isdigit():
        raise LayerError(unknown("layer", layer, [n for n, _ in model.named_modules() if n]))
    run = int(call or 0)

    def values_of(images: Tensor) -> Tensor:
        seen.clear()
        model(images)
        if len(seen) <= run:
            raise LayerError(
                f"layer '{name}' runs {len(seen)} times for an image: there is no '{layer}'."
            )
        return checked(seen[run])

    def keep(_layer: nn.Module, _inputs: Any, outputs: Any) -> None:
        first = outputs[0] if isinstance(outputs, (tuple, list)) and outputs else outputs
        # a clone, because the next layer may work in place
        seen.append(first.clone() if isinstance(first, Tensor) else first)

    with CustomHooks(model, [name], keep):
        yield values_of


def _units(units: Sequence[int] | Tensor | None, count: int, layer: str | None) -> Tensor:
    chosen = torch.arange(count) if units is None else torch.as_tensor(units).cpu().reshape(-1)
    if (
        not len(chosen)
        or chosen.is_floating_point()
        or int(chosen.min()) < 0
        or int(chosen.max()) >= count
    ):
        name = "the model" if layer is None else f"layer '{layer}'"
        raise LayerError(f"{name} has units 0 to {count - 1}; {units} are none of them.")
    return chosen.long()


def _frame(
    images: Tensor | None, shape: tuple[int, int, int] | None, value_range: tuple[float, float] | None
) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """Return the lowest and highest value of each channel, (C, 1, 1), and the images' shape."""
    if images is not None and shape is None:
        shape = (images.shape[1], images.shape[2], images.shape[3])
    if shape is None or (images is None and value_range is None):
        raise UsageError(
            "it is not known what an image looks like: give real images, or both image_shape (C, H, W) "
            "and value_range (lowest, highest) of preprocessed pixels."
        )
    if value_range is not None:
        low, high = (torch.full((shape[0], 1, 1), float(bound)) for bound in value_range)
    else:
        assert images is not None
        low, high = (
            f(images.detach(), (0, 2, 3)).float().cpu()[:, None, None] for f in (torch.amin, torch.amax)
        )
    if not bool((low < high).all()):
        raise UsageError(
            f"pixels from {low.flatten().tolist()} to {high.flatten().tolist()} have no range; give a "
            "value_range, the lower value first."
        )
    return low, high, shape
