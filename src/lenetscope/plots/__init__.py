"""Pictures: arrays in, a matplotlib `Figure` out. The only place that draws.

No pyplot state, no window, no style set at import: each function builds its own figure and returns
it. matplotlib is imported when something is drawn, because a training that draws nothing should not
wait for it.
"""

from lenetscope.plots.benchmarks import growth, inference, times_to_accuracy
from lenetscope.plots.layers import filters, outputs
from lenetscope.plots.reading import reading_steps
from lenetscope.plots.scores import confusion
from lenetscope.plots.style import save
from lenetscope.plots.training import curves, lr_range

__all__ = [
    "confusion",
    "curves",
    "filters",
    "growth",
    "inference",
    "lr_range",
    "outputs",
    "reading_steps",
    "save",
    "times_to_accuracy",
]
