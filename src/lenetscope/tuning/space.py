"""What is searched: fields of a recipe, and the values that each may take.

``lr=log:1e-4..1,batch_size=32|64|128`` is a range on a logarithmic scale, and three choices.
"""

import dataclasses
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from lenetscope.errors import UsageError, listed, unknown
from lenetscope.recipe import Recipe

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Space = dict[str, "BaseDistribution"]

FIELDS = {
    item.name: item
    for item in dataclasses.fields(Recipe)
    if item.metadata["group"] in ("network", "training") or item.name == "augmentation"
    if item.name != "seed"  # the best of many seeds is luck
}
"""Fields that can be searched; the others say what is computed with, not what is learned."""

EXAMPLES = "lr=log:1e-4..1, dropout=0..0.5 or batch_size=32|64|128"


def optuna() -> Any:
    """Return the library that searches.

    Raises:
        UsageError: if it is not installed.
    """
    try:
        return import_module("optuna")
    except ImportError as error:
        raise UsageError("Optuna is not installed: pip install 'lenetscope[tune]'.") from error


def parse(text: str, recipe: Recipe) -> Space:
    """Return what a text such as ``lr=log:1e-4..1,optimizer=sgd|adam`` lets be searched.

    Each value is checked as the recipe checks it.

    >>> list(parse("lr=log:1e-4..1,epochs=1..3", Recipe.load("reference")).values())
    [FloatDistribution(high=1.0, log=True, low=0.0001, step=None), IntDistribution(high=3, log=False, \
low=1, step=1)]

    Args:
        text: ``field=a..b`` for a range, bounds included, ``field=log:a..b`` for one on a logarithmic
            scale, ``field=a|b|c`` for choices; with commas between fields.
        recipe: that has the other fields.

    Raises:
        UsageError: if a field, a bound or a choice is not allowed, or Optuna is not installed.
    """
    # whether images are held out is decided later, and some fields are refused where none are
    recipe, found = recipe.replace(holdout=recipe.holdout or 1), Space()
    for part in text.split(","):
        name, equals, values = (word.strip() for word in part.partition("="))
        name = name.replace("-", "_")
        if not equals or not values:
            raise UsageError(f"'{part.strip()}' does not say what to search: write {EXAMPLES}.")
        if name not in FIELDS:
            exists = name in recipe.as_dict()
            raise UsageError(
                f"'{name}' cannot be searched; these can: {listed(FIELDS)}."
                if exists
                else unknown("field", name, FIELDS)
            )
        if name in found:
            raise UsageError(f"'{name}' is given twice: give all its values at once, as {EXAMPLES}.")
        found[name] = _distribution(name, values, recipe)
    return found


def _distribution(name: str, values: str, recipe: Recipe) -> Any:
    distributions = optuna().distributions
    if "|" in values:
        choices = [_value(name, word.strip(), recipe) for word in values.split("|")]
        if len(set(choices)) < len(choices):
            raise UsageError(f"'{name}' has a choice twice: {values}.")
        return distributions.CategoricalDistribution(choices)
    if ".." not in values:
        flag = f"--{name.replace('_', '-')} {values}"
        raise UsageError(
            f"'{name}={values}' is a single value: give it as {flag}, or write {EXAMPLES}."
        )
    kind = FIELDS[name].type
    if kind not in (int, float):
        raise UsageError(f"'{name}' has no range, because it is not a number: write {name}=a|b.")
    log = values.startswith("log:")
    words = values.removeprefix("log:").partition("..")
    low, high = (_value(name, word.strip(), recipe) for word in (words[0], words[2]))
    if low >= high:
        raise UsageError(f"the range of '{name}' must go from less to more, not from {low} to {high}.")
    if log and low <= 0:
        raise UsageError(f"a logarithmic range begins above 0, and that of '{name}' at {low}.")
    chosen = distributions.IntDistribution if kind is int else distributions.FloatDistribution
    return chosen(low, high, log=log)


def _value(name: str, word: str, recipe: Recipe) -> Any:
    """Return a value of a field, checked as the recipe checks it, and names by their registry."""
    value: Any = word
    kind = FIELDS[name].type
    if kind in (int, float):
        with suppress(ValueError):  # the recipe says what is wrong
            value = int(word) if kind is int else float(word)
    value = getattr(recipe.replace(**{name: value}), name)
    if registry := FIELDS[name].metadata["registry"]:
        module, _, names = registry.partition(":")
        getattr(import_module(f"lenetscope.{module}"), names).get(value)
    return value
