"""Train a small convolutional network on handwritten digits, and see inside it.

The public names are imported when they are first used, so that the command line can show its help
without waiting for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lenetscope.architecture import Architecture as Architecture
    from lenetscope.errors import LenetscopeError as LenetscopeError
    from lenetscope.evaluation.scores import Scores as Scores
    from lenetscope.inspection import Inspection as Inspection
    from lenetscope.reading import Reading as Reading
    from lenetscope.reading import read as read
    from lenetscope.recipe import Recipe as Recipe
    from lenetscope.recording import capture as capture
    from lenetscope.runs.folder import Run as Run
    from lenetscope.runs.writer import RunWriter as RunWriter
    from lenetscope.training.callbacks import Callback as Callback
    from lenetscope.training.callbacks import EarlyStopping as EarlyStopping

_HOMES = {
    "Architecture": "lenetscope.architecture",
    "Callback": "lenetscope.training.callbacks",
    "EarlyStopping": "lenetscope.training.callbacks",
    "Inspection": "lenetscope.inspection",
    "LenetscopeError": "lenetscope.errors",
    "Reading": "lenetscope.reading",
    "Recipe": "lenetscope.recipe",
    "Run": "lenetscope.runs.folder",
    "RunWriter": "lenetscope.runs.writer",
    "Scores": "lenetscope.evaluation.scores",
    "capture": "lenetscope.recording",
    "read": "lenetscope.reading",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("lenetscope")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'lenetscope' has no attribute '{name}'")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
