"""Which of the images that a network learned from it takes to be most like another.

In: what a late layer sees of some images and of the training images. Out: for each image the training
images nearest by Euclidean distance. In the space of the last hidden layer near means alike to the
network; what it does there is close to a vote of neighbours (N. Papernot and P. McDaniel, "Deep
k-nearest neighbors", arXiv:1803.04765).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lenetscope.errors import DataError, UsageError
from lenetscope.tracking import Track, untracked

ROWS, TRAIN_ROWS = 1024, 4096
"""Images of either kind that are compared at once: 32 MiB of distances, however many there are."""


@dataclass(frozen=True)
class Neighbours:
    """The k nearest training images of N images, nearest first.

    Attributes:
        indices: (N, k) int64 into the training images.
        distances: (N, k) float64, Euclidean, in the units of the features.
    """

    indices: Tensor
    distances: Tensor


def nearest_neighbours(
    features: Tensor, train_features: Tensor, k: int = 5, *, track: Track = untracked
) -> Neighbours:
    """Return the training images whose features are nearest, all compared with all, in blocks.

    >>> nearest_neighbours(torch.tensor([[0.0]]), torch.tensor([[5.0], [-1.0], [2.0]]), 2).indices
    tensor([[1, 2]])

    Args:
        features: (N, …) of the images asked about, such as the inputs of the last layer.
        train_features: (M, …) of the training images, from the same layer.
        k: how many neighbours, from 1 to M.
        track: is handed the blocks of training images and shows how far one has come.

    Raises:
        DataError: if the features are of different layers, or not finite.
        UsageError: if ``k`` is out of range.
    """
    if features.ndim < 2 or features.shape[1:] != train_features.shape[1:]:
        raise DataError(
            f"features are (N, …) and (M, …) from one layer, not {tuple(features.shape)} and "
            f"{tuple(train_features.shape)}."
        )
    if not 1 <= k <= len(train_features):
        raise UsageError(f"k goes from 1 to the {len(train_features):,} training images, not {k}.")
    asked, known = features.detach().flatten(1).cpu(), train_features.detach().flatten(1).cpu()
    if not (asked.isfinite().all() and known.isfinite().all()):
        raise DataError("some features are not finite numbers: look at what the layer is given.")
    middle = known.mean(dim=0, dtype=torch.float64)  # (D,): small numbers lose fewer digits
    best = [(torch.empty(len(b), 0, dtype=torch.float64), torch.empty(len(b), 0, dtype=torch.long))
            for b in torch.split(asked, ROWS)]  # fmt: skip
    for start in track(range(0, len(known), TRAIN_ROWS)):
        train = known[start : start + TRAIN_ROWS].double() - middle
        for number, rows in enumerate(torch.split(asked, ROWS)):
            # |a - b|² = |a|² + |b|² - 2ab, of which |a|² does not change who is nearest
            squares = train.square().sum(1) - 2 * (rows.double() - middle) @ train.T  # (rows, train)
            nearest, indices = squares.topk(min(k, len(train)), largest=False)
            squares = torch.cat([best[number][0], nearest], dim=1)
            indices = torch.cat([best[number][1], indices + start], dim=1)
            nearest, places = squares.topk(min(k, squares.shape[1]), largest=False)
            best[number] = (nearest, indices.gather(1, places))
    parts = [
        _measured(rows, known, indices)
        for rows, (_, indices) in zip(torch.split(asked, ROWS), best, strict=True)
    ]
    return Neighbours(torch.cat([i for i, _ in parts]), torch.cat([d for _, d in parts]))


def _measured(rows: Tensor, known: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
    """Measure without the shortcut, and order by distance, equal ones by index."""
    indices = indices.sort(dim=1).values
    columns = [(rows.double() - known[column].double()).square().sum(1) for column in indices.T]
    distances, order = torch.stack(columns, dim=1).sqrt().sort(dim=1, stable=True)  # (rows, k)
    return indices.gather(1, order), distances
