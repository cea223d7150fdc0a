"""The networks that a recipe can name, one file an architecture."""

from lenetscope.models.lean import LeanNet
from lenetscope.models.lenet import LeNet
from lenetscope.models.mlp import MLP
from lenetscope.models.reader import ReaderNet
from lenetscope.models.table import MODELS, build, memory_format

__all__ = ["MLP", "MODELS", "LeNet", "LeanNet", "ReaderNet", "build", "memory_format"]
