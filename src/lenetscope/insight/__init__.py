"""Looking inside a network: one question a file."""

from lenetscope.insight.capture import (
    DEFAULT_BUDGET,
    Capture,
    CustomHooks,
    ParameterRecord,
    find_layers,
    recorded,
)
from lenetscope.insight.filters import filters_of
from lenetscope.insight.summary import LayerRow, summarize

__all__ = [
    "DEFAULT_BUDGET",
    "Capture",
    "CustomHooks",
    "LayerRow",
    "ParameterRecord",
    "filters_of",
    "find_layers",
    "recorded",
    "summarize",
]
