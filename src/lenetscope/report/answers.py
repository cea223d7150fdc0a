"""Right and wrong answers: who was taken for whom, the mistakes, what probabilities are worth.

In: a `Study`. Out: plain values and small pictures for the page.
"""

import math
from dataclasses import dataclass

from markupsafe import Markup

from lenetscope import plots
from lenetscope.errors import DataError, LenetscopeError
from lenetscope.evaluation.calibration import Calibration
from lenetscope.evaluation.coverage import Answered, coverage_curve
from lenetscope.evaluation.reliability import Reliability, reliability
from lenetscope.insight.attribution import attribute
from lenetscope.insight.mistakes import Mistake
from lenetscope.inspection import Study
from lenetscope.plots import svg
from lenetscope.report import pictures

MISTAKES = 60
"""Wrong answers that are told one by one."""
MISTAKE_BYTES = 2_000_000
"""Raw pixels of their pictures, beyond which fewer are told."""
OPEN = 12
"""Of those, how many are seen before one asks for the rest."""
SHARES = (1.0, 0.99, 0.95, 0.9)
"""Of the images, those that are answered when the network may say that it does not know."""


@dataclass(frozen=True)
class Cell:
    """One cell of the confusion matrix: how many, and which share of the true class, from 0 to 1."""

    true: int
    predicted: int
    count: int
    share: float

    @property
    def right(self) -> bool:
        """Whether it lies on the diagonal."""
        return self.true == self.predicted


def cells(study: Study) -> list[list[Cell]]:
    """Return the confusion matrix, a list a true class."""
    rows = study.scores.confusion.tolist()
    return [
        [Cell(i, j, count, count / max(1, sum(row))) for j, count in enumerate(row)]
        for i, row in enumerate(rows)
    ]


@dataclass(frozen=True)
class Neighbour:
    """A training image near to a mistake."""

    picture: Markup
    label: str
    agrees: bool


@dataclass(frozen=True)
class Card:
    """A mistake as the page tells it."""

    mistake: Mistake
    true: str
    predicted: str
    runner_up: str
    picture: Markup
    attribution: Markup | None
    neighbours: list[Neighbour]


@dataclass(frozen=True)
class Gallery:
    """The mistakes of a network.

    Attributes:
        cards: the first of all, those with the least probability for the label first.
        count: of all mistakes.
        doubted: how many of all have a label that may be wrong.
    """

    cards: list[Card]
    count: int
    doubted: int


def gallery(study: Study) -> Gallery:
    """Tell the mistakes one by one, as many as there is room for."""
    found = study.mistakes
    each = 8 * math.prod(study.image_shape)
    told = list(found)[: max(6, min(MISTAKES, MISTAKE_BYTES // each))]
    maps: list[Markup | None] = [None] * len(told)
    if told:
        maps = _attributions(study, told)
    cards = [_card(study, row, shown) for row, shown in zip(told, maps, strict=True)]
    return Gallery(cards, len(found), sum(row.label_may_be_wrong for row in found))


def _attributions(study: Study, told: list[Mistake]) -> list[Markup | None]:
    try:
        found = attribute(
            study.model,
            study.images[[row.index for row in told]],
            study.predicted[[row.index for row in told]],
            method="integrated-gradients",
        )
    except LenetscopeError:  # the gallery is worth having without; the page's own part says why
        return [None] * len(told)
    return [
        pictures.element(
            pictures.coloured(values, signed=True),
            f"pixels that speak for {study.classes[row.predicted]} in red, against it in blue",
            84,
        )
        for row, values in zip(told, found.values.numpy(), strict=True)
    ]


def _card(study: Study, row: Mistake, attribution: Markup | None) -> Card:
    names = study.classes
    near = row.nearest
    return Card(
        mistake=row,
        true=names[row.true],
        predicted=names[row.predicted],
        runner_up=names[row.runner_up],
        picture=pictures.image(
            study.pixels[row.index],
            f"test image {row.index}, labelled {names[row.true]}, taken for {names[row.predicted]}",
            84,
        ),
        attribution=attribution,
        neighbours=[
            Neighbour(
                pictures.image(study.train_pixels[i], f"a {names[label]}", 32),
                names[label],
                label == row.true,
            )
            for i, label in zip(near.indices, near.labels, strict=True)
        ]
        if near
        else [],
    )


@dataclass(frozen=True)
class Trust:
    """Whether probabilities can be believed, and what it brings not to answer when unsure.

    Attributes:
        reliability: of the probabilities of all test images.
        answered: what remains when only the surest images are answered, for several shares.
        figure: share of right answers over confidence.
        curve: share of right answers over the share of images that are answered.
        calibration: before and after a temperature; None where too few answers are wrong to fit one.
    """

    reliability: Reliability
    answered: list[Answered]
    figure: Markup
    curve: Markup
    calibration: Calibration | None

    @property
    def verdict(self) -> str:
        """Say in a sentence whether the network is too sure, or not sure enough."""
        r = self.reliability
        if r.ece <= r.ece_chance:
            return "These images give no reason to doubt the probabilities."
        if r.confidence > r.accuracy:
            return "The network is surer than it is right: believe its probabilities a little less."
        return "The network is right more often than it is sure: it is too modest."


def trust(study: Study) -> Trust:
    """Compare probabilities with how often the answers are right."""
    curve = coverage_curve(study.probabilities, study.labels)
    result = reliability(study.probabilities, study.labels)
    figure = plots.reliability({"": result.columns()}, figsize=(4.2, 4.6))
    title = "how often answers are right, by how sure the network is of them; the table says the same"
    answering = plots.coverage(curve.coverages, curve.accuracies, curve.intervals, figsize=(6.2, 3.9))
    try:
        calibration = study.calibration
    except DataError:
        calibration = None
    return Trust(
        result,
        [curve.at_coverage(share) for share in SHARES],
        Markup(svg.inline(figure, "reliability", title)),
        Markup(svg.inline(answering, "coverage", "share of right answers by share of images answered")),
        calibration,
    )
