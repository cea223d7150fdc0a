"""Reads the number written in a picture, and opens picture files safely.

Names are imported when they are first used: opening a picture needs neither scipy nor scikit-image.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lenetscope.reading.decode import MAX_PIXELS, decode, fit_to, open_picture

if TYPE_CHECKING:
    from lenetscope.reading.pipeline import read
    from lenetscope.reading.reader import Reader, load_reader
    from lenetscope.reading.results import Alternative, Digit, Reading

_HOMES = {
    "Alternative": "results",
    "Digit": "results",
    "Reader": "reader",
    "Reading": "results",
    "load_reader": "reader",
    "read": "pipeline",
}

__all__ = [
    "MAX_PIXELS",
    "Alternative",
    "Digit",
    "Reader",
    "Reading",
    "decode",
    "fit_to",
    "load_reader",
    "open_picture",
    "read",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"lenetscope.reading.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'lenetscope.reading' has no attribute '{name}'")
