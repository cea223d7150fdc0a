"""Which pixels speak for a class, and which against it.

In: a model, images and a class. Out: one value a pixel. Four methods, computed by Captum
(N. Kokhlikyan et al., arXiv:2009.07896, 2020); more can be registered in `METHODS`:

- ``saliency``: how steeply the logit changes with a pixel, up or down (K. Simonyan et al.,
  arXiv:1312.6034, 2013).
- ``integrated-gradients``: the slope, averaged on the straight way from the baseline to the image,
  times how far the pixel is from the baseline (M. Sundararajan et al., arXiv:1703.01365, 2017). The
  values add up to the difference of the two logits; how far they miss it is told.
- ``grad-cam``: maps of a convolution, weighted by their mean slope, what is negative cut off
  (R. Selvaraju et al., arXiv:1610.02391, 2016), brought up to the size of the image.
- ``occlusion``: how far the logit falls when a patch is set to the baseline, averaged over the patches
  that cover a pixel (M. Zeiler, R. Fergus, arXiv:1311.2901, 2013).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lenetscope.errors import LayerError, UsageError, listed, unknown
from lenetscope.insight.asking import (
    Baseline,
    Target,
    as_logits,
    baseline_of,
    chosen_classes,
    logits_of,
)
from lenetscope.insight.hooks import CustomHooks, find_layers
from lenetscope.registry import Registry
from lenetscope.tables import Table, column
from lenetscope.tracking import Track, untracked
from lenetscope.untouched import device_of, untouched


@dataclass(frozen=True)
class AttributedImage:
    """One image: its class, the logit, and the sums of what speaks for and against the class."""

    image: int = column()
    target: int = column(heading="class")
    logit: float = column("+.2f")
    positive: float = column("+.3f", "sum for")
    negative: float = column("+.3f", "sum against")
    gap: float | None = column("+.4f", "completeness gap")


@dataclass(frozen=True)
class Attribution:
    """What each pixel says about a class.

    Attributes:
        method: name in `METHODS`.
        values: (N, H, W) float32, one value a pixel of all its channels. Those of integrated gradients
            and occlusion are in logits.
        target: (N,) int64, the class that was asked about.
        logit: (N,) of that class for the image, and ``baseline_logit`` (N,) for the baseline.
        signed: whether negative values speak against the class; without, values are sizes.
        completeness_gap: (N,) in logits: the sum of the values less the difference of the two logits;
            None for methods that do not promise it to be zero.
        layer: whose maps were weighted, for Grad-CAM.
    """

    method: str
    values: Tensor
    target: Tensor
    logit: Tensor
    baseline_logit: Tensor
    signed: bool
    completeness_gap: Tensor | None = None
    layer: str | None = None

    @property
    def rows(self) -> Table[AttributedImage]:
        """One row an image."""
        flat = self.values.flatten(1).double()
        gaps = [None] * len(flat) if self.completeness_gap is None else self.completeness_gap.tolist()
        columns = (
            self.target.tolist(),
            self.logit.tolist(),
            flat.clamp(min=0).sum(1).tolist(),
            flat.clamp(max=0).sum(1).tolist(),
            gaps,
        )
        return Table(AttributedImage(i, *row) for i, row in enumerate(zip(*columns, strict=True)))

    def __str__(self) -> str:
        return f"{self.method}\n{self.rows}"

    def _repr_html_(self) -> str:
        return f"<p>{self.method}</p>{self.rows._repr_html_()}"


@dataclass(frozen=True)
class Question:
    """What a method is asked about one batch; ``images`` and ``baseline`` are (n, C, H, W)."""

    logits: Callable[[Tensor], Tensor]
    images: Tensor
    target: Tensor
    baseline: Tensor
    steps: int
    window: int
    stride: int
    layer: nn.Module | None


@dataclass(frozen=True)
class Method:
    """A way to ask.

    Attributes:
        answer: of a `Question`, returns (n, C, H, W), or (n, H, W) if it puts channels together itself;
            of (n, C, H, W) the sum is taken if ``signed``, else the largest.
        signed: whether values below zero speak against the class.
        complete: whether values are meant to add up to the difference of the logits.
        passes: how many copies of an image go through the model at once, for a question.
    """

    answer: Callable[[Question], Tensor]
    signed: bool
    complete: bool = False
    passes: Callable[[int], int] = lambda _steps: 1


METHODS: Registry[Method] = Registry("attribution method")


def attribute(
    model: nn.Module,
    images: Tensor,
    target: Target = None,
    *,
    method: str = "saliency",
    baseline: Baseline = "background",
    steps: int = 50,
    window: int = 3,
    stride: int = 1,
    layer: str | None = None,
    batch_size: int = 250,
    track: Track = untracked,
) -> Attribution:
    """Ask which pixels speak for a class.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False))
    >>> with torch.no_grad():
    ...     _ = model[1].weight.copy_(torch.tensor([[1.0, 2, 0, -1], [0, 0, 0, 0]]))
    >>> attribute(model, torch.ones(1, 1, 2, 2), 0).values
    tensor([[[1., 2.],
             [0., 1.]]])

    Args:
        model: of one input, that puts out logits (N, K) of K ≥ 2 classes, see
            `lenetscope.evaluation.predictions.main_output`; it is asked in evaluation mode.
        images: (N, C, H, W) float, as the model takes them, on any device.
        target: the class asked about: None for the one predicted, an int for all, or (N,) integers.
        method: a name in `METHODS`.
        baseline: what "nothing there" looks like, for integrated gradients and occlusion:
            ``"background"``, the smallest value that each channel has in ``images`` (black after
            preprocessing, where 0 may be grey); a number; or a tensor that broadcasts to ``images``.
            What an image shares with its baseline gets no value.
        steps: points on the way, for integrated gradients (Gauss-Legendre).
        window: side of the patch in pixels, for occlusion; an image goes through the model
            ``((H - window) / stride + 1) * ((W - window) / stride + 1)`` times.
        stride: how far the patch is moved each time, in pixels, 1 to ``window``.
        layer: whose maps are weighted, for Grad-CAM; the convolution that runs last, if None.
        batch_size: how many images, or points on their ways, go through at once.
        track: is handed the batches and shows how far one has come.

    Returns:
        Values (N, H, W) and what they add up to.

    Raises:
        DataError: if the images are not floats (N, C, H, W), or a class is out of range.
        LayerError: if Grad-CAM has no layer with maps, or one that runs several times.
        UsageError: if the method is not known, an option is out of range, or the model has several
            inputs or no logits (N, K).
    """
    how = METHODS.get(method)
    if steps < 1 or not 1 <= stride <= window:
        raise UsageError(
            f"steps {steps}, window {window} and stride {stride} cannot be: steps and stride are 1 or "
            "more, and the stride is at most the window, or pixels between patches are never asked."
        )
    logits = logits_of(model, images, batch_size)  # (N, K)
    if method == "occlusion" and window > min(images.shape[2:]):
        raise UsageError(
            f"a window of {window} pixels is larger than images of {tuple(images.shape[2:])}; choose a "
            "smaller one."
        )
    classes = chosen_classes(logits, target)  # (N,)
    start = baseline_of(images, baseline)  # (N, C, H, W), expanded
    name = _layer_with_maps(model, images[:1], layer) if method == "grad-cam" else None
    module = None if name is None else find_layers(model, name)[name]
    device = device_of(model)
    per = max(1, batch_size // how.passes(steps))
    parts = []
    with untouched(model), torch.inference_mode(False), torch.enable_grad():
        model.eval()
        for first in track(range(0, len(images), per)):
            rows = slice(first, first + per)
            # clones, because what was made in inference mode has no gradients
            batch, base = (x[rows].detach().to(device).clone() for x in (images, start))
            asked = Question(
                lambda x: as_logits(model(x)),
                batch,
                classes[rows].to(device).clone(),
                base,
                steps,
                window,
                stride,
                module,
            )
            parts.append(_one_a_pixel(how.answer(asked), how.signed).detach().float().cpu())
    values = torch.cat(parts)  # (N, H, W)
    here = logits.gather(1, classes[:, None])[:, 0]
    there = logits_of(model, start, batch_size).gather(1, classes[:, None])[:, 0]
    gap = values.double().sum((1, 2)).float() - (here - there) if how.complete else None
    return Attribution(method, values, classes, here, there, how.signed, gap, name)


def _one_a_pixel(values: Tensor, signed: bool) -> Tensor:
    """Put the channels of (n, C, H, W) together: the sum of what has a sign, the largest of sizes."""
    if values.ndim == 3:
        return values
    return values.sum(1) if signed else values.amax(1)


def _saliency(asked: Question) -> Tensor:
    from captum.attr import Saliency

    images = asked.images.requires_grad_()  # Captum would, and warn
    values: Tensor = Saliency(asked.logits).attribute(images, target=asked.target)
    return values


def _integrated_gradients(asked: Question) -> Tensor:
    from captum.attr import IntegratedGradients

    values: Tensor = IntegratedGradients(asked.logits).attribute(
        asked.images, baselines=asked.baseline, target=asked.target, n_steps=asked.steps
    )
    return values


def _grad_cam(asked: Question) -> Tensor:
    from captum.attr import LayerGradCam

    assert asked.layer is not None
    maps = LayerGradCam(asked.logits, asked.layer).attribute(
        asked.images, target=asked.target, relu_attributions=True
    )  # (n, 1, h, w)
    size = asked.images.shape[2:]
    return nn.functional.interpolate(maps, size, mode="bilinear", align_corners=False)[:, 0]


def _occlusion(asked: Question) -> Tensor:
    from captum.attr import Occlusion

    channels = asked.images.shape[1]
    with torch.no_grad():
        values: Tensor = Occlusion(asked.logits).attribute(
            asked.images,
            sliding_window_shapes=(channels, asked.window, asked.window),
            strides=(channels, asked.stride, asked.stride),
            baselines=asked.baseline,
            target=asked.target,
        )  # (n, C, H, W), the same for each channel, because a patch covers all
    return values[:, 0]


METHODS.register("saliency")(Method(_saliency, signed=False))
METHODS.register("integrated-gradients")(
    Method(_integrated_gradients, signed=True, complete=True, passes=lambda steps: steps)
)
METHODS.register("grad-cam")(Method(_grad_cam, signed=False))
METHODS.register("occlusion")(Method(_occlusion, signed=True))


def _layer_with_maps(model: nn.Module, image: Tensor, layer: str | None) -> str:
    """Return the layer for Grad-CAM: ``layer`` if it can be, or the convolution that runs last."""
    names = {module: name for name, module in reversed(list(model.named_modules()))}
    convolutions = [n for m, n in names.items() if isinstance(m, nn.Conv2d)]
    if layer is None and not convolutions:
        raise LayerError("the model has no convolution, and so no maps that Grad-CAM could weight.")
    if layer is not None and layer not in find_layers(model, layer):  # a pattern
        raise LayerError(unknown("layer", layer, convolutions))
    asked = convolutions if layer is None else [layer]
    calls: list[tuple[nn.Module, object]] = []
    with (
        untouched(model),
        CustomHooks(model, asked, lambda module, _inputs, outputs: calls.append((module, outputs))),
        torch.no_grad(),
    ):
        model.eval()
        model(image.to(device_of(model)))
    if not calls:
        raise LayerError(f"{listed(asked)} did not run; choose a layer that does.")
    last, outputs = calls[-1]
    name = layer or names[last]
    times = sum(module is last for module, _ in calls)
    if times > 1:
        raise LayerError(
            f"layer '{name}' runs {times} times for an image, so it has no one set of maps; choose a "
            "layer that runs once."
        )
    if not isinstance(outputs, Tensor) or outputs.ndim != 4:
        shape = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise LayerError(
            f"layer '{name}' puts out {shape}, not maps (N, C, h, w); choose a convolution"
            + (f": {listed(convolutions)}." if convolutions else ".")
        )
    return name
