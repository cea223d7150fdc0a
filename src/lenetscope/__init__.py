"""Train a small convolutional network on handwritten digits, and see inside it.

The public names are imported when they are first used, so that the command line can answer for help
without waiting for torch.
"""

from importlib import import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lenetscope.architecture import Architecture
    from lenetscope.errors import LenetscopeError
    from lenetscope.evaluation import Scores
    from lenetscope.insight.capture import capture
    from lenetscope.inspection import Study
    from lenetscope.reading import Reading, read
    from lenetscope.recipe import Recipe
    from lenetscope.runs import Run, RunWriter
    from lenetscope.training import Callback, EarlyStopping

_HOMES = {
    "Architecture": "lenetscope.architecture",
    "Callback": "lenetscope.training",
    "EarlyStopping": "lenetscope.training",
    "LenetscopeError": "lenetscope.errors",
    "Reading": "lenetscope.reading",
    "Recipe": "lenetscope.recipe",
    "Run": "lenetscope.runs",
    "RunWriter": "lenetscope.runs",
    "Scores": "lenetscope.evaluation",
    "Study": "lenetscope.inspection",
    "capture": "lenetscope.insight",
    "read": "lenetscope.reading",
}

__all__ = [
    "Architecture",
    "Callback",
    "EarlyStopping",
    "LenetscopeError",
    "Reading",
    "Recipe",
    "Run",
    "RunWriter",
    "Scores",
    "Study",
    "capture",
    "read",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version("lenetscope")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'lenetscope' has no attribute '{name}'")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
