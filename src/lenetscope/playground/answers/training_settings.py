"""What a training can be made of: recipes, their fields, and runs that are unfinished."""

from typing import Any

from lenetscope.playground import settings
from lenetscope.playground.answers import Answer
from lenetscope.playground.lab import Lab


def training_settings(lab: Lab, _asked: dict[str, Any]) -> dict[str, Any]:
    """Return all that the page offers before a training."""
    bases = settings.bases(lab)
    return {
        "bases": [
            {"name": name, "summary": recipe.summary, "values": recipe.as_dict()}
            for name, recipe in bases.items()
        ],
        "fields": settings.fields(lab),
        "unfinished": [
            {"run": run.path.name, "done": len(run.history()), "epochs": run.planned_epochs()}
            for run in lab.training.unfinished()
        ],
    }


Answer(
    name="training-settings",
    summary="recipes to train, their fields, and runs to resume",
    fields={},
    compute=training_settings,
    quick=True,
).register()
