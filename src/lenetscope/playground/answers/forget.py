"""Deletes a drawing that was kept."""

from typing import Any

from lenetscope.playground.answers import RUN, Answer
from lenetscope.playground.lab import Lab
from lenetscope.schema import whole


def forget(lab: Lab, asked: dict[str, Any]) -> dict[str, Any]:
    """Delete a drawing.

    Raises:
        UsageError: if there is no such drawing.
        DataError: if the folder cannot be changed.
    """
    lab.kept(lab.run(asked.get("run"))).delete(asked["label"], asked["number"])
    return {}


Answer(
    name="forget",
    summary="deletes a drawing that was kept",
    fields=RUN | {"label": whole(), "number": whole(1, 10**9 - 1)},
    compute=forget,
    required=("label", "number"),
).register()
