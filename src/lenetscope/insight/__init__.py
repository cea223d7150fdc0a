"""Looking inside a network: one question a file."""

from lenetscope.insight.budget import DEFAULT_BUDGET
from lenetscope.insight.capture import Capture, capture, recorded
from lenetscope.insight.filters import filters_of
from lenetscope.insight.hooks import CustomHooks, find_layers
from lenetscope.insight.parameters import ParameterRecord
from lenetscope.insight.summary import LayerRow, summarize

__all__ = [
    "DEFAULT_BUDGET",
    "Capture",
    "CustomHooks",
    "LayerRow",
    "ParameterRecord",
    "capture",
    "filters_of",
    "find_layers",
    "recorded",
    "summarize",
]
