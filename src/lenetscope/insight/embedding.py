"""How a layer arranges images: its outputs, brought down to two dimensions.

In: a model, images and a layer. Out: a point for each image. Two ways, both scikit-learn's (F.
Pedregosa et al., JMLR 12, 2011): ``pca``, the plane in which the outputs vary most, with the share of
the variance that it holds; and ``tsne``, which keeps neighbours together and nothing else (L. van der
Maaten, G. Hinton, JMLR 9, 2008), on the 50 main components as they do.
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lenetscope.errors import DataError, UsageError, listed
from lenetscope.insight.capture import to_cpu
from lenetscope.insight.stream import check, find_layer, stream_one
from lenetscope.tracking import Track, untracked

Method = Literal["pca", "tsne"]
Array = npt.NDArray[Any]
METHODS = get_args(Method)
COMPONENTS = 50
"""Main components that t-SNE is given."""


@dataclass(frozen=True)
class Embedding:
    """Images as points of a plane.

    Attributes:
        layer: name of the layer, and call.
        method: ``"pca"`` or ``"tsne"``.
        points: (n, 2) float64.
        images: (n,) int64, which images these are, in ascending order.
        explained: (2,) shares of the variance along the two axes; None for t-SNE.
        perplexity: how many neighbours, roughly, t-SNE kept together; None for PCA.
    """

    layer: str
    method: Method
    points: Array
    images: Array
    explained: Array | None
    perplexity: float | None


def embed(
    model: nn.Module,
    images: Tensor,
    layer: str,
    *,
    method: Method = "pca",
    subset: int | None = 2000,
    perplexity: float = 30.0,
    seed: int = 0,
    batch_size: int = 250,
    track: Track = untracked,
) -> Embedding:
    """Bring what a layer puts out for some images down to two dimensions.

    Args:
        model: of one input; it is as before when this returns or raises.
        images: (N, …), as the model takes them, on any device.
        layer: exact name, or ``name:1`` for the second call of a layer that runs several times.
        method: ``"pca"`` or ``"tsne"``.
        subset: at most so many images, drawn at random; None for all.
        perplexity: of t-SNE; lowered to a third of the other images where these are few.
        seed: of the choice of images, and of t-SNE.
        batch_size: how many images go through at once.
        track: is handed the batches and shows how far one has come.

    Raises:
        LayerError: if there is no such layer.
        DataError: if there are fewer than 3 images (4 for t-SNE), or the layer says the same of all of
            them, or something that is not finite.
        UsageError: if the method is neither of the two, or ``perplexity`` is not positive.
    """
    if method not in METHODS:
        raise UsageError(f"'{method}' is none of {listed(METHODS)}.")
    if not perplexity > 0:
        raise UsageError(f"perplexity must be positive, not {perplexity}.")
    check(model, images)
    chosen = _chosen(len(images), subset, seed)
    least = 3 if method == "pca" else 4
    if len(chosen) < least:
        raise DataError(f"{method} needs at least {least} images, not {len(chosen)}.")
    parts: list[Tensor] = []
    stream_one(
        model,
        images[torch.from_numpy(chosen).to(images.device)],
        layer,
        lambda values: parts.append(to_cpu(values.flatten(1) if values.ndim > 1 else values[:, None])),
        batch_size=batch_size,
        track=track,
    )
    outputs = torch.cat(parts).float().numpy()  # (n, numbers)
    if not np.isfinite(outputs).all():
        raise DataError(f"layer '{layer}' puts out values that are not finite.")
    if (outputs == outputs[0]).all():
        raise DataError(f"layer '{layer}' puts out the same for all {len(outputs)} images.")
    name = find_layer(model, layer).key
    if method == "pca":
        points, explained = principal(outputs, 2, seed)
        return Embedding(name, method, points, chosen, explained, None)
    kept = min(perplexity, (len(outputs) - 1) / 3)
    return Embedding(name, method, _tsne(outputs, kept, seed), chosen, None, kept)


def principal(outputs: Array, count: int, seed: int) -> tuple[Array, Array]:
    """Project on the main components.

    Args:
        outputs: (n, numbers).
        count: of components.
        seed: of the vector that the search for them starts with.

    Returns:
        (n, count) and the share of the variance of each; zeros where there are fewer components.
    """
    from sklearn.decomposition import PCA

    most = min(outputs.shape)
    # both are exact to rounding; the second does not compute the components that nobody asked for
    solver = "full" if most <= 4 * count else "arpack"
    found = PCA(min(count, most), svd_solver=solver, random_state=seed).fit(outputs)
    points, shares = np.zeros((len(outputs), count)), np.zeros(count)
    points[:, : found.n_components_] = found.transform(outputs)
    shares[: found.n_components_] = found.explained_variance_ratio_
    return points, shares


def _tsne(outputs: Array, perplexity: float, seed: int) -> Array:
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    if outputs.shape[1] > COMPONENTS:
        outputs, _ = principal(outputs, min(COMPONENTS, len(outputs) - 1), seed)
    init = "pca" if outputs.shape[1] > 1 else "random"
    with threadpool_limits(1):  # sums over threads would differ in their last digits, and then in all
        points: Array = TSNE(2, perplexity=perplexity, init=init, random_state=seed).fit_transform(
            outputs
        )
    return points.astype(np.float64)


def _chosen(count: int, subset: int | None, seed: int) -> Array:
    if subset is None or subset >= count:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, max(subset, 0), replace=False))
