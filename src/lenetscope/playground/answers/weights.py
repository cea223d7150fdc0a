"""The weights of a run's network after an epoch."""

from typing import Any

from lenetscope.playground.answers import RUN, Answer
from lenetscope.playground.lab import Lab


def weights(lab: Lab, asked: dict[str, Any]) -> bytes:
    """Return the weights of all steps, little-endian float32."""
    return lab.run(asked.get("run")).weights(asked.get("epoch")).astype("<f4").tobytes()


Answer(
    name="weights",
    summary="the weights of a network after an epoch, little-endian float32",
    fields=RUN,
    compute=weights,
).register()
