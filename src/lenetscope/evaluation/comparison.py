"""Comparing trained networks on the same labelled images: whether one is better, or it may be luck.

The exact test of paired answers is by Q. McNemar, "Note on the sampling error of the difference between
correlated proportions or percentages", Psychometrika 12(2), 1947. Several are corrected after S. Holm,
"A simple sequentially rejective multiple test procedure", Scand. J. Statistics 6(2), 1979.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from itertools import combinations
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

import numpy as np

from lenetscope.errors import DataError, UsageError
from lenetscope.evaluation.outputs import Array, Values, require_probabilities
from lenetscope.evaluation.scores import Z_95, wilson_interval
from lenetscope.plots import style, tiles
from lenetscope.table import Table, column, counted, percent, text_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ALL_PAIRS = 4
"""Up to so many networks, each is compared with each other; of more, each with the first."""
LEVEL = 0.05
"""Below this probability a difference is not put down to chance, as is customary."""
LISTED, DRAWN, COLUMNS = 10, 24, 6
"""Images that are printed and drawn at most, and drawn side by side."""
MOST = len(ascii_uppercase)
"""Networks that are compared at once; pictures give each a letter."""
SIDE, GAP, LINE = 1.2, 0.2, 0.17
"""Inches: side of an image, space beside it, height of a line of text."""


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the p-value of McNemar's exact two-sided test.

    It is the probability that two equally good networks differ as much, or more, given the number of
    images on which exactly one of them is correct.

    >>> mcnemar(1, 5)  # 2 * (1 + 6) / 2**6
    0.21875

    Args:
        only_first: images that only the first classifies correctly.
        only_second: images that only the second classifies correctly.
    """
    from scipy.stats import binomtest

    total = only_first + only_second
    return float(binomtest(only_first, total).pvalue) if total else 1.0


def paired_interval(only_first: int, only_second: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of the difference between two accuracies on the same images.

    D. G. Bonett and R. M. Price, "Adjusted Wald confidence intervals for a difference of binomial
    proportions based on paired data", J. Educ. Behav. Statistics 37(4), 2012.

    Args:
        only_first: images that only the first classifies correctly.
        only_second: images that only the second classifies correctly.
        n: images, at least 1.
    """
    first, second = (only_first + 1) / (n + 2), (only_second + 1) / (n + 2)
    middle = first - second
    spread = Z_95 * math.sqrt((first + second - middle**2) / (n + 2))
    return max(-1.0, middle - spread), min(1.0, middle + spread)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number, in the same order.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = highest
    return corrected


@dataclass(frozen=True)
class Compared:
    """A network: its errors and its accuracy with the 95 % interval of `wilson_interval`."""

    name: str = column(heading="network")
    errors: int = column(",d")
    accuracy: float = column(".2%")
    low: float = column(".2%", "95 % from")
    high: float = column(".2%", "to")


@dataclass(frozen=True)
class Pair:
    """Two networks on the same images.

    Attributes:
        first, second: their names.
        only_first, only_second: images that only this one classifies correctly.
        difference: accuracy of the first minus accuracy of the second.
        low, high: its 95 % interval, see `paired_interval`.
        p: see `mcnemar`.
        p_holm: the same, corrected for the number of pairs, see `holm`.
    """

    first: str = column()
    second: str = column()
    only_first: int = column(",d", "only first correct")
    only_second: int = column(",d", "only second correct")
    difference: float = column("+.2%")
    low: float = column("+.2%", "95 % from")
    high: float = column("+.2%", "to")
    p: float = column(".2g")
    p_holm: float = column(".2g", "p (Holm)")


@dataclass(frozen=True)
class Disagreement:
    """An image to which the networks give different answers.

    Attributes:
        index: of the image.
        true: its class.
        predicted: the answer of each network, a class.
        probabilities: that each network gives to its own answer.
        distance: the largest total variation distance between two networks' probabilities, from 0 to 1.
    """

    index: int
    true: int
    predicted: tuple[int, ...]
    probabilities: tuple[float, ...]
    distance: float


@dataclass(frozen=True)
class Comparison:
    """Networks on the same ``n`` images: their scores, their pairs, and where they disagree."""

    n: int
    classes: tuple[str, ...]
    networks: Table[Compared]
    pairs: Table[Pair]
    disagreements: tuple[Disagreement, ...]

    @property
    def words(self) -> list[str]:
        """What follows from the tests, one text per pair."""
        errors = {row.name: row.errors for row in self.networks}
        return [_words(pair, self.n, errors, len(self.pairs)) for pair in self.pairs]

    def answers(self, row: Disagreement) -> list[str]:
        """Return the answer of each network and its probability, as text."""
        pairs = zip(row.predicted, row.probabilities, strict=True)
        return [f"{self.classes[k]} ({percent(p, 1, certain=False)})" for k, p in pairs]

    def __str__(self) -> str:
        return "\n\n".join([str(self.networks), str(self.pairs), *self.words, self._where()])

    def _repr_html_(self) -> str:
        words = "".join(f"<p>{escape(text)}</p>" for text in self.words)
        return self.networks._repr_html_() + self.pairs._repr_html_() + words

    def _where(self) -> str:
        names, found = [row.name for row in self.networks], self.disagreements
        if not found:
            return "They give the same answer to every image."
        rows = [[str(row.index), self.classes[row.true], *self.answers(row)] for row in found[:LISTED]]
        few = f". The {LISTED} on which they differ most" if len(found) > LISTED else ""
        text = f"They give different answers to {counted(len(found), 'image')}{few}:\n\n"
        return text + text_table(["image", "true", *names], rows, [True, *[False] * (1 + len(names))])

    def as_dict(self) -> dict[str, Any]:
        """Return all figures as plain values, for JSON."""
        return asdict(self) | {
            "networks": self.networks.as_dicts(),
            "pairs": self.pairs.as_dicts(),
            "words": self.words,
        }


def compare(
    probabilities: Mapping[str, Values], labels: Values, classes: Sequence[str] | None = None
) -> Comparison:
    """Compare networks by their answers to the same images.

    The tests are about these networks, that is, these weights. Each recipe, trained with another seed,
    gives another network.

    Args:
        probabilities: (N, K) of each network, by its name; two networks or more.
        labels: (N,), from 0 to K - 1.
        classes: K names; by default ``"0"``, ``"1"`` and so on.

    Raises:
        UsageError: if there are not two networks or more.
        DataError: if these are not probabilities of the same images and classes.
    """
    if not 2 <= len(probabilities) <= len(ascii_uppercase):
        raise UsageError(
            f"give 2 to {len(ascii_uppercase)} networks to compare, not {len(probabilities)}."
        )
    names = list(probabilities)
    checked = [require_probabilities(each, labels) for each in probabilities.values()]
    if len(shapes := {values.shape for values, _ in checked}) > 1:
        raise DataError(f"all networks must have the same classes: probabilities are {sorted(shapes)}.")
    values, true = np.stack([values for values, _ in checked]), checked[0][1]  # (R, N, K), (N,)
    predicted = values.argmax(axis=2)  # (R, N)
    correct, n = predicted == true, len(true)
    rows = []
    for name, hits in zip(names, correct.sum(axis=1).tolist(), strict=True):
        rows.append(Compared(name, n - hits, hits / n, *wilson_interval(hits, n)))
    return Comparison(
        n=n,
        classes=tuple(classes or map(str, range(values.shape[2]))),
        networks=Table(rows),
        pairs=_pairs(names, correct),
        disagreements=tuple(_disagreements(values, predicted, true)),
    )


def _pairs(names: Sequence[str], correct: Array) -> Table[Pair]:
    """Compare which images each network classifies correctly, (R, N) bool."""
    n, every = correct.shape[1], len(names) <= ALL_PAIRS
    places = [(i, j) for i, j in combinations(range(len(names)), 2) if every or i == 0]
    only = [(correct[i] & ~correct[j], correct[j] & ~correct[i]) for i, j in places]
    counts = [(int(first.sum()), int(second.sum())) for first, second in only]
    p_values = [mcnemar(*pair) for pair in counts]
    return Table(
        Pair(names[i], names[j], *pair, (pair[0] - pair[1]) / n, *paired_interval(*pair, n), p, p_holm)
        for (i, j), pair, p, p_holm in zip(places, counts, p_values, holm(p_values), strict=True)
    )


def _disagreements(values: Array, predicted: Array, true: Array) -> list[Disagreement]:
    """Return the images that are not given the same class by all, largest distance first."""
    where = np.flatnonzero((predicted != predicted[0]).any(axis=0))
    pairs = combinations(values[:, where], 2)  # of (M, K) each
    distances = np.max([np.abs(a - b).sum(axis=1) / 2 for a, b in pairs], axis=0)  # (M,)
    own = np.take_along_axis(values, predicted[:, :, None], axis=2)[:, :, 0]  # (R, N)
    columns = (where, true[where], predicted.T[where], own.T[where], distances)
    return [
        Disagreement(index, label, tuple(answers), tuple(chances), distance)
        for place in np.argsort(-distances, kind="stable")
        for index, label, answers, chances, distance in [[column[place].tolist() for column in columns]]
    ]


def plot_comparison(comparison: Comparison, pixels: Array, **figure_options: Any) -> "Figure":
    """Draw the images on which networks differ most, each with all answers; wrong ones are red.

    Args:
        comparison: the answer of `compare`.
        pixels: (N, C, H, W) of the images that it was asked about, uint8 or from 0 to 1.
        figure_options: go to `matplotlib.figure.Figure`.
    """
    shown, total = comparison.disagreements[:DRAWN], len(comparison.disagreements)
    lettered = list(zip(ascii_uppercase, comparison.networks, strict=False))
    title = f"{len(shown)} of the {counted(total, 'image')} with different answers; wrong ones are red"
    head = [
        title,
        *(f"{letter}: {row.name}, {counted(row.errors, 'error')}" for letter, row in lettered),
    ]
    tile, below = SIDE + 2.5 * LINE, LINE * len(lettered)  # the number of the image, the answers
    width = COLUMNS * (SIDE + GAP) + GAP
    height = LINE * (len(head) + 2) + math.ceil(len(shown) / COLUMNS) * (tile + below)
    # everything has its place in inches, whatever the number of rows and answers
    with style.new_figure({"layout": "none"} | figure_options, (width, height)) as figure:
        figure.text(GAP / width, 1 - LINE / height, "\n".join(head), va="top", fontsize=10)
        for number, row in enumerate(shown):
            left = GAP + number % COLUMNS * (SIDE + GAP)
            top = LINE * (len(head) + 2.5) + number // COLUMNS * (tile + below)
            box = (left / width, 1 - (top + SIDE) / height, SIDE / width, SIDE / height)
            ax = figure.add_axes(box)
            tiles.image(ax, pixels[row.index])
            tiles.bare(ax)
            ax.set_title(f"no. {row.index}, a {comparison.classes[row.true]}", fontsize=9, pad=3)
            for line, (answer, k) in enumerate(
                zip(comparison.answers(row), row.predicted, strict=True)
            ):
                y = 1 - (top + SIDE + LINE * (line + 0.3)) / height
                colour = style.INK if k == row.true else style.WRONG
                text = f"{ascii_uppercase[line]}: {answer}"
                figure.text(left / width, y, text, va="top", fontsize=8, color=colour)
    return figure


def _words(pair: Pair, n: int, errors: Mapping[str, int], pairs: int) -> str:
    """Say who is better, and whether that can be luck."""
    better, worse = sorted((pair.first, pair.second), key=errors.__getitem__)
    fewer, on = errors[worse] - errors[better], f"on the same {n:,} images"
    if not fewer:
        return f"{better} and {worse} make equally many errors {on}: {errors[better]:,}."
    holm = f" (p = {pair.p_holm:.2g} with Holm's correction for {pairs} pairs)" if pairs > 1 else ""
    luck = "may be luck" if pair.p_holm >= LEVEL else "is unlikely to be luck"
    return (
        f"{better} makes {counted(fewer, 'fewer error')} than {worse} {on}. A difference at least this "
        f"large would occur by chance in {_frequency(pair.p)} comparisons of equally good "
        f"networks{holm}: it {luck}."
    )


def _frequency(p: float) -> str:
    """Write a probability as a frequency.

    >>> [_frequency(p) for p in (0.0004, 0.004, 0.14, 1.0)]
    ['fewer than 1 of 1,000', '4 of 1,000', '14 of 100', 'nearly all']
    """
    if p < 0.01:
        return "fewer than 1 of 1,000" if p < 0.001 else f"{1000 * p:.0f} of 1,000"
    return "nearly all" if p >= 0.995 else f"{100 * p:.0f} of 100"
