"""The fields of a recipe as flags, for every command that takes a recipe."""

import dataclasses
from typing import Annotated, Any, Literal, get_origin

from cyclopts import Group, Parameter

from lenetscope.cli.app import whole
from lenetscope.recipe import Recipe, choices, names

_REFERENCE = Recipe.load("reference")
_FIELDS = Group("Fields of the recipe", sort_key=10)


def _flag(item: "dataclasses.Field[Any]") -> Any:
    """Return the type, and the flag, of a field of the recipe that may be left out."""
    kind: Any = item.type
    if get_origin(kind) is Literal:
        kind = str  # the recipe checks the value, and knows its short forms
    allowed, is_open = choices(item)
    allowed += ["module:name of your own"] * is_open
    text = item.metadata["help"] + (f": {', '.join(allowed)}" if allowed else "")
    default = getattr(_REFERENCE, item.name)
    shown = ", ".join(map(str, default)) if isinstance(default, tuple) else str(default).lower()
    options: dict[str, Any] = {} if kind is bool else {"negative": "", "consume_multiple": True}
    if kind is int:
        options["converter"] = whole
    text = f"{text} [reference: {shown}]"
    return Annotated[kind | None, Parameter(help=text, group=_FIELDS, show_default=False, **options)]


Fields: Any = dataclasses.make_dataclass(
    "Fields",
    [(item.name, _flag(item), None) for item in dataclasses.fields(Recipe) if item.metadata["group"]],
    # cyclopts takes classes of the module "types", where this one would be, for plain values
    namespace={"__module__": __name__},
)
RecipeName = Annotated[str, Parameter(help=f"recipe: {', '.join(names())}, or the path of a TOML file")]
Overrides = Annotated[Fields | None, Parameter(name="*")]


def given(overrides: Any) -> dict[str, Any]:
    """Return the fields that were given on the command line."""
    return {k: v for k, v in vars(overrides).items() if v is not None} if overrides else {}
