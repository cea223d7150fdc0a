"""What the page shows now, as one HTML file that needs no server."""

from typing import Any

import numpy as np

from lenetscope.errors import RunError, UsageError, listed
from lenetscope.playground.answers import RUN, Answer, decoded
from lenetscope.playground.lab import Lab, Opened
from lenetscope.plots.html import base64_of
from lenetscope.report.build import STEPS, Start, render_drawing
from lenetscope.report.network import Graph
from lenetscope.schema import list_of, optional, text


def view(lab: Lab, asked: dict[str, Any]) -> bytes:
    """Return the page with the drawing and the weights that were sent, or those of an epoch.

    Raises:
        LayerError: if the network is too large for a page.
        UsageError: if the weights or the drawing are not of this network.
    """
    opened, epoch = lab.run(asked.get("run")), asked.get("epoch")
    if other := [name for name in asked.get("off") or () if name not in STEPS]:
        raise UsageError(f"'{other[0][:40]}' is not one of {listed(STEPS)}.")
    sent, drawn = asked.get("weights"), asked.get("pixels")
    weights = opened.weights(epoch) if sent is None else _weights(sent, opened)
    graph = Graph(opened.graph.input_shape, opened.graph.layers, weights)
    pixels = None if drawn is None else base64_of(opened.images(drawn).numpy())
    steps = {name: name not in (asked.get("off") or ()) for name in STEPS}
    start = Start(opened.name, epoch, not _are_of(weights, opened, epoch), pixels, steps)
    return render_drawing(opened.inspection, graph, opened.familiar, start).encode()


def _weights(sent: bytes, opened: Opened) -> np.ndarray:
    """Return weights that the page sent, (M,), checked."""
    count = len(opened.graph.weights)
    if len(sent) != 4 * count:
        raise UsageError(f"the weights of this network are {4 * count:,} bytes, not {len(sent):,}.")
    weights = np.frombuffer(sent, "<f4").astype(np.float32)
    if not np.isfinite(weights).all():
        raise UsageError("the weights must be finite numbers.")
    return weights


def _are_of(weights: np.ndarray, opened: Opened, epoch: int | None) -> bool:
    """Tell whether weights are those of an epoch of a run, and not changed in the page."""
    try:
        return np.array_equal(weights, opened.weights(epoch))
    except RunError:  # in the middle of a training
        return False


Answer(
    name="view",
    summary="the network and the drawing as one HTML file that needs no server",
    fields=RUN
    | {"weights": optional(decoded), "pixels": optional(decoded), "off": optional(list_of(text))},
    compute=view,
).register()
