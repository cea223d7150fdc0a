"""Statistics over all batches of a loader, and the normalisation that follows from them."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lenetscope.arguments import as_numbers, pairs, require_callable, shown
from lenetscope.errors import DataError, UsageError

if TYPE_CHECKING:
    from torchvision.transforms import v2


def loader_apply(
    loader: Iterable[Any], func: Callable[[Any, Any], Tensor], reduce: str | None = "sum"
) -> Tensor:
    """Call ``func(inputs, labels)`` for each batch; return the results stacked, summed or averaged.

    Raises:
        UsageError: if ``reduce`` is not ``"sum"``, ``"mean"`` or None.
        DataError: if the loader has no batches.
    """
    if reduce is not None and not (isinstance(reduce, str) and reduce in ("sum", "mean")):
        raise UsageError(f"reduce must be 'sum', 'mean' or None, not {shown(reduce)}.")
    require_callable("func", func, "(inputs, labels)")
    results = [func(inputs, labels) for inputs, labels in pairs(loader)]
    if not results:
        raise DataError("the loader has no batches.")
    if not isinstance(results[0], Tensor):
        raise UsageError(f"func must return a tensor for each batch, not {shown(results[0])}.")
    stacked = torch.stack(results)
    if reduce == "sum":
        return stacked.sum(dim=0)
    return stacked.float().mean(dim=0) if reduce == "mean" else stacked


def statistics_per_channel(images: Tensor, labels: Tensor | None = None) -> Tensor:
    """Return (3, C): N, the sum of the images' means, and the sum of their standard deviations.

    Args:
        images: (N, C, H, W) float.
        labels: ignored; here so that `loader_apply` can call this function.
    """
    pixels = _pixels(images).float()
    count = torch.full((pixels.shape[1],), float(len(pixels)))
    return torch.stack([count, pixels.mean(dim=2).sum(dim=0), pixels.std(dim=2).sum(dim=0)])


def make_normalizer(loader: Iterable[Any]) -> "v2.Normalize":
    """Return the transform that gives the pixels of each channel mean 0 and standard deviation 1.

    Raises:
        DataError: if the loader has no batches, or a channel has the same value in every pixel.
    """
    from torchvision.transforms import v2  # late: slow to import, and training does without

    mean, std = mean_and_std(loader)
    if not bool((std > 0).all()):
        raise DataError("a channel has the same value in every pixel: it cannot be normalised.")
    return v2.Normalize(mean=mean.tolist(), std=std.tolist())


def mean_and_std(loader: Iterable[Any]) -> tuple[Tensor, Tensor]:
    """Return the mean of each channel's pixels and their standard deviation, (C,) float64 each.

    The standard deviation is that of all pixels of all images together, not the mean of the images'.

    Raises:
        DataError: if the loader has no batches.
    """

    def sums(images: Tensor, _labels: Tensor) -> Tensor:
        pixels = _pixels(images).double().transpose(0, 1).flatten(start_dim=1)  # (C, N * H * W)
        count = torch.full((len(pixels),), pixels.shape[1], dtype=torch.float64)
        return torch.stack([count, pixels.sum(dim=1), pixels.square().sum(dim=1)])

    count, total, squares = loader_apply(loader, sums)
    mean = total / count
    return mean, (squares / count - mean.square()).clamp(min=0).sqrt()


def _pixels(images: Any) -> Tensor:
    """Return images (N, C, H, W) with the pixels of each channel in a row, (N, C, H * W)."""
    given = as_numbers("images", images)
    if given.ndim < 3:
        raise DataError(f"images must be (N, C, H, W), not {shown(given)}.")
    return given.flatten(start_dim=2)
