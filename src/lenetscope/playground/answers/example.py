"""A test image of a run, to begin with where the page has nothing better to draw."""

from typing import Any

from lenetscope.playground.answers import RUN, Answer
from lenetscope.playground.lab import Lab


def example(lab: Lab, asked: dict[str, Any]) -> bytes:
    """Return the first test image, (C, H, W) uint8."""
    return lab.run(asked.get("run")).inspection.pixels[0].numpy().tobytes()


Answer(
    name="example",
    summary="a test image, (C, H, W) uint8",
    fields=RUN,
    compute=example,
).register()
