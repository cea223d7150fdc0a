"""Reads the number written in a picture.

Names are imported when they are first used, because scipy and scikit-image take time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

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
    "Alternative",
    "Digit",
    "Reader",
    "Reading",
    "load_reader",
    "read",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"lenetscope.reading.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'lenetscope.reading' has no attribute '{name}'")
