"""The weights of the network that is being trained, as they were a moment ago."""

from lenetscope.errors import UsageError
from lenetscope.playground.answers import Answer
from lenetscope.playground.lab import Lab


def training_weights(lab: Lab, _asked: object) -> bytes:
    """Return the weights of all steps, little-endian float32."""
    if not lab.training.weights:
        raise UsageError("no network is being trained that could be shown.")
    return lab.training.weights


Answer(
    name="training-weights",
    summary="the weights of the network that is being trained, little-endian float32",
    fields={},
    compute=training_weights,
    quick=True,
).register()
