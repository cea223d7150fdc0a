"""Questions about answers: which are wrong, which can be believed, what decided them.

In: a `Study` and a `Choice`. Out: figures.
"""

import numpy as np
import torch

from lenetscope import insight, plots
from lenetscope.errors import DataError
from lenetscope.evaluation.coverage import coverage_curve
from lenetscope.evaluation.reliability import reliability
from lenetscope.inspection.choice import Choice
from lenetscope.inspection.questions import QUESTIONS, Answer, paged
from lenetscope.inspection.study import Study

JUDGED = 200
"""Test images on which maps of attribution are judged, the first ones."""

WANTED = 0.999
"""The accuracy that the curve of coverage points out."""


@QUESTIONS.register("confusion")
def confusion(study: Study, _choice: Choice) -> Answer:
    """Which class was taken for which."""
    scores = study.run.scores() or study.scores.as_dict()
    yield "confusion", plots.confusion(np.array(scores["confusion"]), scores["classes"])


@QUESTIONS.register("mistakes")
def mistakes(study: Study, _choice: Choice) -> Answer:
    """Every wrong answer, the worst first, and the training images that it is nearest to."""
    rows = study.mistakes
    if not rows:
        return
    places = [row.index for row in rows]
    near = np.array([row.nearest.indices if row.nearest else () for row in rows])  # (M, k)
    for page in range(plots.mistake_pages(len(rows))):
        figure = plots.mistakes(
            study.pixels[places].numpy(),
            np.array([row.true for row in rows]),
            np.array([row.predicted for row in rows]),
            np.array([(row.probability_true, row.probability_predicted) for row in rows]),
            study.classes,
            indices=np.array(places),
            near_images=study.train_pixels[torch.from_numpy(near)].numpy(),
            near_labels=study.train_labels[torch.from_numpy(near)].numpy(),
            doubted=np.array([row.label_may_be_wrong for row in rows]),
            page=page,
        )
        yield paged("mistakes", page), figure


@QUESTIONS.register("calibration")
def calibration(study: Study, _choice: Choice) -> Answer:
    """Whether probabilities can be believed, and what it brings not to answer when unsure."""
    try:
        found = study.calibration
        panels = {"as trained": found.before.columns(), "with a temperature": found.after.columns()}
    except DataError:  # too few wrong answers to fit a temperature
        panels = {"as trained": reliability(study.probabilities, study.labels).columns()}
    yield "calibration", plots.reliability(panels)
    curve = coverage_curve(study.probabilities, study.labels)
    marks = [(1.0, float(curve.accuracies[-1]), "all answered")]
    best = curve.at_accuracy(WANTED)
    if best.accuracy is not None and best.coverage < 1:
        marks.append((best.coverage, best.accuracy, f"{WANTED:.1%} right"))
    yield "coverage", plots.coverage(curve.coverages, curve.accuracies, curve.intervals, marks)


@QUESTIONS.register("attribution")
def attribution(study: Study, choice: Choice) -> Answer:
    """Which pixels speak for the answer and for the runner-up, and whether the maps can be believed."""
    images = study.prepared(choice.pixels)
    logits = torch.from_numpy(study.arch.predict(choice.pixels))
    two = logits.topk(2, dim=1).indices  # (M, 2)
    maps = {
        method: np.stack(
            [
                insight.attribute(
                    study.model, images, two[:, k], method=method, layer=layer
                ).values.numpy()
                for k in range(2)
            ],
            axis=1,
        )  # (M, 2, H, W)
        for method, layer in _methods(study).items()
    }
    names = [[study.classes[k] for k in pair] for pair in two.tolist()]
    yield "attribution", plots.attribution(choice.pixels.numpy(), maps, names, labels=choice.labels)

    some = study.images[:JUDGED]
    judged = {
        method: insight.attribute(
            study.model, some, method=method, layer=layer, track=study.track
        ).values
        for method, layer in _methods(study).items()
    }
    found = insight.deletion_insertion(study.model, some, judged, track=study.track)
    controls = {"chance": found.chance.mean(1), "ink": found.ink.mean(1)}
    brought = {"chance": found.chance_insertion.mean(1), "ink": found.ink_insertion.mean(1)}
    yield (
        "faithfulness",
        plots.faithfulness(
            found.fractions.numpy(),
            {name: curve.mean(0).numpy() for name, curve in (found.deletion | controls).items()},
            {name: curve.mean(0).numpy() for name, curve in (found.insertion | brought).items()},
        ),
    )


def _methods(study: Study) -> dict[str, str | None]:
    """Return the methods that this network allows, and the layer for the one that needs maps."""
    layers = {"grad-cam": study.last_maps}
    return {m: layers.get(m) for m in insight.METHODS.names() if layers.get(m, "") is not None}


@QUESTIONS.register("embedding")
def embedding(study: Study, choice: Choice) -> Answer:
    """Which images lie near each other in the features that the last layer decides by."""
    for layer in choice.layers or [study.penultimate]:
        for method in ("pca", "tsne"):
            found = insight.embed(study.model, study.images, layer, method=method, track=study.track)
            figure = plots.embedding(
                found.points,
                study.labels[torch.from_numpy(found.images)].numpy(),
                study.classes,
                predicted=study.predicted[torch.from_numpy(found.images)].numpy(),
                explained=found.explained,
                title=f"{layer}, {method.upper() if method == 'pca' else 't-SNE'}",
            )
            yield f"embedding-{f'{layer}-' if choice.layers else ''}{method}", figure
