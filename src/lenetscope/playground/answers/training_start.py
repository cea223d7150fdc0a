"""Begin a training: a recipe, with some fields changed."""

from typing import Any

from lenetscope.playground import settings
from lenetscope.playground.answers import Answer
from lenetscope.playground.lab import Lab
from lenetscope.schema import list_of, mapping_of, number, refuse, text

LONGEST = 200
"""Characters, or numbers, of a value."""


def _value(value: Any, where: str) -> Any:
    """Check that a value could be one of a recipe's; whether it is allowed there, the recipe knows."""
    if isinstance(value, (str, list)) and len(value) > LONGEST:
        refuse(where, f"at most {LONGEST} long", value)
    if isinstance(value, str):
        return text(value, where)
    if isinstance(value, list):
        return list_of(number())(value, where)
    return value if isinstance(value, bool) else number()(value, where)


def training_start(lab: Lab, asked: dict[str, Any]) -> dict[str, Any]:
    """Start the process; the event "training" tells what becomes of it."""
    recipe = settings.chosen(lab, asked["base"], asked.get("fields", {}))
    lab.training.start(recipe, settings.data_dir(lab, recipe))
    return {}


Answer(
    name="training-start",
    summary="begin a training",
    fields={"base": text, "fields": mapping_of(_value)},
    compute=training_start,
    required=("base",),
    quick=True,
).register()
