"""What happened in the course of a training: when images were learned and forgotten, how filters moved.

In: for each epoch which images were right, or the weights of a layer. Out: for each image its history,
for each filter how far it came. Forgetting: M. Toneva et al., "An empirical study of example forgetting
during deep neural network learning", ICLR 2019, arXiv:1812.05159; there an image is looked at each time
that it is trained on, here once an epoch, so that what is forgotten and learned again in between is not
counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lenetscope.errors import DataError
from lenetscope.tables import Table, column

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LearningRow:
    """What happened to N images from one epoch looked at to the next.

    Attributes:
        epoch: its number.
        right: images that are right.
        first: right for the first time.
        again: right, wrong at the epoch before and right at some epoch before that.
        forgotten: wrong, and right at the epoch before.
    """

    epoch: int = column()
    right: int = column(",d")
    first: int = column(",d", "learned first")
    again: int = column(",d", "learned again")
    forgotten: int = column(",d")


@dataclass(frozen=True)
class Learning:
    """The history of N images over E epochs.

    Attributes:
        epochs: (E,), their numbers.
        correct: (E, N) bool, as given.
        first_right: (N,), the first epoch at which an image was right; -1 if it never was.
        right_since: (N,), the epoch from which on it was right until the end; -1 if it is wrong at the
            end.
        forgettings: (N,), how often it was right at an epoch and wrong at the next.
    """

    epochs: Ints
    correct: npt.NDArray[np.bool_]
    first_right: Ints
    right_since: Ints
    forgettings: Ints

    @property
    def never_learned(self) -> Ints:
        """Numbers of the images that were right at no epoch."""
        return np.flatnonzero(self.first_right < 0)

    @property
    def unforgettable(self) -> Ints:
        """Numbers of the images that were learned and never forgotten."""
        return np.flatnonzero((self.first_right >= 0) & (self.forgettings == 0))

    @property
    def rows(self) -> Table[LearningRow]:
        """A row an epoch."""
        right = self.correct
        before = np.vstack([np.zeros_like(right[:1]), right[:-1]])  # (E, N)
        ever = np.vstack(
            [before[:1], np.logical_or.accumulate(right)[:-1]]
        )  # right at an earlier epoch
        counts = zip(
            self.epochs.tolist(),
            right.sum(axis=1).tolist(),
            (right & ~ever).sum(axis=1).tolist(),
            (right & ~before & ever).sum(axis=1).tolist(),
            (~right & before).sum(axis=1).tolist(),
            strict=True,
        )
        return Table(LearningRow(*row) for row in counts)

    def hardest(self, count: int) -> Ints:
        """Return the numbers of the images that were hardest to learn.

        First those never learned, then by forgettings, then by how late they were right for good
        (wrong at the end: latest).
        """
        late = np.where(self.right_since < 0, self.epochs[-1] + 1, self.right_since)
        order = np.lexsort((-late, -self.forgettings, self.first_right >= 0))
        return order[:count].astype(np.int64)

    def __str__(self) -> str:
        return str(self.rows)

    def _repr_html_(self) -> str:
        return self.rows._repr_html_()


def learning(correct: npt.ArrayLike, epochs: Sequence[int]) -> Learning:
    """Return when each image was learned, forgotten and learned again.

    >>> told = learning([[True, False], [False, False], [True, False]], epochs=[0, 1, 2])
    >>> told.first_right.tolist(), told.right_since.tolist(), told.forgettings.tolist()
    ([0, -1], [2, -1], [1, 0])

    Args:
        correct: (E, N) bool: whether the network of an epoch was right about an image.
        epochs: E numbers, ascending; 0 for before training, when an image is right by luck.

    Raises:
        DataError: if the shapes do not fit, or the epochs do not ascend.
    """
    right = np.asarray(correct)
    numbers = np.asarray(epochs, dtype=np.int64)
    if right.dtype != np.bool_ or right.ndim != 2 or not right.size or len(right) != len(numbers):
        raise DataError(
            f"correct must be bool, (epochs, images), a row for each of {len(numbers)} epochs, not "
            f"{right.dtype} of shape {right.shape}."
        )
    if (np.diff(numbers) <= 0).any():
        raise DataError(f"the epochs must ascend, not {numbers.tolist()}.")
    ever = right.any(axis=0)
    first = np.where(ever, numbers[right.argmax(axis=0)], -1)
    wrong_from_end = (~right[::-1]).argmax(axis=0)  # rows that are right at the end; 0 also if all are
    streak = np.where(right.all(axis=0), len(right), wrong_from_end)
    since = np.where(streak > 0, numbers[len(right) - np.maximum(streak, 1)], -1)
    forgettings = (right[:-1] & ~right[1:]).sum(axis=0, dtype=np.int64)
    return Learning(numbers, right, first, since, forgettings)


@dataclass(frozen=True)
class Movement:
    """How the F filters of a layer moved over E epochs.

    Attributes:
        epochs: (E,), their numbers.
        distance: (E, F), Euclidean distance from the first epoch's filter.
        cosine: (E, F), between a filter and that of the first epoch; nan where one is all zero.
        step: (E, F), distance from the epoch before; 0 at the first.
        step_cosine: (E, F), between a filter and that of the epoch before; 1 at the first.
    """

    epochs: Ints
    distance: Floats
    cosine: Floats
    step: Floats
    step_cosine: Floats


def filter_movement(weights: npt.ArrayLike, epochs: Sequence[int]) -> Movement:
    """Return how far, and which way, each filter has come.

    >>> told = filter_movement([[[3.0, 0.0]], [[0.0, 4.0]]], epochs=[0, 1])
    >>> told.distance.tolist(), told.cosine.tolist()
    ([[0.0], [5.0]], [[1.0], [0.0]])

    Args:
        weights: (E, F, …): the filters, or the rows of a linear layer, at each epoch; the bias does not
            belong to them.
        epochs: E numbers, ascending; the first is compared with, as a rule 0 for before training.

    Raises:
        DataError: if the shapes do not fit.
    """
    values = np.asarray(weights, dtype=np.float64)
    numbers = np.asarray(epochs, dtype=np.int64)
    if values.ndim < 3 or not values.size or len(values) != len(numbers):
        raise DataError(
            f"weights must be (epochs, filters, …), one for each of {len(numbers)} epochs, not of "
            f"shape {values.shape}."
        )
    flat = values.reshape(len(values), values.shape[1], -1)  # (E, F, numbers of a filter)
    before = np.concatenate([flat[:1], flat[:-1]])
    return Movement(
        numbers,
        np.linalg.norm(flat - flat[:1], axis=2),
        _cosine(flat, flat[:1]),
        np.linalg.norm(flat - before, axis=2),
        _cosine(flat, before),
    )


def _cosine(first: Floats, second: Floats) -> Floats:
    lengths = np.linalg.norm(first, axis=2) * np.linalg.norm(second, axis=2)
    products = (first * second).sum(axis=2)
    cosines: Floats = np.full_like(products, np.nan)
    np.divide(products, lengths, out=cosines, where=lengths > 0)
    return np.clip(cosines, -1.0, 1.0)
