"""The network of a run: its steps, without the weights, and what the page says of the run."""

from collections.abc import Sequence
from typing import Any

from lenetscope.playground.answers import RUN, Answer
from lenetscope.playground.lab import Lab, Opened
from lenetscope.plots import html
from lenetscope.recipe import Recipe
from lenetscope.report.build import CENTRED, SCALES
from lenetscope.report.familiar import are_digits
from lenetscope.table import percent


def network(lab: Lab, asked: dict[str, Any]) -> dict[str, Any]:
    """Describe a run and its network."""
    opened = lab.run(asked.get("run"))
    inspection, recipe = opened.inspection, opened.inspection.run.recipe()
    scores = inspection.run.scores()
    return facts(lab, opened.name, recipe, inspection.classes) | {
        "accuracy": scores and percent(scores["accuracy"]),
        "epochs": opened.snapshot_epochs,
        "lastEpoch": inspection.run.weights_epoch(),
        "inputShape": list(inspection.image_shape),
        "layers": _layers(opened),
        "refusal": opened.refusal,
    }


def facts(lab: Lab, run: str, recipe: Recipe, classes: Sequence[str]) -> dict[str, Any]:
    """Return what the page must know of a run, apart from its network."""
    return {
        "run": run,
        "runs": lab.names,
        "title": f"{recipe.model} on {recipe.data}",
        "mean": list(recipe.mean),
        "std": list(recipe.std),
        "classes": list(classes),
        "digits": are_digits(recipe.data, classes),
        "centred": recipe.data in CENTRED,
        "colours": {name: html.base64_of(html.colours(scale)) for name, scale in SCALES.items()},
    }


def _layers(opened: Opened) -> list[dict[str, Any]]:
    """Return the steps of a network; where the page cannot run them, its layers, without arithmetic."""
    if opened.refusal is None:
        return list(opened.graph.layers)
    return [
        {
            "name": row.name,
            "kind": "Opaque",
            "of": row.kind,
            "shape": list(row.shape),
            "inputs": [number - 1],
        }
        for number, row in enumerate(opened.layers)
    ]


Answer(
    name="network",
    summary="the steps of a run's network, without weights",
    fields=RUN,
    compute=network,
).register()
