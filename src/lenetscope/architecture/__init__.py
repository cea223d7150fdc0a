"""`Architecture`: the rooms of this package behind one class.

`looking` sees inside a model, `trainable` trains it, `facade` adds recipes, runs and scores.
"""

from lenetscope.architecture.facade import Architecture

__all__ = ["Architecture"]
