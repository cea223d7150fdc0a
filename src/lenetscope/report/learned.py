"""How the network learned: what it knew when, and whether it stayed healthy on the way.

In: a `Study` of a run with snapshots. Out: figures as SVG, numbers and sentences, for the page.
"""

from dataclasses import dataclass

from markupsafe import Markup

from lenetscope.inspection import Study
from lenetscope.inspection.progress import health_figure, learning_figure
from lenetscope.plots import svg
from lenetscope.tracking import Track, untracked


@dataclass(frozen=True)
class Learned:
    """When the test images were learned.

    Attributes:
        figure: images learned, forgotten and wrong, by epoch.
        unforgettable: how many were never forgotten once they were learned.
        never: how many were never right.
    """

    figure: Markup
    unforgettable: int
    never: int


def learned(study: Study, track: Track = untracked) -> Learned:
    """Follow each test image through the snapshots."""
    study.track = track
    told = study.learning
    figure = learning_figure(study, figsize=(5.4, 3.6))
    title = "test images learned, forgotten and wrong, by epoch"
    return Learned(
        Markup(svg.inline(figure, "learned", title)), len(told.unforgettable), len(told.never_learned)
    )


@dataclass(frozen=True)
class Health:
    """The state of the layers over the epochs: a figure, and in sentences what is ill at the end."""

    figure: Markup
    warnings: list[str]


def health(study: Study, track: Track = untracked) -> Health:
    """Judge the layers at each snapshot by all test images."""
    study.track = track
    figure = health_figure(study, figsize=(6.2, 5.0))
    title = "dead units, length of the answers, gradients and size of the steps, by layer and epoch"
    return Health(Markup(svg.inline(figure, "health", title)), study.health_warnings)
