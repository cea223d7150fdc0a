"""When each image was learned, and how often it was forgotten again.

After M. Toneva et al., "An empirical study of example forgetting during deep neural network learning",
ICLR 2019, arXiv:1812.05159. They look at an image each time that it is trained on, here it is looked at
once per epoch: what is forgotten and learned again within an epoch is not counted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from lenetscope.errors import DataError
from lenetscope.evaluation.outputs import model_outputs
from lenetscope.plots import style
from lenetscope.questions import Costs, Part, Question, some_images
from lenetscope.table import ShowsRows, Table, column

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lenetscope.inspection import Inspection
    from lenetscope.selection import Selection

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ForgettingRow:
    """What happened to N images between one epoch and the one before.

    Attributes:
        epoch: its number.
        correct: images that are classified correctly.
        first: of those, correct for the first time.
        again: of those, misclassified at the epoch before and correct at some earlier epoch.
        forgotten: images that are misclassified and were correct at the epoch before.
    """

    epoch: int = column()
    correct: int = column(",d")
    first: int = column(",d", "learned first")
    again: int = column(",d", "learned again")
    forgotten: int = column(",d")


@dataclass(frozen=True)
class Forgetting(ShowsRows):
    """The history of N images over E epochs.

    Attributes:
        epochs: (E,), their numbers.
        correct: (E, N) bool, as given.
        first_correct: (N,), the first epoch at which an image was correct; -1 if it never was.
        correct_since: (N,), the epoch since which it was correct until the end; -1 if it is
            misclassified at the end.
        forgetting_events: (N,), how often it was correct at one epoch and misclassified at the next.
    """

    epochs: Ints
    correct: npt.NDArray[np.bool_]
    first_correct: Ints
    correct_since: Ints
    forgetting_events: Ints

    @property
    def never_learned(self) -> Ints:
        """Indices of the images that were correct at no epoch."""
        return np.flatnonzero(self.first_correct < 0)

    @property
    def unforgettable(self) -> Ints:
        """Indices of the images that were learned and never forgotten."""
        return np.flatnonzero((self.first_correct >= 0) & (self.forgetting_events == 0))

    @property
    def rows(self) -> Table[ForgettingRow]:
        """One row per epoch."""
        now, start = self.correct, np.zeros_like(self.correct[:1])
        before = np.vstack([start, now[:-1]])  # (E, N)
        ever = np.vstack([start, np.logical_or.accumulate(now)[:-1]])  # correct at an earlier epoch
        counts = [
            images.sum(axis=1).tolist()
            for images in (now, now & ~ever, now & ~before & ever, ~now & before)
        ]
        return Table(ForgettingRow(*row) for row in zip(self.epochs.tolist(), *counts, strict=True))

    def hardest(self, count: int) -> Ints:
        """Return the indices of the images that were hardest to learn.

        First those never learned, then by forgetting events, then by how late they were learned for
        good (last those that are misclassified at the end).
        """
        late = np.where(self.correct_since < 0, self.epochs[-1] + 1, self.correct_since)
        order: Ints = np.lexsort((-late, -self.forgetting_events, self.first_correct >= 0))
        return order[:count]


def example_forgetting(correct: npt.ArrayLike, epochs: Sequence[int]) -> Forgetting:
    """Return when each image was learned, forgotten and learned again.

    >>> found = example_forgetting([[True, False], [False, False], [True, False]], epochs=[0, 1, 2])
    >>> found.first_correct.tolist(), found.correct_since.tolist(), found.forgetting_events.tolist()
    ([0, -1], [2, -1], [1, 0])

    Args:
        correct: (E, N) bool: whether an image is classified correctly after an epoch.
        epochs: E numbers, ascending; 0 for before training, when an image is correct by luck.

    Raises:
        DataError: if the shapes do not fit, or the epochs do not ascend.
    """
    given, numbers = np.asarray(correct), np.asarray(epochs, dtype=np.int64)
    if given.dtype != np.bool_ or given.ndim != 2 or not given.size or len(given) != len(numbers):
        raise DataError(
            f"correct must be bool (epochs, images) for {len(numbers)} epochs, not {given.dtype} "
            f"{given.shape}."
        )
    if (np.diff(numbers) <= 0).any():
        raise DataError(f"the epochs must ascend, not {numbers.tolist()}.")
    first = np.where(given.any(axis=0), numbers[given.argmax(axis=0)], -1)
    # epochs at the end at which an image is correct
    last = np.where(given.all(axis=0), len(given), (~given[::-1]).argmax(axis=0))
    since = np.where(last > 0, numbers[len(given) - np.maximum(last, 1)], -1)
    events = (given[:-1] & ~given[1:]).sum(axis=0, dtype=np.int64)
    return Forgetting(numbers, given, first, since, events)


def plot_forgetting(found: Forgetting, **figure_options: Any) -> "Figure":
    """Draw how many images are learned, forgotten and misclassified at each epoch.

    Args:
        found: the answer of `example_forgetting`.
        figure_options: go to `matplotlib.figure.Figure`.
    """
    rows, count = found.rows, found.correct.shape[1]
    series = [
        ("learned for the first time", [row.first for row in rows], style.TRAIN, "o", "-"),
        ("learned again", [row.again for row in rows], style.TRAIN, "^", "--"),
        ("forgotten", [row.forgotten for row in rows], style.VALID, "v", "-"),
        ("misclassified after the epoch", [count - row.correct for row in rows], style.INK, "s", "-"),
    ]
    with style.new_figure(figure_options, (6.5, 4.2)) as figure:
        ax = figure.subplots()
        for name, values, colour, marker, line in series:
            ax.plot(found.epochs, values, line, color=colour, marker=marker, markersize=6, label=name)
        # linear up to 1, so that there is room for 0
        ax.set_yscale("symlog", linthresh=1, linscale=0.4)
        ax.set_ylim(bottom=-0.15)
        style.few_and_many(ax.yaxis)
        ax.yaxis.set_major_formatter(lambda value, _position: f"{value:,.0f}")
        ax.set(xlabel="epoch", ylabel="images (logarithmic from 1 on)")
        style.whole_numbers(ax.xaxis)
        style.grid(ax)
        figure.legend(loc="outside upper center", ncols=2)
    return figure


def _followed(logits: dict[int, Tensor], labels: Tensor) -> Forgetting:
    """Follow images through the epochs, given their logits after each."""
    correct = [(each[: len(labels)].argmax(dim=1) == labels).numpy() for each in logits.values()]
    return example_forgetting(np.stack(correct), list(logits))


def _figures(inspection: "Inspection", _selection: "Selection") -> "Iterator[tuple[str, Figure]]":
    logits = {
        epoch: model_outputs(inspection.model_at(epoch), inspection.images)
        for epoch in inspection.progress(inspection.snapshot_epochs)
    }
    yield "forgetting", plot_forgetting(_followed(logits, inspection.labels))


PAGE = """
<p class="say">Counted after each epoch on {{ some }}. {{ found.unforgettable | length | number }} of
them were never misclassified again once they were correct, {{ found.never_learned | length | number }}
were never correct.{% if found.epochs[0] == 0 %} At epoch 0, before training, images are correct by
chance.{% endif %} Images that were correct and then misclassified again may be ambiguous, or labelled
wrongly.</p>
<figure>{{ figure | inline("forgetting", "test images learned, forgotten and misclassified, by epoch")
| scrolling("Images learned and forgotten") }}</figure>
"""


def _part(inspection: "Inspection") -> Part:
    labels = inspection.labels[inspection.followed]
    found = _followed(inspection.logits_by_epoch, labels)
    some = some_images(len(labels), len(inspection.labels))
    return Part.of(PAGE, found=found, some=some, figure=plot_forgetting(found, figsize=(4.8, 3.4)))


Question(
    "forgetting",
    summary="When each test image was learned, and how often it was forgotten.",
    figures=_figures,
    part=_part,
    chapter="training",
    heading="When each image was learned",
    place=30,
    costs=Costs(0.1, 0.1, 13),
).register()
