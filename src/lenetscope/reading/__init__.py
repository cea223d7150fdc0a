"""Reads the number written in a picture, and opens picture files safely.

Names are imported when they are first used: opening a picture needs neither scipy nor scikit-image.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lenetscope.reading.decode import MAX_PIXELS, decode, fit_to, open_picture

if TYPE_CHECKING:
    from lenetscope.reading.judge import Judge, NetworkJudge
    from lenetscope.reading.pipeline import read
    from lenetscope.reading.results import Digit, Reading, Step

_HOMES = {
    "Digit": "results",
    "Judge": "judge",
    "NetworkJudge": "judge",
    "Reading": "results",
    "Step": "results",
    "read": "pipeline",
}

__all__ = [
    "MAX_PIXELS",
    "Digit",
    "Judge",
    "NetworkJudge",
    "Reading",
    "Step",
    "decode",
    "fit_to",
    "open_picture",
    "read",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"lenetscope.reading.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'lenetscope.reading' has no attribute '{name}'")
