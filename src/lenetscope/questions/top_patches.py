"""Top-activating patches: the images, and the parts of them, for which a unit's output is highest.

After M. Zeiler, R. Fergus, "Visualizing and Understanding Convolutional Networks", arXiv:1311.2901,
2013. The receptive field of a unit is measured, not derived from kernels and strides, so that any model
will do: it is the smallest box around all pixels for which the output has a gradient. That takes many
images of noise, because of each pooling window only the largest pixel has one.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from lenetscope.errors import DataError, LayerError, UsageError
from lenetscope.observe import (
    BATCH_SIZE,
    Call,
    find_layer,
    layer_outputs,
    observe,
    require_images,
    require_units,
)
from lenetscope.plots import style, tiles
from lenetscope.plots.style import Array
from lenetscope.progress import Progress, no_progress
from lenetscope.questions import Costs, Part, Question, numbered, some_images
from lenetscope.questions.filters import filters_of
from lenetscope.restore import device_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lenetscope.inspection import Inspection
    from lenetscope.selection import Selection

PROBES = 64
"""Images of noise by which a receptive field is measured."""
ROWS, KERNELS, SHOWN = 8, 4, 6
"""On one page: units; in a row: the strongest kernels of a filter, and images."""
GAP = 0.12
PITCH, ROW_PITCH = 1 + GAP, 1 + 2 * GAP
"""From one tile to the next in a row, and from row to row; a tile's side is 1."""
PAGE_IMAGES, PAGE_UNITS, PAGE_PATCHES = 2000, 12, 6
"""In the report: test images that are searched; units; patches per unit."""


@dataclass(frozen=True)
class TopPatches:
    """The images with the highest outputs of each unit, the highest first.

    Attributes:
        layer: name of the layer, and call.
        values: (units, k) float32, the unit's highest output in the image.
        images: (units, k) int64, numbers of the images.
        boxes: (units, k, 4) int64, the receptive field of the highest output in the image, as top,
            left, bottom and right, the latter two exclusive; cut off at the image's edge.
    """

    layer: str
    values: Tensor
    images: Tensor
    boxes: Tensor

    def patches(self, pixels: Tensor) -> Tensor:
        """Cut out the receptive fields.

        Args:
            pixels: (N, C, H, W), the same images in the same order, preprocessed or not.

        Returns:
            (units, k, C, h, w) float32, all as large as the largest box; NaN beyond the image's edge.
        """
        height, width = (self.boxes[..., 2:] - self.boxes[..., :2]).flatten(0, 1).amax(0).tolist()
        cut = torch.full((*self.images.shape, pixels.shape[1], height, width), torch.nan)
        for unit, rank in torch.cartesian_prod(*map(torch.arange, self.images.shape)).tolist():
            top, left, bottom, right = self.boxes[unit, rank].tolist()
            patch = pixels[int(self.images[unit, rank]), :, top:bottom, left:right].float().cpu()
            high, wide = patch.shape[1:]
            # what was cut off at the image's top or left is missing at the patch's top or left
            row, col = (height - high if top == 0 else 0), (width - wide if left == 0 else 0)
            cut[unit, rank, :, row : row + high, col : col + wide] = patch
        return cut


def top_activating(
    model: nn.Module,
    images: Tensor,
    layer: str,
    k: int = 8,
    *,
    batch_size: int = BATCH_SIZE,
    progress: Progress = no_progress,
) -> TopPatches:
    """Find the ``k`` images with the highest output of each unit of a layer.

    Of equal outputs the first image counts, and in it the first place in reading order. Only the top
    ``k`` are kept while the images go through, so that any number of them fits in memory.

    Args:
        model: of one input; it is as before when this returns or raises.
        images: (N, C, H, W), as the model takes them, on any device.
        layer: exact name, or ``name:1`` for the second call of a layer that runs several times.
        k: images per unit; N if there are fewer.
        batch_size: images per batch.
        progress: is handed the batches.

    Raises:
        LayerError: if there is no such layer, or its outputs are not (N, units), (N, units, L) or
            (N, units, H, W).
        DataError: if the images are not (N, C, H, W), or an output is not a number.
        UsageError: if ``k`` is less than 1, or the model takes several inputs.
    """
    require_images(model, images, 4)
    if k < 1:
        raise UsageError(f"k must be at least 1, not {k}.")
    key, _ = find_layer(model, layer)
    top: list[Tensor] = []  # values, numbers of images, places; (k, units) each
    count = 0

    def see(call: Call) -> None:
        nonlocal count
        if call.key != key:
            return
        outputs = require_units(call).float()
        if outputs.ndim > 4:
            raise LayerError(
                f"layer '{layer}' returns maps of {outputs.ndim - 2} dimensions: choose one whose "
                "outputs are (N, units), (N, units, L) or (N, units, H, W)."
            )
        maps = outputs.reshape(*outputs.shape[:2], -1)  # (n, units, places)
        values, places = (part.cpu() for part in maps.max(dim=2))  # (n, units)
        if values.isnan().any():
            raise DataError(f"layer '{layer}' returns values that are not numbers (NaN).")
        numbers = torch.arange(count, count + len(values))[:, None].expand(values.shape)
        count += len(values)
        found = [values, numbers, places]
        if top:
            found = [torch.cat(pair) for pair in zip(top, found, strict=True)]
        order = found[0].argsort(dim=0, descending=True, stable=True)[:k]
        top[:] = [part.gather(0, order) for part in found]

    layer_outputs(model, images, [key], see, batch_size=batch_size, progress=progress)
    values, numbers, places = (part.T.contiguous() for part in top)  # (units, k)
    fields = receptive_fields(model, images, key, sorted(set(places.flatten().tolist())))
    boxes = torch.tensor([[fields[place] for place in row] for row in places.tolist()])
    return TopPatches(key, values, numbers, boxes)


def receptive_fields(
    model: nn.Module, images: Tensor, layer: str, places: Sequence[int]
) -> dict[int, tuple[int, int, int, int]]:
    """Measure which part of an image affects the outputs of a layer at some places.

    Args:
        model: of one input; it is as before when this returns or raises.
        images: (N, C, H, W); noise is drawn evenly between their lowest and highest value.
        layer: exact name, or name and call.
        places: numbers of places in a map, in reading order.

    Returns:
        (top, left, bottom, right) for each place, the latter two exclusive: the smallest box around the
        pixels for which any unit has a gradient. The whole image where there are none.
    """
    generator = torch.Generator().manual_seed(0)
    low, high = images.min().item(), images.max().item()
    noise = torch.rand(PROBES, *images.shape[1:], generator=generator) * (high - low) + low
    seen: list[Tensor] = []

    def see(call: Call) -> None:
        if call.key == layer:  # a clone, because a layer that works in place may follow
            seen.append(call.tensor.clone().reshape(*call.tensor.shape[:2], -1))

    whole = (0, 0, *images.shape[2:])
    fields = dict.fromkeys(places, whole)
    with torch.inference_mode(False), torch.enable_grad(), observe(model, [layer], see, mode="eval"):
        probe = noise.to(device_of(model), images.dtype).requires_grad_()
        model(probe.clone())  # not a leaf, because the first layer may work in place
        outputs = seen[0]  # (PROBES, units, places)
        # units that weigh a pixel alike with opposite signs must not hide it from each other
        mixture = torch.rand(outputs.shape[:2], generator=generator).to(outputs)
        for place in places if outputs.requires_grad else ():
            mixed = (outputs[:, :, place] * mixture).sum()
            (slopes,) = torch.autograd.grad(mixed, probe, retain_graph=True, allow_unused=True)
            touched = torch.zeros(whole[2:]) if slopes is None else slopes.any(dim=1).any(dim=0)
            if touched.any():  # (H, W)
                rows, columns = (touched.any(dim=d).nonzero().flatten().tolist() for d in (1, 0))
                fields[place] = (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)
    return fields


def plot_top_patches(
    found: TopPatches,
    pixels: Array,
    *,
    weights: Array | None = None,
    labels: Sequence[Any] | None = None,
    page: int = 0,
    **figure_options: Any,
) -> "Figure":
    """Draw for each unit the images with its highest outputs, a frame around the receptive field.

    For a convolution the kernels with the largest weights are drawn beside them, each under the number
    of its input channel; all on one colour scale with zero in white.

    Args:
        found: the answer of `top_activating`.
        pixels: (N, C, H, W), the same images; one channel is drawn grey, three in colour.
        weights: (units, channels, H, W) of the convolution, if it is one.
        labels: N true labels, written above the images.
        page: from 0; 8 units each.
        figure_options: go to `matplotlib.figure.Figure`.

    Raises:
        DataError: if the weights do not fit the units.
        UsageError: if there is no such page.
    """
    units, k = found.values.shape
    if weights is not None and (weights.ndim != 4 or len(weights) != units):
        raise DataError(f"weights must be ({units}, channels, H, W), not {weights.shape}.")
    shown = range(units)[page * ROWS : (page + 1) * ROWS] if page >= 0 else ()
    if not shown:
        last = (units - 1) // ROWS
        raise UsageError(f"there is no page {page}: the pages of '{found.layer}' are 0 to {last}.")
    k = min(k, SHOWN)
    kernels = 0 if weights is None else min(KERNELS, weights.shape[1])
    begin = kernels * PITCH + 0.4 if kernels else 0.0  # of the images
    width, height = begin + k * PITCH, len(shown) * ROW_PITCH
    size = (0.7 * width + (2.2 if kernels else 1.2), 0.7 * height + 0.9)
    high, wide = pixels.shape[2:]
    side = max(high, wide)
    with style.new_figure(figure_options, size) as figure:
        ax = figure.subplots()
        if weights is not None:
            norm = style.colour_scale(weights, signed=True)
            for row, unit in enumerate(shown):
                strength = np.square(weights[unit]).sum(axis=(1, 2))  # (channels,)
                for place, channel in enumerate(np.argsort(-strength, kind="stable")[:kernels]):
                    left, top = place * PITCH, row * ROW_PITCH
                    extent = (left, left + 1, top + 1, top)
                    ax.imshow(weights[unit, channel], cmap=style.SIGNED, norm=norm, extent=extent)
                    if weights.shape[1] > 1:
                        _above(ax, left + 0.5, top, f"{channel}")
            style.colour_bar(ax, norm, style.SIGNED, "weight")
            name = "weights" if weights.shape[1] == 1 else "largest weights, by input channel"
            _above(ax, (kernels * PITCH - GAP) / 2, -0.32, name, 9)
        for row, unit in enumerate(shown):
            for rank in range(k):
                number, left, top = int(found.images[unit, rank]), begin + rank * PITCH, row * ROW_PITCH
                extent = (left, left + wide / side, top + high / side, top)
                tiles.image(ax, pixels[number], extent=extent)
                upper, first, lower, last = (edge / side for edge in found.boxes[unit, rank].tolist())
                if (lower - upper, last - first) != (high / side, wide / side):
                    style.frame(ax, left + first, top + upper, last - first, lower - upper)
                text = f"{found.values[unit, rank]:.3g}"
                _above(ax, left + 0.5, top, text if labels is None else f"{labels[number]}: {text}")
        name = "top images: " + ("output" if labels is None else "true label and output")
        _above(ax, begin + (k * PITCH - GAP) / 2, -0.32, name, 9)
        tiles.bare(ax)
        ax.set_yticks([r * ROW_PITCH + 0.5 for r in range(len(shown))], [str(unit) for unit in shown])
        ax.tick_params(length=0)
        which = f"units {shown[0]} to {shown[-1]} of {units}" if units > ROWS else f"{units} units"
        ax.set(xlim=(0, width - GAP), ylim=(height - 2 * GAP, -0.62), aspect="equal")
        ax.set(ylabel="unit", title=f"{found.layer}: top-activating patches of {which}")
    return figure


def _above(ax: "Axes", middle: float, top: float, text: str, size: int = 8) -> None:
    ax.text(middle, top - 0.02, text, ha="center", va="bottom", fontsize=size)


def _figures(inspection: "Inspection", selection: "Selection") -> "Iterator[tuple[str, Figure]]":
    names = [inspection.classes[k] for k in inspection.labels.tolist()]
    pixels = inspection.pixels.numpy()
    for layer in inspection.selected_convolutions(selection):
        found = top_activating(inspection.model, inspection.images, layer, progress=inspection.progress)
        weights = filters_of(inspection.model, layer)
        for page in range(math.ceil(len(found.values) / ROWS)):
            figure = plot_top_patches(found, pixels, weights=weights, labels=names, page=page)
            yield numbered(f"top-patches-{layer}", page), figure


PAGE = """
<p class="say">For units of {{ found.layer }}, the last convolution: the parts of images that give their
highest outputs, among {{ some }}. {% if top | length < patches | length %}Of {{ patches | length }}
units the {{ top | length }} with the highest outputs are shown. {% endif %}Where the patches of a unit
resemble one another, they show what it detects; where they differ, it responds to several patterns.</p>
<ul class="units">
{% for unit in top %}
<li><span class="unit">unit {{ unit }}</span>
{% for patch in patches[unit] %}
{{ patch | picture("part of test image " ~ numbers[found.images[unit, loop.index0]].item(), 40) }}
{% endfor %}</li>
{% endfor %}
</ul>
"""


def _part(inspection: "Inspection") -> Part:
    if not inspection.convolutions:
        raise LayerError("this network has no convolution, whose units see only a part of the image.")
    layer, rows = inspection.convolutions[-1], inspection.sample(PAGE_IMAGES)
    images, some = inspection.images[rows], some_images(len(rows), len(inspection.labels))
    found = top_activating(inspection.model, images, layer, PAGE_PATCHES, progress=inspection.progress)
    patches = found.patches(inspection.pixels[rows]).nan_to_num(0).to(torch.uint8)
    top = found.values[:, 0].argsort(descending=True, stable=True)[:PAGE_UNITS].sort().values.tolist()
    return Part.of(PAGE, found=found, numbers=rows, some=some, top=top, patches=patches)


Question(
    "top-patches",
    summary="Which test images, and which parts of them, give the highest outputs of each filter.",
    figures=_figures,
    part=_part,
    heading="Top-activating patches",
    place=40,
    costs=Costs(0.9, 0.9, 8),
).register()
