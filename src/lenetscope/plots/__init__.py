"""Pictures: arrays in, a matplotlib `Figure` out. The only place that draws.

No pyplot state, no window, no style set at import: each function builds its own figure and returns
it. matplotlib is imported when something is drawn, because a training that draws nothing should not
wait for it.
"""

from lenetscope.plots.ablation import ablation
from lenetscope.plots.activations import activations
from lenetscope.plots.attribution import attribution, faithfulness
from lenetscope.plots.benchmarks import growth, inference, times_to_accuracy
from lenetscope.plots.calibration import coverage, reliability
from lenetscope.plots.embedding import embedding
from lenetscope.plots.excitation import excitation, excitation_pages
from lenetscope.plots.filters import filter_pages, filters
from lenetscope.plots.health import health
from lenetscope.plots.layers import outputs
from lenetscope.plots.learning import filter_movement, filters_over_time, learning
from lenetscope.plots.mistakes import mistake_pages, mistakes
from lenetscope.plots.preference import preference
from lenetscope.plots.reading import reading_steps
from lenetscope.plots.scores import confusion
from lenetscope.plots.style import Array, save
from lenetscope.plots.training import curves, lr_range

__all__ = [
    "Array",
    "ablation",
    "activations",
    "attribution",
    "confusion",
    "coverage",
    "curves",
    "embedding",
    "excitation",
    "excitation_pages",
    "faithfulness",
    "filter_movement",
    "filter_pages",
    "filters",
    "filters_over_time",
    "growth",
    "health",
    "inference",
    "learning",
    "lr_range",
    "mistake_pages",
    "mistakes",
    "outputs",
    "preference",
    "reading_steps",
    "reliability",
    "save",
    "times_to_accuracy",
]
