"""What can be set of a training in the playground: the fields of a recipe, and what one begins with.

A page names what is registered, or what an open run has: a path or ``module:name`` of its own would let
it reach files, and run code, that the playground was not started for.
"""

import dataclasses
from contextlib import suppress
from pathlib import Path
from typing import Any, get_origin

from lenetscope.errors import LenetscopeError, RecipeError, unknown
from lenetscope.playground.lab import Lab, Opened
from lenetscope.recipe import Recipe, choices, names

FIRST = ("epochs", "lr", "batch_size", "optimizer", "augmentation", "model", "dropout", "seed")
"""Fields that a page shows first, in this order."""

LEFT_OUT = {"data": "mnist-lines", "model": "reader", "loss": "ctc"}
"""What is not for one image with one class."""

MOST = {"image_size": 256, "batch_size": 65_536, "epochs": 10_000, "threads": 256}
"""Largest values: beyond these a slip of the finger could take the machine's memory."""

HELP = {"data": "data set"}
"""Help where that of the command line speaks of what is not allowed here."""


def bases(lab: Lab) -> dict[str, Recipe]:
    """Return what a training can begin with, by name: recipes that ship, and those of open runs."""
    shipped = {name: Recipe.load(name) for name in names()}
    of_runs = {f"run {each.name}": each.inspection.run.recipe() for each in _opened(lab)}
    return {name: recipe for name, recipe in (shipped | of_runs).items() if _is_classifier(recipe)}


def fields(lab: Lab) -> list[dict[str, Any]]:
    """Return the fields that can be set, those of `FIRST` first, as plain values for the page."""
    items = {item.name: item for item in dataclasses.fields(Recipe) if item.metadata["group"]}
    order = [*FIRST, *(name for name in items if name not in FIRST)]
    return [_plain(lab, items[name]) for name in order]


def chosen(lab: Lab, base: str, changes: dict[str, Any]) -> Recipe:
    """Return a recipe with some fields changed, checked as far as that is possible without its data.

    Raises:
        RecipeError: if there is no such recipe or field, or a value is not allowed.
    """
    known = bases(lab)
    if base not in known:
        raise RecipeError(unknown("recipe", base, known))
    items = {item.name: item for item in dataclasses.fields(Recipe) if item.metadata["group"]}
    if strange := [name for name in changes if name not in items]:
        raise RecipeError(unknown("recipe key", strange[0], items))
    recipe = known[base].replace(**changes)
    for item in items.values():
        value, allowed = getattr(recipe, item.name), _allowed(lab, item)
        if allowed and value not in allowed:
            raise RecipeError(unknown(item.name, str(value), allowed))
    for name, most in MOST.items():
        if getattr(recipe, name) > most:
            raise RecipeError(f"'{name}' must be at most {most:,} in the playground.")
    return recipe


def data_dir(lab: Lab, recipe: Recipe) -> Path | None:
    """Return the folder in which an open run finds the same data; None for the usual one."""
    runs = _opened(lab)
    same = (each.data_dir for each in runs if each.inspection.run.recipe().data == recipe.data)
    return next(same, None)


def _opened(lab: Lab) -> list[Opened]:
    """Return the runs that are open, and those of the playground's folder that can be opened."""
    found = []
    for name in lab.names:
        with suppress(LenetscopeError):
            found.append(lab.run(name))
    return found


def _is_classifier(recipe: Recipe) -> bool:
    return not any(getattr(recipe, name) == value for name, value in LEFT_OUT.items())


def _allowed(lab: Lab, item: "dataclasses.Field[Any]") -> list[str]:
    """Return the names that a field may have; none if it takes other values."""
    known, is_open = choices(item)
    if not known:
        return []
    own = [getattr(recipe, item.name) for recipe in bases(lab).values()] if is_open else []
    return [name for name in dict.fromkeys([*known, *own]) if name != LEFT_OUT.get(item.name)]


def _plain(lab: Lab, item: "dataclasses.Field[Any]") -> dict[str, Any]:
    kind: Any = item.type
    if allowed := _allowed(lab, item):
        shown = {"kind": "choice", "choices": allowed}
    elif get_origin(kind) is tuple:
        shown = {"kind": "numbers"}
    else:
        shown = {"kind": "switch" if kind is bool else "whole" if kind is int else "number"}
    return {
        "name": item.name,
        "group": item.metadata["group"],
        "first": item.name in FIRST,
        "help": HELP.get(item.name, item.metadata["help"]),
        **shown,
    }
