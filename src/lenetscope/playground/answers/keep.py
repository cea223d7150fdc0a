"""Keeps a drawing with its label, in the folder of the playground."""

from typing import Any

from lenetscope.playground.answers import RUN, Answer, decoded
from lenetscope.playground.lab import Lab
from lenetscope.schema import optional, whole


def keep(lab: Lab, asked: dict[str, Any]) -> dict[str, Any]:
    """Keep what the network was given, and return its number among those of its class.

    Raises:
        UsageError: see `Kept.keep`; also if the image is not of this network's size.
        DataError, StorageError: if the folder cannot be read, or written.
    """
    opened = lab.run(asked.get("run"))
    pixels = opened.images(asked["pixels"])[0]
    return {"number": lab.kept(opened).keep(asked["label"], pixels, asked.get("number"))}


Answer(
    name="keep",
    summary="keeps a drawing with its label",
    fields=RUN | {"label": whole(), "pixels": decoded, "number": optional(whole(1, 10**9 - 1))},
    compute=keep,
    required=("label", "pixels"),
).register()
