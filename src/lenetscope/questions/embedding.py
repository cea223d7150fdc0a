"""Embedding: the outputs of a layer, reduced to points of a plane.

Two methods of scikit-learn (F. Pedregosa et al., JMLR 12, 2011): ``pca``, the plane in which the
outputs vary most; and ``tsne``, which keeps neighbours together and nothing else (L. van der Maaten,
G. Hinton, JMLR 9, 2008), applied to the 50 principal components, as its authors do.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from lenetscope.errors import DataError, UsageError
from lenetscope.observe import Call, find_layer, layer_outputs, require_one_of
from lenetscope.plots import style
from lenetscope.progress import Progress, no_progress
from lenetscope.questions import Costs, Part, Question
from lenetscope.recording import to_cpu

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lenetscope.inspection import Inspection
    from lenetscope.selection import Selection

Method = Literal["pca", "tsne"]

TITLES = {"pca": "PCA", "tsne": "t-SNE"}
COMPONENTS = 50
"""Principal components that t-SNE is given."""
COLOURS = (
    *("#332288", "#88ccee", "#117733", "#ddcc77", "#cc6677"),
    *("#44aa99", "#882255", "#999933", "#aa4499", "#4477aa"),
)
"""Distinguishable for the colour-blind, too, as far as ten can be: P. Tol, "Colour Schemes", 2021."""
SHAPES = "osD^vPX<>*"
SHORT = 2
"""Characters of the longest name of a class up to which names stand among the points: longer ones would
hide them, and stand in a legend."""
NAMED = 24
"""Misclassified points that carry a text, at most."""
SUBSET, PAGE_SUBSET = 2000, 1000
"""How many images are embedded, and how many in the report."""


@dataclass(frozen=True)
class Embedding:
    """Images as points of a plane.

    Attributes:
        layer: name, and call.
        method: ``"pca"`` or ``"tsne"``.
        points: (n, 2) float64.
        images: (n,) int64, indices of the images, ascending.
        explained: (2,) fraction of the variance along each axis; None for t-SNE.
        perplexity: number of neighbours, roughly, that t-SNE kept together; None for PCA.
    """

    layer: str
    method: Method
    points: style.Array
    images: style.Array
    explained: style.Array | None
    perplexity: float | None


def embed(
    model: nn.Module,
    images: Tensor,
    layer: str,
    *,
    method: Method = "pca",
    subset: int | None = SUBSET,
    perplexity: float = 30.0,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Embedding:
    """Reduce the outputs of a layer to two dimensions.

    Args:
        model: of one input; it is as before when this returns or raises.
        images: (N, …), as the model takes them, on any device.
        layer: exact name, or ``name:1`` for the second call of a layer that runs several times.
        method: ``"pca"`` or ``"tsne"``.
        subset: number of images at most, drawn at random; None for all.
        perplexity: of t-SNE; at most a third of the number of other images.
        seed: of the choice of images, and of t-SNE.
        progress: is handed the batches.

    Raises:
        LayerError: if there is no such layer.
        DataError: if there are fewer than 3 images (4 for t-SNE), or outputs are infinite or NaN, or
            the same for all of them.
        UsageError: if the method is neither of the two, or ``perplexity`` is not positive.
    """
    require_one_of("method", method, get_args(Method))
    if not perplexity > 0:
        raise UsageError(f"perplexity must be positive, not {perplexity}.")
    chosen = np.arange(len(images))
    if subset is not None and subset < len(images):
        random = np.random.default_rng(seed)
        chosen = np.sort(random.choice(len(images), max(subset, 0), replace=False))
    if len(chosen) < (least := 3 if method == "pca" else 4):
        raise DataError(f"{method} needs at least {least} images, not {len(chosen)}.")
    key, _ = find_layer(model, layer)
    parts: list[Tensor] = []

    def keep(call: Call) -> None:
        if call.key == key:
            parts.append(to_cpu(call.tensor.reshape(len(call.tensor), -1)))  # (batch, D)

    layer_outputs(model, images[chosen], [key], keep, progress=progress)
    outputs = torch.cat(parts).float().numpy()  # (n, D)
    if not np.isfinite(outputs).all() or (outputs == outputs[0]).all():
        raise DataError(f"layer '{key}' returns infinite values, NaN, or the same for all images.")
    if method == "pca":
        points, explained = _principal(outputs, 2, seed)
        return Embedding(key, method, points, chosen, explained, None)
    perplexity = min(perplexity, (len(outputs) - 1) / 3)
    return Embedding(key, method, _tsne(outputs, perplexity, seed), chosen, None, perplexity)


def _principal(outputs: style.Array, count: int, seed: int) -> tuple[style.Array, style.Array]:
    """Project (n, D) on principal components; return (n, count) and their fractions of the variance."""
    from sklearn.decomposition import PCA

    most = min(outputs.shape)
    # both are exact to rounding; the second computes only the components that are asked for
    solver = "full" if most <= 4 * count else "arpack"
    found = PCA(min(count, most), svd_solver=solver, random_state=seed).fit(outputs)
    points, fractions = np.zeros((len(outputs), count)), np.zeros(count)
    points[:, : found.n_components_] = found.transform(outputs)
    fractions[: found.n_components_] = found.explained_variance_ratio_
    return points, fractions


def _tsne(outputs: style.Array, perplexity: float, seed: int) -> style.Array:
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    if outputs.shape[1] > COMPONENTS:
        outputs, _ = _principal(outputs, min(COMPONENTS, len(outputs) - 1), seed)
    init = "pca" if outputs.shape[1] > 1 else "random"
    with threadpool_limits(1):  # sums over threads would differ in their last digits, and then in all
        found = TSNE(2, perplexity=perplexity, init=init, random_state=seed).fit_transform(outputs)
    return np.asarray(found, dtype=np.float64)


def plot_embedding(
    found: Embedding,
    labels: style.Array,
    classes: Sequence[str],
    *,
    predicted: style.Array | None = None,
    name: str | None = None,
    **figure_options: Any,
) -> "Figure":
    """Draw points by class: a colour, a shape, and the name of the class at its median or in a legend.

    Misclassified points have a ring and, if names are short and there is room, a text with true and
    predicted class.

    Args:
        found: the answer of `embed`.
        labels: (N,) true classes of the images that were given to `embed`.
        classes: K names.
        predicted: (N,) predicted classes of these images.
        name: what was embedded, for the title; by default the outputs of the layer.
        figure_options: go to `matplotlib.figure.Figure`.

    Raises:
        DataError: if labels or predictions do not fit the images or the classes.
    """
    given = [np.asarray(labels), np.asarray(labels if predicted is None else predicted)]
    if any(len(x) <= found.images.max() or x.min() < 0 or x.max() >= len(classes) for x in given):
        raise DataError(f"give labels and predictions of all images, from 0 to {len(classes) - 1}.")
    true, answers = (x[found.images] for x in given)  # (n,) each
    points, wrong = found.points, np.flatnonzero(true != answers)
    with style.new_figure(figure_options, (6.5, 6.2)) as figure:
        ax = figure.subplots()
        taken = []  # places with a text
        short = max(map(len, classes)) <= SHORT
        for k in np.unique(true):
            colour, shape = COLOURS[k % len(COLOURS)], SHAPES[k % len(SHAPES)]
            x, y = points[true == k].T
            look: Any = {"c": colour, "marker": shape, "alpha": 0.75, "linewidths": 0}
            ax.scatter(x, y, s=14, label=classes[k], **look)
            taken.append(np.median(points[true == k], axis=0))
            if short:
                _write_name(ax, taken[-1], classes[k], colour)
        ax.set_aspect("equal", "datalim")
        if not short:
            figure.legend(loc="outside right upper", markerscale=2, fontsize=9)
        texts = [f"{classes[true[i]]}→{classes[answers[i]]}" if short else "" for i in wrong]
        _mark_errors(ax, points[wrong], texts, taken, 0.05 * float(np.ptp(points, axis=0).max()))
        if found.explained is None:
            ax.set(xticks=[], yticks=[], xlabel="only which points are neighbours is meaningful")
        else:
            first, second = (
                f"component ({100 * part:.0f} % of the variance)" for part in found.explained
            )
            ax.set(xlabel=f"first {first}", ylabel=f"second {second}")
        name = name or f"outputs of {found.layer}"
        key = " (true→predicted)" if short else ""
        errors = "" if predicted is None else f", {len(wrong)} of them misclassified{key}"
        ax.set_title(f"{TITLES[found.method]} of the {name}\n{len(true):,} images{errors}")
    return figure


def _write_name(ax: "Axes", place: style.Array, name: str, colour: str) -> None:
    """Write the name of a class on a disc of its colour."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    bright = 0.299 * red + 0.587 * green + 0.114 * blue > 150
    look: Any = {"fontsize": 13, "fontweight": "bold", "color": "#111111" if bright else "white"}
    disc: Any = {"boxstyle": "circle,pad=0.25", "facecolor": colour, "edgecolor": "white"}
    ax.text(place[0], place[1], name, ha="center", va="center", zorder=5, bbox=disc, **look)


def _mark_errors(
    ax: "Axes", points: style.Array, texts: Sequence[str], taken: list[style.Array], room: float
) -> None:
    """Draw rings around points, and texts beside those that have room, at most `NAMED`."""
    ring: Any = {"facecolors": "none", "edgecolors": style.WRONG, "linewidths": 1.4}
    ax.scatter(points[:, 0], points[:, 1], s=60, zorder=4, **ring)
    look: Any = {"fontsize": 9, "color": style.WRONG, "fontweight": "bold", "zorder": 6}
    most = len(taken) + NAMED
    for point, text in zip(points, texts, strict=True):
        crowded = any((np.abs(point - other) <= (2 * room, room)).all() for other in taken)
        if len(taken) < most and not crowded:
            ax.annotate(text, point, xytext=(6, 4), textcoords="offset points", **look)
            taken.append(point)


def _draw(
    inspection: "Inspection", layer: str, method: Method, subset: int, **options: Any
) -> "tuple[Embedding, Figure]":
    model, images = inspection.model, inspection.images
    found = embed(model, images, layer, method=method, subset=subset, progress=inspection.progress)
    labels, predicted = inspection.labels.numpy(), inspection.predicted.numpy()
    name = f"inputs of {inspection.last_layer}, the last layer"
    name = name if layer == inspection.penultimate else f"outputs of {layer}"
    about: dict[str, Any] = {"predicted": predicted, "name": name} | options
    return found, plot_embedding(found, labels, inspection.classes, **about)


def _figures(inspection: "Inspection", selection: "Selection") -> "Iterator[tuple[str, Figure]]":
    for layer in selection.layers or [inspection.penultimate]:
        for method in get_args(Method):
            name = f"embedding-{layer}-{method}" if selection.layers else f"embedding-{method}"
            yield name, _draw(inspection, layer, method, SUBSET)[1]


def _part(inspection: "Inspection") -> Part:
    found, figure = _draw(inspection, inspection.penultimate, "tsne", PAGE_SUBSET, figsize=(4.8, 4.6))
    return Part.of(
        """
<p class="say">{{ found.images | length | number }} test images{% if found.images | length < total %},
drawn at random from {{ total | number }}{% endif %}, placed by t-SNE according to the inputs of {{
last }}, the last layer: images that are similar to the network are neighbours. Rings mark
misclassified images. Only neighbourhood is meaningful: distances between groups, the sizes of groups
and the axes are not.</p>
<figure>{{ figure
| inline("embedding", "test images as points, near each other where the network finds them similar")
| scrolling("Embedding") }}</figure>
""",
        found=found,
        figure=figure,
        total=len(inspection.labels),
        last=inspection.last_layer,
    )


Question(
    "embedding",
    summary="Which images are similar according to the outputs of a layer (PCA and t-SNE).",
    figures=_figures,
    part=_part,
    heading="Embedding: which images are similar to the network",
    place=60,
    costs=Costs(2.8, 0, 7),
).register()
