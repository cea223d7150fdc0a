"""What evaluation shares with the questions."""

from questions.conftest import untouched_by

__all__ = ["untouched_by"]
