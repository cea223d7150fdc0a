"""``lenetscope recipes``: the recipes that ship with the package."""

from lenetscope.cli import app
from lenetscope.recipe import Recipe, names, source


def recipes(name: str | None = None, /, *, as_json: app.Json = False) -> None:
    """List the recipes that ship with the package, or print one.

    Parameters
    ----------
    name
        recipe to print, with the comments that state what it reaches and how that was measured
    """
    if name is None:
        found = [Recipe.load(each) for each in names()]
        lines = [f"{each.name:10} {each.summary}" for each in found]
        app.show(as_json, {"recipes": [each.as_dict() for each in found]}, "\n".join(lines))
    else:
        app.show(as_json, Recipe.load(name).as_dict(), source(name).rstrip())
