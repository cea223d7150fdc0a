"""The network of a run: its steps, without the weights, and what the page says of the run."""

from typing import Any

from lenetscope.playground.answers import RUN, Answer
from lenetscope.playground.lab import Lab
from lenetscope.plots import html, style
from lenetscope.table import percent

SCALES = {"signed": style.SIGNED, "positive": style.POSITIVE}
CENTRED = ("mnist",)


def network(lab: Lab, asked: dict[str, Any]) -> dict[str, Any]:
    """Describe a run and its network."""
    opened = lab.run(asked.get("run"))
    inspection, recipe = opened.inspection, opened.inspection.run.recipe()
    scores = inspection.run.scores()
    return {
        "run": opened.name,
        "runs": lab.names,
        "title": f"{recipe.model} on {recipe.data}",
        "accuracy": scores and percent(scores["accuracy"]),
        "epochs": opened.snapshot_epochs,
        "inputShape": list(inspection.image_shape),
        "layers": list(opened.graph.layers),
        "mean": list(recipe.mean),
        "std": list(recipe.std),
        "classes": list(inspection.classes),
        "centred": recipe.data in CENTRED,
        "digits": opened.is_of_digits,
        "colours": {name: html.base64_of(html.colours(scale)) for name, scale in SCALES.items()},
    }


Answer(
    name="network",
    summary="the steps of a run's network, without weights",
    fields=RUN,
    compute=network,
).register()
