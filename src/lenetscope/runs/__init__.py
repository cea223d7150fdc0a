"""The run folder: what it holds, how it is written and how it is read."""

from lenetscope.runs.folder import FORMAT, Run
from lenetscope.runs.writer import RunWriter

__all__ = ["FORMAT", "Run", "RunWriter"]
