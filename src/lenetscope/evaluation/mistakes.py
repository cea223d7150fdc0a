"""Misclassified images, and the training images that the network finds most similar to them.

Similar are those whose features, the inputs of the last layer, are near: what the last layer does is
close to a vote of neighbours (N. Papernot and P. McDaniel, "Deep k-nearest neighbors",
arXiv:1803.04765).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from lenetscope.errors import DataError, UsageError
from lenetscope.evaluation.label_issues import find_label_issues
from lenetscope.evaluation.outputs import Values, require_labels, require_probabilities
from lenetscope.table import Table, column


@dataclass(frozen=True)
class Nearest:
    """The training images nearest to an image, nearest first; prints as their labels.

    Attributes:
        indices: of the training images.
        distances: Euclidean, in the units of the features.
        labels: of the training images.
    """

    indices: tuple[int, ...]
    distances: tuple[float, ...]
    labels: tuple[int, ...]

    def __str__(self) -> str:
        return " ".join(map(str, self.labels))


@dataclass(frozen=True)
class Mistake:
    """One misclassified image.

    Attributes:
        index: of the image.
        true: its label.
        predicted: the most likely class.
        probability_true: probability of the label.
        probability_predicted: probability of the predicted class.
        loss: cross-entropy in nats, -ln of ``probability_true``.
        nearest: training images; None if no features were given.
        nearest_true: how many of them have the true class.
        nearest_predicted: how many of them have the predicted class.
        label_may_be_wrong: whether `find_label_issues` doubts the label.
    """

    index: int = column("d", "image")
    true: int = column("d")
    predicted: int = column("d")
    probability_true: float = column(".2p", "p(true)")
    probability_predicted: float = column(".2p", "p(predicted)")
    loss: float = column(".2f")
    nearest: Nearest | None = column()  # noqa: RUF009
    nearest_true: int | None = column("d", "as true")
    nearest_predicted: int | None = column("d", "as predicted")
    label_may_be_wrong: bool = column(heading="label may be wrong")


def find_mistakes(
    probabilities: Values,
    labels: Values,
    *,
    features: Tensor | None = None,
    train_features: Tensor | None = None,
    train_labels: Values | None = None,
    k: int = 5,
) -> Table[Mistake]:
    """List the misclassified images, those with the least probability of the true class first.

    >>> table = find_mistakes(np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]), np.array([0, 0, 1]))
    >>> [(row.index, row.true, row.predicted, round(row.loss, 2)) for row in table]
    [(1, 0, 1, 1.61), (2, 1, 0, 0.92)]

    Args:
        probabilities: (N, K), of images that the network was not trained on.
        labels: (N,), from 0 to K - 1.
        features: (N, …) of these images, such as the inputs of the last layer. With the two that
            follow, each mistake names the training images that are most similar to it.
        train_features: (M, …) of the training images, from the same layer.
        train_labels: (M,) of the training images.
        k: how many training images, from 1 to M.

    Raises:
        DataError: if the arrays are not as described, or do not fit each other.
        UsageError: if only some of the three were given, or ``k`` is out of range.
    """
    values, true = require_probabilities(probabilities, labels)
    likely = values.argmax(axis=1)  # (N,)
    wrong = np.flatnonzero(likely != true)
    wrong = wrong[np.argsort(values[wrong, true[wrong]], kind="stable")]
    own, predicted = true[wrong], likely[wrong]  # (mistakes,) each
    p_own, p_predicted = (values[wrong, k] for k in (own, predicted))
    with np.errstate(divide="ignore"):
        loss = -np.log(p_own)
    nearest: list[Nearest | None] = [None] * len(wrong)
    if features is not None and train_features is not None and train_labels is not None:
        if len(features) != len(true):
            raise DataError(f"features must be one per image: {len(features)} for {len(true)} images.")
        nearest[:] = nearest_images(features[wrong], train_features, train_labels, k)
    elif not (features is train_features is train_labels is None):
        raise UsageError("give features, train_features and train_labels together.")
    doubtful = {issue.index for issue in find_label_issues(values, true)}
    columns = (wrong, own, predicted, p_own, p_predicted, loss)
    rows = []
    for row, near in zip(zip(*(c.tolist() for c in columns), strict=True), nearest, strict=True):
        votes: Any = [near.labels.count(label) if near else None for label in row[1:3]]
        rows.append(Mistake(*(*row, near, *votes, row[0] in doubtful)))
    return Table(rows)


def nearest_images(
    features: Tensor, train_features: Tensor, train_labels: Values, k: int = 5
) -> list[Nearest]:
    """Return the k nearest training images of each of some images, equally near ones by index.

    >>> import torch
    >>> nearest_images(torch.tensor([[0.0]]), torch.tensor([[5.0], [-1.0], [2.0]]), [7, 8, 9], k=2)
    [Nearest(indices=(1, 2), distances=(1.0, 2.0), labels=(8, 9))]

    Args:
        features: (n, …).
        train_features: (M, …), from the same layer.
        train_labels: (M,).
        k: from 1 to M.

    Raises:
        DataError: if features are not finite, or arrays do not fit each other.
        UsageError: if ``k`` is out of range.
    """
    from sklearn.neighbors import NearestNeighbors

    known = require_labels(train_labels, len(train_features)).numpy()
    if features.ndim < 2 or features.shape[1:] != train_features.shape[1:]:
        shapes = f"{tuple(features.shape)} and {tuple(train_features.shape)}"
        raise DataError(f"features must be (n, …) and (M, …) from one layer, not {shapes}.")
    asked, train = (x.detach().flatten(1).cpu().numpy() for x in (features, train_features))
    if not (np.isfinite(asked).all() and np.isfinite(train).all()):
        raise DataError("features must be finite: some are infinite or NaN.")
    if not 1 <= k <= len(known):
        raise UsageError(f"k must be 1 to {len(known):,}, the number of training images, not {k}.")
    if not len(asked):
        return []
    # |a - b|² is computed as |a|² + |b|² - 2ab, which loses fewer digits around zero
    middle = train.mean(axis=0, dtype=np.float64).astype(train.dtype)  # (D,)
    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(train - middle)
    indices = np.sort(search.kneighbors(asked - middle, return_distance=False), axis=1)  # (n, k)
    distances = np.linalg.norm(train[indices].astype(np.float64) - asked[:, None], axis=2)
    order = np.argsort(distances, axis=1, kind="stable")
    indices, distances = (np.take_along_axis(x, order, axis=1) for x in (indices, distances))
    columns = (x.tolist() for x in (indices, distances, known[indices]))
    return [Nearest(*map(tuple, row)) for row in zip(*columns, strict=True)]
