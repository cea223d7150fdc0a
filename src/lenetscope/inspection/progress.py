"""Questions about the training: how it went, whether the network stayed healthy, what it learned when.

In: a `Study` and a `Choice`. Out: figures.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from lenetscope import insight, plots
from lenetscope.inspection.choice import Choice
from lenetscope.inspection.questions import QUESTIONS, Answer
from lenetscope.inspection.study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN_EPOCHS = 8
"""Of a layer's filters over time at most so many rows are drawn, evenly spaced."""


@QUESTIONS.register("curves")
def curves(study: Study, _choice: Choice) -> Answer:
    """How loss and accuracy went, epoch by epoch."""
    if history := study.run.history():
        yield "curves", plots.curves(history)


@QUESTIONS.register("health")
def health(study: Study, _choice: Choice) -> Answer:
    """Whether the network stayed healthy: dead units, norms, gradients, size of the steps."""
    yield "health", health_figure(study)


@QUESTIONS.register("time")
def time(study: Study, choice: Choice) -> Answer:
    """When each image was learned and forgotten, and how the filters moved."""
    yield "learning", learning_figure(study)
    epochs = study.snapshot_epochs
    for layer in (choice.layers or study.convolutions)[:1]:
        weights = np.stack([insight.filters_of(study.model_at(e), layer) for e in epochs])
        moved = insight.filter_movement(weights, epochs)
        yield (
            "filter-movement",
            plots.filter_movement(epochs, moved.distance, moved.cosine, moved.step, layer),
        )
        some = np.unique(np.linspace(0, len(epochs) - 1, SHOWN_EPOCHS).round().astype(int))
        figure = plots.filters_over_time(weights[some, :, 0], [epochs[k] for k in some], layer)
        yield "filters-over-time", figure


def health_figure(study: Study, **figure_options: Any) -> "Figure":
    """Draw the health of each layer at each snapshot."""
    tables = study.health

    def column(name: str) -> plots.Array:
        values = [[getattr(row, name) for row in table] for table in tables.values()]
        return np.array(values, dtype=float)  # (E, L), NaN for None

    return plots.health(
        list(tables),
        [row.layer for row in next(iter(tables.values()))],
        column("dead") / column("units"),
        column("norm"),
        column("gradient"),
        column("update"),
        **figure_options,
    )


def learning_figure(study: Study, **figure_options: Any) -> "Figure":
    """Draw how many test images were learned and forgotten at each snapshot."""
    rows = study.learning.rows
    return plots.learning(
        [row.epoch for row in rows],
        np.array([row.first for row in rows]),
        np.array([row.again for row in rows]),
        np.array([row.forgotten for row in rows]),
        np.array([len(study.labels) - row.right for row in rows]),
        **figure_options,
    )
