"""Activation maximization: images that are made to raise the activation of a unit.

From faint noise the pixels follow the gradient of the activation (D. Erhan et al., "Visualizing
higher-layer features of a deep network", University of Montreal, 2009). Left alone, this ends in noise
that shows nothing; therefore the image is moved by some pixels at each step (jitter), smoothed (blur,
after J. Yosinski et al., arXiv:1506.06579, 2015), and penalised for differences between neighbours
(total variation, after A. Mahendran, A. Vedaldi, arXiv:1412.0035, 2014; squared here) and for contrast
(L2). Pixels stay within what preprocessing can give, so that the network could be shown the image.
It shows one thing that activates a unit, not all that do.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from lenetscope.arguments import main_output
from lenetscope.errors import DataError, LayerError, UsageError
from lenetscope.observe import (
    BATCH_SIZE,
    Call,
    batches,
    find_layer,
    layer_outputs,
    observe,
    require_images,
    require_one_of,
)
from lenetscope.plots import style, tiles
from lenetscope.progress import Progress, no_progress
from lenetscope.questions import Costs, Part, Question, some_images
from lenetscope.restore import device_of
from lenetscope.table import ShowsRows, Table, column

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lenetscope.inspection import Inspection
    from lenetscope.selection import Selection

Where = Literal["mean", "centre"]
Activations = Callable[[Tensor], Tensor]

STARTS = 8
"""Noise images from which each unit takes the best: a ReLU that is off has no gradient."""
LAPLACIAN = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
COLUMNS, UNITS = 8, 32
"""Images in a row of the figure; units of a layer that ``lenetscope inspect`` draws, the first ones."""
PAGE_CLASSES, PAGE_IMAGES, PAGE_STEPS = 12, 2000, 100
"""In the report: classes, test images to compare with, and steps."""


@dataclass(frozen=True)
class Ascent:
    """How images are made; the defaults suit images of about 28x28 pixels.

    Attributes:
        steps: of gradient ascent, 1 or more.
        step_size: of the first step, as a fraction of the range of a pixel; it falls to a tenth.
        jitter: pixels by which the image is moved at most at each step, in each direction; none in the
            last quarter of the steps. 0 suits a filter of 3x3.
        blur: standard deviation in pixels of the Gaussian that smooths the image at each step.
        total_variation: weight of differences between neighbours, relative to the gradient.
        l2: weight of the distance from mid-range, relative to the gradient.

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
        overshoot = 2 * self.step_size * (8 * self.total_variation + self.l2) > 1
        if self.steps < 1 or self.step_size <= 0 or min(vars(self).values()) < 0 or overshoot:
            raise UsageError(
                f"{self} is not possible: steps must be 1 or more, step_size above 0, the others 0 or "
                "more; and 2 * step_size * (8 * total_variation + l2) 1 at most, or steps overshoot."
            )


@dataclass(frozen=True)
class MaximizedRow:
    """One unit: the activation that its image gives, and the highest that real images gave."""

    unit: int = column()
    activation: float = column(".2f")
    highest: float = column(".2f", "highest on real images")
    highest_image: int = column(heading="by image")


@dataclass(frozen=True)
class Maximized(ShowsRows):
    """Images made to raise the activations of units.

    Attributes:
        layer: name, or None for the outputs of the model.
        units: (U,) int64.
        images: (U, C, H, W) float32, preprocessed as the model takes them.
        shades: the same as fractions of the range of pixels, 0 black to 1 white.
        activation: (U,) activation that the images give.
        highest, highest_image: (U,) highest activation on real images, and their numbers.
    """

    layer: str | None
    units: Tensor
    images: Tensor
    shades: Tensor
    activation: Tensor
    highest: Tensor
    highest_image: Tensor

    @property
    def rows(self) -> Table[MaximizedRow]:
        """One row per unit."""
        given = (self.units, self.activation, self.highest, self.highest_image)
        return Table(map(MaximizedRow, *(values.tolist() for values in given)))


@torch.inference_mode(False)
@torch.no_grad()
def maximize_activation(
    model: nn.Module,
    layer: str | None = None,
    units: Sequence[int] | Tensor | int | None = None,
    *,
    images: Tensor,
    where: Where = "centre",
    ascent: Ascent | None = None,
    seed: int = 0,
    batch_size: int = BATCH_SIZE,
    progress: Progress = no_progress,
) -> Maximized:
    """Make an image for each unit that raises its activation.

    Args:
        model: of one input; it runs in evaluation mode.
        layer: exact name; its units are channels of maps (N, C, h, w) or elements of vectors (N, D).
            ``"relu:1"`` is the second call of a layer that runs several times. None: the outputs of the
            model. Where a ReLU follows, the layer before it has gradients everywhere.
        units: which, in any order; or how many, the first ones; all if None.
        images: real ones (N, C, H, W), preprocessed, to compare with; they also give the shape and the
            range of each channel.
        where: of a unit's map the ``"centre"``, so that pixels that do not affect it stay grey (and of
            real images the highest value anywhere), or the ``"mean"``, which textures raise.
        ascent: how the images are made; `Ascent()` if None.
        seed: of the noise and the jitter.
        batch_size: units, or real images, per batch.
        progress: is handed the batches of units.

    Raises:
        DataError: if the real images are not floats (N, C, H, W), or all of one value in a channel.
        LayerError: if there is no such layer or unit, or it returns neither maps nor vectors.
        UsageError: if an option is out of range, or the model takes several inputs.
    """
    how = ascent or Ascent()
    require_one_of("where", where, get_args(Where))
    require_images(model, images, 4)
    low, high = images.detach().transpose(0, 1).flatten(1).float().aminmax(dim=1)
    if not bool((low < high).all()):
        raise DataError(
            "images must differ in some pixel of each channel: they give the range of pixels."
        )
    device = device_of(model)
    middle, half = (
        v[:, None, None].to(device) for v in ((high + low) / 2, (high - low) / 2)
    )  # (C, 1, 1)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(STARTS, *images.shape[1:], generator=generator).clamp(-2, 2)
    strength = torch.linspace(0.02, 0.4, STARTS).view(-1, 1, 1, 1)
    moves = torch.randint(-how.jitter, how.jitter + 1, (how.steps, 2), generator=generator)
    moves[how.steps * 3 // 4 :] = 0
    starts = (noise * strength).to(device)  # (8, C, H, W); as z below, from -1 black to 1 white
    keys = [] if layer is None else [find_layer(model, layer)[0]]
    seen: list[Tensor] = []

    def keep(call: Call) -> None:
        if call.key in keys:  # a clone, because the next layer may work in place
            seen[:] = [call.tensor.clone()]

    def activations(images: Tensor, where: str = where) -> Tensor:
        returned = main_output(model(images))
        return _activations(seen[0] if keys else returned, layer, where)

    def made_by(z: Tensor) -> Tensor:
        return activations(middle + half * z)

    made, activation, on_real = [], [], []
    layer_outputs(model, images[:1], keys, lambda call: None, batch_size=batch_size)  # does it run?
    with observe(model, keys, keep, mode="eval"):
        initial = made_by(starts)  # (8, D)
        chosen = _units(units, initial.shape[1], layer)  # (U,)
        for some in progress(torch.split(chosen.to(device), batch_size)):
            z = starts[initial[:, some].argmax(0)]  # (u, C, H, W)
            made.append(_ascend(made_by, some, z, moves, how))
            activation.append(made_by(made[-1]).gather(1, some[:, None])[:, 0].cpu())
        for batch in batches(model, images, batch_size):  # where the same patch may be anywhere
            values = activations(batch, "highest" if where == "centre" else where)
            on_real.append(values[:, chosen.to(device)].cpu())
    z, highest = torch.cat(made), torch.cat(on_real).max(0)
    given, shades = (middle + half * z).cpu(), (z.cpu() + 1) / 2
    return Maximized(layer, chosen, given, shades, torch.cat(activation), *highest)


def _ascend(activations: Activations, units: Tensor, z: Tensor, moves: Tensor, how: Ascent) -> Tensor:
    """Return images z (u, C, H, W) in [-1, 1], each made for its own unit."""
    side = math.exp(-0.5 / how.blur**2) if how.blur else 0.0  # of a Gaussian, cut off at one pixel
    line = torch.tensor([side, 1.0, side]) / (1 + 2 * side)
    for number, (down, right) in enumerate(moves.tolist()):
        z = z.detach().requires_grad_()
        with torch.enable_grad():
            total = activations(z.roll((down, right), (2, 3))).gather(1, units[:, None]).sum()
        (gradient,) = torch.autograd.grad(total, z)
        z, size = z.detach(), gradient.square().mean((1, 2, 3), keepdim=True).sqrt()
        curvature = _filtered(z, LAPLACIAN)
        uphill = gradient / (size + 1e-12) + how.total_variation * curvature - how.l2 * z
        # in z a fraction of the range is twice as much
        step = 2 * how.step_size * (1 - 0.9 * number / max(len(moves) - 1, 1))
        z = _filtered(z + step * uphill, line[:, None] * line).clamp(-1, 1)
    return z


def _filtered(z: Tensor, kernel: Tensor) -> Tensor:
    """Filter each channel with one kernel (3, 3); pixels at the edge are repeated beyond it."""
    padded = nn.functional.pad(z, (1, 1, 1, 1), mode="replicate")
    kernels = kernel.to(z).expand(z.shape[1], 1, 3, 3)
    return nn.functional.conv2d(padded, kernels, groups=z.shape[1])


def _activations(values: Tensor | None, layer: str | None, where: str) -> Tensor:
    """Return the activation of each unit, (n, D) float32, from vectors (n, D) or maps (n, D, h, w)."""
    if values is None or values.ndim not in (2, 4):
        raise LayerError(
            f"{layer or 'the model'} returns {None if values is None else tuple(values.shape)}; a unit "
            "is a channel of maps (N, C, h, w) or an element of vectors (N, D)."
        )
    if values.ndim == 4 and where == "centre":
        values = values[:, :, values.shape[2] // 2, values.shape[3] // 2]
    elif values.ndim == 4:
        values = values.float().mean((2, 3)) if where == "mean" else values.amax((2, 3))
    return values.float()


def _units(units: Sequence[int] | Tensor | int | None, count: int, layer: str | None) -> Tensor:
    if units is None or isinstance(units, int):
        return torch.arange(count)[:units]
    chosen = torch.as_tensor(units).cpu().reshape(-1)
    if chosen.is_floating_point() or not set(chosen.tolist()) <= set(range(count)) or not len(chosen):
        raise LayerError(
            f"{layer or 'the model'} has units 0 to {count - 1}; {units} are not among them."
        )
    return chosen.long()


def plot_maximized(
    found: Maximized, names: Sequence[Any] | None = None, **figure_options: Any
) -> "Figure":
    """Draw the image of each unit, without borders that are all grey, above its activations.

    Args:
        found: the answer of `maximize_activation`.
        names: U names of the units; by default their numbers.
        figure_options: go to `matplotlib.figure.Figure`.

    Raises:
        DataError: if there are not U names.
    """
    names = found.units.tolist() if names is None else names
    if len(names) != len(found.units):
        raise DataError(f"there are {len(found.units)} units, and {len(names)} names for them.")
    pictures = found.shades.numpy()  # (U, C, H, W)
    drawn = np.argwhere(np.abs(pictures - 0.5).max(axis=(0, 1)) > 0.08)  # rows and columns not grey
    height, width = pictures.shape[2:]
    margin = int(min(drawn.min(), (np.array([height, width]) - 1 - drawn).min())) if len(drawn) else 0
    pictures = pictures[:, :, margin : height - margin, margin : width - margin]
    columns = min(COLUMNS, len(pictures))
    rows = math.ceil(len(pictures) / columns)
    size = (min(style.MAX_SIDE, 0.8 * columns + 0.6), min(style.MAX_SIDE, 1.1 * rows + 0.8))
    with style.new_figure(figure_options, size) as figure:
        grid = figure.subplots(rows, columns, squeeze=False)
        for ax in grid.flat[len(pictures) :]:
            ax.set_visible(False)
        for ax, picture, name, row in zip(grid.flat, pictures, names, found.rows, strict=False):
            tiles.image(ax, picture)
            tiles.bare(ax)
            ax.set_title(str(name), fontsize=9, pad=3, fontweight="bold")
            ax.set_xlabel(f"{row.activation:.1f} | {row.highest:.1f}", fontsize=8, labelpad=2)
        title = f"{found.layer or 'the model'}: activation maximization of {len(pictures)} units"
        figure.suptitle(f"{title}\nbelow: activation | highest on real images", fontsize=11)
    return figure


def _figures(inspection: "Inspection", selection: "Selection") -> "Iterator[tuple[str, Figure]]":
    classes, last = inspection.classes, inspection.last_layer
    logits = any((row.name, row.shape) == (last, (len(classes),)) for row in inspection.layers)
    for layer in selection.layers or [*inspection.convolutions[-1:], last]:
        found = maximize_activation(
            inspection.model,
            layer,
            UNITS,
            images=inspection.images,
            # the units of the first layer see so few pixels that jitter would blur their images
            ascent=Ascent(jitter=int(layer != inspection.layers[0].name)),
            progress=inspection.progress,
        )
        names = classes[:UNITS] if layer == last and logits else None
        yield f"activation-maximization-{layer}", plot_maximized(found, names)


PAGE = """
<p class="say">These images were computed: starting from faint noise, the pixels were changed step by
step to raise the output (logit) of one class. Below each image are its output and the highest output
among {{ some }}. An image whose output is higher than that of any real one need not look like the
class.</p>
<ul class="strip">
{% for shade, name, row in shown %}
<li>{{ shade | picture("image made for class " ~ name, 84) }}<p class="fine">{{ name }}:
{{ row.activation | signed }},<br>real images {{ row.highest | signed }}</p></li>
{% endfor %}
</ul>
"""


def _part(inspection: "Inspection") -> Part:
    classes, rows = inspection.classes[:PAGE_CLASSES], inspection.sample(PAGE_IMAGES)
    images, some = inspection.images[rows], some_images(len(rows), len(inspection.labels))
    found = maximize_activation(
        inspection.model,
        units=range(len(classes)),
        images=images,
        ascent=Ascent(steps=PAGE_STEPS),
        progress=inspection.progress,
    )
    shown = list(zip((255 * found.shades).round().byte(), classes, found.rows, strict=True))
    return Part.of(PAGE, some=some, shown=shown)


Question(
    "activation-maximization",
    summary="Which images give the highest activation of each unit, made by gradient ascent.",
    figures=_figures,
    part=_part,
    heading="Activation maximization: images made for each class",
    place=70,
    costs=Costs(0.6, 0.6, 5),
).register()
