"""The run folder: what is in it, how it is written and how it is read."""

from lenetscope.runs.environment import environment
from lenetscope.runs.folder import FORMAT, Run
from lenetscope.runs.writer import RunWriter

__all__ = ["FORMAT", "Run", "RunWriter", "environment"]
