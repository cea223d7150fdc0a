"""Attribution: which pixels raise the logit of a class, and which lower it.

Four methods, computed by Captum (N. Kokhlikyan et al., arXiv:2009.07896, 2020):

- ``saliency``: the absolute gradient of the logit (K. Simonyan et al., arXiv:1312.6034, 2013).
- ``integrated-gradients``: the mean gradient on the straight path from a baseline to the image, times
  the distance from the baseline (M. Sundararajan et al., arXiv:1703.01365, 2017). The values add up to
  the difference of the two logits; how far they miss it is recorded.
- ``grad-cam``: maps of a convolution weighted by their mean gradient, cut off at zero and enlarged to
  the size of the image (R. Selvaraju et al., arXiv:1610.02391, 2016).
- ``occlusion``: how far the logit falls when a patch is set to the baseline, a mean over the patches
  that cover a pixel (M. Zeiler, R. Fergus, arXiv:1311.2901, 2013).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from lenetscope.errors import DataError, LayerError, UsageError
from lenetscope.evaluation.outputs import Target, chosen_classes, model_outputs, require_logits
from lenetscope.observe import BATCH_SIZE, Call, find_layer, layer_outputs, require_images
from lenetscope.plots import html, style, tiles
from lenetscope.progress import Progress, no_progress
from lenetscope.questions import Costs, Part, Question
from lenetscope.registry import Registry
from lenetscope.restore import device_of, restored
from lenetscope.table import ShowsRows, Table, column

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lenetscope.inspection import Inspection
    from lenetscope.selection import Selection

Baseline = float | Tensor | None

CLIPPED = 0.5
"""Percent of a method's values that may lie beyond its colour scale, so that others are not pale."""
PAGE_POINTS = 20
"""Points on the paths of integrated gradients in the report: its values add up to the difference of the
logits within 0.5 % (median over 150 test images, network of recipe reference, seed 0)."""
HEIGHT = 84
"""Height of the pictures in the report, in CSS pixels."""


@dataclass(frozen=True)
class AttributionRow:
    """One image: its class, the logit, and the sums of positive and negative values."""

    method: str = column()
    image: int = column()
    target: int = column(heading="class")
    logit: float = column("+.2f")
    positive: float = column("+.3f", "sum for")
    negative: float = column("+.3f", "sum against")
    gap: float | None = column("+.4f", "completeness gap")


@dataclass(frozen=True)
class Attribution(ShowsRows):
    """One value per pixel.

    Attributes:
        method: name in `METHODS`.
        values: (N, H, W) float32, over all channels; in logits for integrated gradients and occlusion.
        target: (N,) int64, the class that was asked about.
        logit: (N,) of that class.
        signed: whether negative values lower the logit; if not, values are magnitudes.
        completeness_gap: (N,) the sum of the values minus the difference between the logits of the
            image and of its baseline; None for methods that do not promise zero.
        layer: for Grad-CAM, the one whose maps were weighted.
    """

    method: str
    values: Tensor
    target: Tensor
    logit: Tensor
    signed: bool
    completeness_gap: Tensor | None = None
    layer: str | None = None

    @property
    def rows(self) -> Table[AttributionRow]:
        """One row per image."""
        flat = self.values.flatten(1).double()  # (N, H*W)
        sums = [flat.clamp(min=0).sum(1), flat.clamp(max=0).sum(1)]
        columns = [each.tolist() for each in (self.target, self.logit, *sums)]
        gaps = repeat(None) if self.completeness_gap is None else self.completeness_gap.tolist()
        return Table(map(AttributionRow, repeat(self.method), range(len(flat)), *columns, gaps))


@dataclass(frozen=True)
class Request:
    """What a method is given for one batch; ``images`` and ``baseline`` are (n, C, H, W)."""

    model: nn.Module
    images: Tensor
    target: Tensor
    baseline: Tensor
    steps: int
    window: int
    stride: int
    layer: nn.Module | None


@dataclass(frozen=True)
class Method:
    """A way to compute attributions, to be registered in `METHODS`.

    Attributes:
        compute: given a `Request`, returns (n, H, W), or (n, C, H, W), of which the sum over channels
            is taken if ``signed``, else the maximum.
        signed: whether negative values lower the logit.
        complete: whether values are meant to add up to the difference of the logits.
        stepwise: whether ``steps`` copies of an image go through the model at once.
    """

    compute: Callable[[Request], Tensor]
    signed: bool
    complete: bool = False
    stepwise: bool = False


METHODS: Registry[Method] = Registry("attribution method")


def attribute(
    model: nn.Module,
    images: Tensor,
    target: Target = None,
    *,
    method: str = "saliency",
    baseline: Baseline = None,
    steps: int = 50,
    window: int = 3,
    stride: int = 1,
    layer: str | None = None,
    batch_size: int = BATCH_SIZE,
    progress: Progress = no_progress,
) -> Attribution:
    """Compute which pixels raise and lower the logit of a class.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(3, 2, bias=False))
    >>> model[1].weight.data = torch.tensor([[1.0, 0, -2], [0, 0, 0]])
    >>> attribute(model, torch.ones(1, 1, 1, 3), 0).values
    tensor([[[1., 0., 2.]]])

    Args:
        model: of one input, that returns logits (N, K); it is as before when this returns or raises.
        images: (N, C, H, W) float, as the model takes them, on any device.
        target: see `chosen_classes`.
        method: a name in `METHODS`.
        baseline: see `baseline_of`; for integrated gradients and occlusion. Pixels that equal it have
            no attribution.
        steps: points on the path, for integrated gradients (Gauss-Legendre).
        window: side of the occluding patch in pixels; each of its places costs a pass.
        stride: of the patch in pixels, from 1 to ``window``.
        layer: whose maps Grad-CAM weights; by default the convolution that runs last.
        batch_size: images, or points on their paths, per batch.
        progress: is handed the batches.

    Raises:
        DataError: if images or classes are not as described.
        LayerError: if Grad-CAM has no layer that returns maps once.
        UsageError: if the method is unknown, an option is out of range, or there are no logits.
    """
    how = METHODS.get(method)
    require_images(model, images, 4)
    side = min(images.shape[2:])
    if steps < 1 or not 1 <= stride <= window or (method == "occlusion" and window > side):
        raise UsageError(f"steps must be at least 1, window 1 to {side} pixels, stride 1 to window.")
    logits = require_logits(model_outputs(model, images, batch_size))  # (N, K)
    classes = chosen_classes(logits, target)  # (N,)
    start = baseline_of(images, baseline)  # (N, C, H, W)
    name, module = _layer_with_maps(model, images[:1], layer) if method == "grad-cam" else (None, None)
    size = max(1, batch_size // steps) if how.stepwise else batch_size
    parts = []
    with restored(model), torch.inference_mode(False), torch.enable_grad():
        model.eval()
        chunks = zip(*(torch.split(x, size) for x in (images, classes, start)), strict=True)
        for chunk in progress(list(chunks)):
            # clones, because tensors made in inference mode have no gradients
            batch, asked, base = (x.detach().to(device_of(model)).clone() for x in chunk)
            values = how.compute(Request(model, batch, asked, base, steps, window, stride, module))
            if values.ndim == 4:  # (n, C, H, W)
                values = values.sum(dim=1) if how.signed else values.amax(dim=1)
            parts.append(values.detach().float().cpu())
    found = torch.cat(parts)  # (N, H, W)
    logit, gap = logits.gather(1, classes[:, None])[:, 0], None
    if how.complete:
        there = model_outputs(model, start, batch_size).gather(1, classes[:, None])[:, 0]
        gap = found.double().sum((1, 2)).float() - (logit - there)
    return Attribution(method, found, classes, logit, how.signed, gap, name)


def baseline_of(images: Tensor, baseline: Baseline = None) -> Tensor:
    """Return what pixels without content look like, (N, C, H, W).

    Args:
        images: (N, C, H, W).
        baseline: None for the smallest value that each channel has in ``images``: black after
            preprocessing, where 0 may be grey; a number; or a tensor that broadcasts to ``images``.

    Raises:
        DataError: if it does not.
    """
    if baseline is None:
        baseline = images.detach().amin((0, 2, 3))[:, None, None]  # (C, 1, 1)
    given = torch.as_tensor(baseline, dtype=images.dtype, device=images.device).detach()
    try:
        return given.expand(images.shape)
    except RuntimeError:
        raise DataError(f"a baseline {tuple(given.shape)} must broadcast to the images.") from None


def _layer_with_maps(model: nn.Module, image: Tensor, layer: str | None) -> tuple[str, nn.Module]:
    """Return the layer for Grad-CAM: the one that is asked for, or the convolution that runs last."""
    calls: list[Call] = []
    name = None if layer is None else find_layer(model, layer)[0].partition(":")[0]
    layer_outputs(model, image, name, calls.append)
    calls = [call for call in calls if name or isinstance(call.layer, nn.Conv2d)]
    if not calls:
        raise LayerError("the model has no convolution, and so no maps that Grad-CAM could weight.")
    last = next(call for call in calls if call.layer is calls[-1].layer)  # a shared layer's first name
    times = sum(call.name == last.name for call in calls)
    shape = tuple(getattr(last.outputs, "shape", ()))
    if times > 1 or len(shape) != 4:
        ran = f"layer '{last.name}' returns {shape} and runs {times} times per image"
        raise LayerError(f"{ran}; choose one that returns maps (N, C, h, w) once.")
    return last.name, last.layer


def _captum(name: str, request: Request, *layer: nn.Module | None, **options: Any) -> Tensor:
    """Compute attributions with one of Captum's methods."""
    from captum import attr

    request.images.requires_grad_()  # Captum would, with a warning
    method = getattr(attr, name)(lambda x: require_logits(request.model(x)), *layer)
    values: Tensor = method.attribute(request.images, target=request.target, **options)
    return values


def _grad_cam(request: Request) -> Tensor:
    maps = _captum("LayerGradCam", request, request.layer, relu_attributions=True)  # (n, 1, h, w)
    size = request.images.shape[2:]
    return nn.functional.interpolate(maps, size, mode="bilinear", align_corners=False)[:, 0]


def _integrated(request: Request) -> Tensor:
    return _captum("IntegratedGradients", request, baselines=request.baseline, n_steps=request.steps)


def _occlusion(request: Request) -> Tensor:
    window, stride = ((request.images.shape[1], n, n) for n in (request.window, request.stride))
    options = {"sliding_window_shapes": window, "strides": stride, "baselines": request.baseline}
    with torch.no_grad():
        values = _captum("Occlusion", request, **options)  # (n, C, H, W)
    return values[:, 0]  # the same for each channel, because a patch covers all


METHODS.register("saliency")(Method(lambda request: _captum("Saliency", request), signed=False))
METHODS.register("grad-cam")(Method(_grad_cam, signed=False))
METHODS.register("integrated-gradients")(Method(_integrated, True, complete=True, stepwise=True))
METHODS.register("occlusion")(Method(_occlusion, signed=True))


def plot_attribution(
    pixels: style.Array,
    found: Sequence[Attribution],
    classes: Sequence[str],
    *,
    labels: Sequence[str] | None = None,
    **figure_options: Any,
) -> "Figure":
    """Draw images, and below each its maps: one row per method, one column per class.

    Args:
        pixels: (N, H, W) or (N, C, H, W), any numbers; of several channels the mean is drawn.
        found: attributions of these images: of each method one per target, with the same targets.
        classes: K names.
        labels: N names of true classes, for the titles.
        figure_options: go to `matplotlib.figure.Figure`.

    Raises:
        DataError: if there are no attributions, or they do not fit the images or each other.
    """
    grey = np.asarray(pixels, dtype=np.float32)
    grey = grey.mean(axis=1) if grey.ndim == 4 else grey  # (N, H, W)
    methods = {each.method: [a for a in found if a.method == each.method] for each in found}
    targets = [[each.target.tolist() for each in row] for row in methods.values()]
    if targets != targets[:1] * len(targets) or {each.values.shape for each in found} != {grey.shape}:
        raise DataError(f"give attributions {grey.shape}, of each method for the same targets.")
    per = len(targets[0])
    columns = len(grey) * per
    heights = [1 + 0.4 * (per > 1)] + [1] * len(methods)  # in cells
    cell = min(1.3, max(0.62, 5.0 / columns))  # inches
    width, height = cell * columns + 2, (cell + 0.1) * sum(heights) + 0.8
    size = min(style.MAX_SIDE, width), min(style.MAX_SIDE, height)
    with style.new_figure(figure_options, size) as figure:
        figure.get_layout_engine().set(w_pad=0.02, h_pad=0.03, hspace=0, wspace=0)  # type: ignore[union-attr, call-arg]
        cells = figure.add_gridspec(len(heights), columns, height_ratios=heights)
        for number, image in enumerate(grey):
            ax = figure.add_subplot(cells[0, number * per : (number + 1) * per])
            tiles.bare(ax)
            ax.imshow(image, cmap=style.PIXELS)
            ax.set_title(f"true {labels[number]}" if labels else f"image {number}")
        for row, (name, of_method) in enumerate(methods.items(), start=1):
            values = np.stack([each.values.numpy() for each in of_method], axis=1)  # (N, per, H, W)
            bound = np.nanpercentile(np.abs(values), 100 - CLIPPED) or np.nanmax(np.abs(values))
            signed = of_method[0].signed
            norm = style.colour_scale(np.clip(values, -bound, bound), signed)
            colours, line = (style.SIGNED, style.INK) if signed else (style.POSITIVE, "white")
            for number, which in np.ndindex(len(grey), per):
                ax = figure.add_subplot(cells[row, number * per + which])
                tiles.bare(ax)
                ax.imshow(values[number, which], cmap=colours, norm=norm)
                low, high = grey[number].min(), grey[number].max()
                if high > low:
                    ax.contour(grey[number], [(low + high) / 2], colors=[line], linewidths=0.6)
                if row == 1:
                    ax.set_title(f"for {classes[targets[0][which][number]]}", fontsize=9, pad=3)
                if number == which == 0:
                    ax.set_ylabel(name.replace("-", "-\n", 1), rotation=0, ha="right", va="center")
            style.colour_bar(ax, norm, colours, ticks=2)
    return figure


def methods_for(inspection: "Inspection") -> dict[str, str | None]:
    """Return the methods that a network allows, and the layer of the one that needs maps."""
    layers = {"grad-cam": inspection.last_maps}
    return {m: layers.get(m) for m in METHODS.names() if layers.get(m, "") is not None}


def _figures(inspection: "Inspection", selection: "Selection") -> "Iterator[tuple[str, Figure]]":
    images = inspection.prepared(selection.pixels)
    two = torch.from_numpy(inspection.arch.predict(selection.pixels)).topk(2).indices  # (M, 2)
    found = [
        attribute(inspection.model, images, target, method=method, layer=layer)
        for method, layer in methods_for(inspection).items()
        for target in two.T
    ]
    pixels, classes = selection.pixels.numpy(), inspection.classes
    yield "attribution", plot_attribution(pixels, found, classes, labels=selection.labels)


def _part(inspection: "Inspection") -> Part:
    rows = inspection.examples
    images, method = inspection.images[rows], "integrated-gradients"
    found = attribute(inspection.model, images, method=method, steps=PAGE_POINTS)
    names = [inspection.classes[k] for k in found.target]
    drawn = [html.picture(inspection.pixels[row], f"test image {row}", HEIGHT) for row in rows]
    bound = float(found.values.abs().max())
    maps = pictures_of_maps(found.values.numpy(), names, bound)
    return Part.of(
        """
<p class="say">For {{ shown | length }} test images of different classes: pixels that raise the logit
of the predicted class are red, those that lower it blue (integrated gradients). One colour scale for
all: the darkest red and blue are {{ "%.2g" | format(bound) }} logits per pixel.
The maps show what this network used, not why. Pixels without ink have no value, so any map shows where
the ink is: see the next part.</p>
<ul class="strip">{% for image, map, name in shown %}
<li><div class="pair">{{ image }}{{ map }}</div><p class="fine">predicted {{ name }}</p></li>
{% endfor %}</ul>
""",
        shown=list(zip(drawn, maps, names, strict=True)),
        bound=bound,
    )


def pictures_of_maps(maps: style.Array, names: Sequence[str], bound: float | None = None) -> list[str]:
    """Return maps (N, H, W) of the logits of classes as pictures for a page, see `html.heat_map`."""
    text = "pixels that raise the logit of {} in red, those that lower it in blue"
    drawn = [html.heat_map(each, signed=True, bound=bound) for each in maps]
    return [html.picture(each, text.format(n), HEIGHT) for each, n in zip(drawn, names, strict=True)]


Question(
    "attribution",
    summary="Which pixels raise and lower the logits of the predicted class and of the runner-up.",
    figures=_figures,
    part=_part,
    heading="Attribution: which pixels matter",
    place=10,
    costs=Costs(1, 1, 1.6),
).register()
