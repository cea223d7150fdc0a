"""The questions that can be asked about a run, each answered by one or more figures.

In: a `Study` and a `Choice`. Out: names of files and figures. A question of one's own is a function
registered in `QUESTIONS`; the first line of its docstring is what ``--what list`` says of it.
"""

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from lenetscope import insight, plots
from lenetscope.inspection.choice import Choice
from lenetscope.inspection.study import Study
from lenetscope.registry import Registry

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Answer = Iterator[tuple[str, "Figure"]]

QUESTIONS: Registry[Callable[[Study, Choice], Answer]] = Registry("question")

DEFAULT_QUESTIONS = ("curves", "confusion", "filters", "maps")
"""Those that take no more than a moment."""

LAYER_QUESTIONS = ("filters", "maps")
"""Those of them that are about layers."""


@QUESTIONS.register("curves")
def curves(study: Study, _choice: Choice) -> Answer:
    """How loss and accuracy went, epoch by epoch."""
    if history := study.run.history():
        yield "curves", plots.curves(history)


@QUESTIONS.register("confusion")
def confusion(study: Study, _choice: Choice) -> Answer:
    """Which class was taken for which."""
    scores = study.run.scores() or study.scores.as_dict()
    yield "confusion", plots.confusion(np.array(scores["confusion"]), scores["classes"])


@QUESTIONS.register("filters")
def filters(study: Study, choice: Choice) -> Answer:
    """What each convolution looks for: its weights."""
    for name in _convolutions(study, choice):
        yield f"filters-{name}", study.arch.visualize_filters(name)


@QUESTIONS.register("maps")
def maps(study: Study, choice: Choice) -> Answer:
    """What each layer puts out for an image."""
    layers = choice.layers or telling_layers(study)
    with insight.capture(study.model, layers) as seen:
        logits = study.arch.predict(choice.pixels)
    values = {name: seen[name].numpy() for name in layers}
    predicted = [study.classes[k] for k in logits.argmax(axis=1)]
    yield "outputs", plots.outputs({"image": choice.pixels.numpy()} | values, choice.labels, predicted)


def telling_layers(study: Study) -> list[str]:
    """Return the layers that learn or change the size: not those that work number by number."""
    before = [0, *(math.prod(row.shape) for row in study.layers)]
    return [
        row.name
        for row, size in zip(study.layers, before, strict=False)
        if row.parameters or math.prod(row.shape) != size
    ]


def _convolutions(study: Study, choice: Choice) -> list[str]:
    """Return the convolutions among the layers chosen; all of them if none were chosen."""
    if choice.layers is None:
        return study.convolutions
    modules = insight.find_layers(study.model, choice.layers)
    return [name for name, module in modules.items() if isinstance(module, nn.Conv2d)]
