"""What a network got wrong, how sure it was, and why it may have been so.

In: probabilities (N, K) and labels (N,); if one has them, what the last layer sees of these images and
of the training images. Out: a row for each wrong answer, the worst first.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lenetscope.errors import DataError, UsageError
from lenetscope.evaluation.reliability import Values, checked_probabilities
from lenetscope.insight.labels import doubtful_labels
from lenetscope.insight.neighbours import Neighbours, nearest_neighbours
from lenetscope.tables import Table, column
from lenetscope.tracking import Track, untracked


@dataclass(frozen=True)
class Nearest:
    """The training images nearest to one image, nearest first; as text, their labels.

    Attributes:
        indices: into the training images.
        distances: Euclidean, in the units of the features.
        labels: of those training images.
    """

    indices: tuple[int, ...]
    distances: tuple[float, ...]
    labels: tuple[int, ...]

    def __str__(self) -> str:
        return " ".join(map(str, self.labels))


@dataclass(frozen=True)
class Mistake:
    """One wrong answer.

    Attributes:
        index: of the image.
        true: its label.
        predicted: the class that the network finds likeliest.
        probability_true: what it gave to the label.
        probability_predicted: what it gave to its answer.
        runner_up: the class that it finds second likeliest.
        probability_runner_up: what it gave to that.
        loss: cross-entropy in nats, -ln of ``probability_true``.
        nearest: training images; None if no features were given.
        nearest_true: how many of them have the label.
        nearest_predicted: how many of them have the predicted class.
        label_may_be_wrong: whether confident learning doubts the label, see `doubtful_labels`.
    """

    index: int = column("d", "image")
    true: int = column("d")
    predicted: int = column("d")
    probability_true: float = column(".2%", "p(true)")
    probability_predicted: float = column(".2%", "p(predicted)")
    runner_up: int = column("d", "runner-up")
    probability_runner_up: float = column(".2%", "p(runner-up)")
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
    track: Track = untracked,
) -> Table[Mistake]:
    """List the wrong answers, those first whose true class was given the least probability.

    >>> table = find_mistakes(np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]), np.array([0, 0, 1]))
    >>> [(row.index, row.true, row.predicted, round(row.loss, 2)) for row in table]
    [(1, 0, 1, 1.61), (2, 1, 0, 0.92)]

    Args:
        probabilities: (N, K), rows that add up to 1, of images that the network has not learned from.
        labels: (N,) whole numbers from 0 to K - 1.
        features: (N, …) of these images, such as the inputs of the last layer. With the two that
            follow, each mistake names the training images that the network finds most like it.
        train_features: (M, …) of the training images, from the same layer.
        train_labels: (M,) of the training images.
        k: how many of those.
        track: is handed the blocks of training images and shows how far one has come.

    Raises:
        DataError: if these are no probabilities, labels or features that go together.
        UsageError: if only some of the three were given, or ``k`` is out of range.
    """
    shares, true = checked_probabilities(probabilities, labels)
    order = np.argsort(-shares, axis=1, kind="stable")[:, :2]  # (N, 2): answer and runner-up
    wrong = np.flatnonzero(order[:, 0] != true)
    wrong = wrong[np.argsort(shares[wrong, true[wrong]], kind="stable")]
    doubted = {doubt.index for doubt in doubtful_labels(shares, true).candidates}
    beside = _nearest(wrong, len(true), features, train_features, train_labels, k, track)
    rows = []
    for place, i in enumerate(wrong.tolist()):
        predicted, second = order[i].tolist()
        own, nearest = float(shares[i, true[i]]), beside[place] if beside else None
        rows.append(
            Mistake(
                index=i,
                true=int(true[i]),
                predicted=predicted,
                probability_true=own,
                probability_predicted=float(shares[i, predicted]),
                runner_up=second,
                probability_runner_up=float(shares[i, second]),
                loss=-math.log(own) if own else math.inf,
                nearest=nearest,
                nearest_true=nearest.labels.count(int(true[i])) if nearest else None,
                nearest_predicted=nearest.labels.count(predicted) if nearest else None,
                label_may_be_wrong=i in doubted,
            )
        )
    return Table(rows)


def _nearest(
    wrong: npt.NDArray[np.int64],
    n: int,
    features: Tensor | None,
    train_features: Tensor | None,
    train_labels: Values | None,
    k: int,
    track: Track,
) -> list[Nearest] | None:
    """Return the nearest training images of each mistake, or None without features."""
    given = [value is not None for value in (features, train_features, train_labels)]
    if not any(given):
        return None
    if features is None or train_features is None or train_labels is None:
        raise UsageError(
            "for the nearest training images give all of features, train_features and train_labels."
        )
    known = torch.as_tensor(train_labels).cpu()
    if len(features) != n or known.shape != train_features.shape[:1] or known.is_floating_point():
        raise DataError(
            f"features are one an image and train_labels one whole number a training one: for {n:,} "
            f"and {len(train_features):,} images: {tuple(features.shape)} and {tuple(known.shape)}."
        )
    found: Neighbours = nearest_neighbours(
        features[torch.from_numpy(wrong)], train_features, k, track=track
    )
    return [
        Nearest(tuple(indices), tuple(distances), tuple(known[indices].tolist()))
        for indices, distances in zip(found.indices.tolist(), found.distances.tolist(), strict=True)
    ]
