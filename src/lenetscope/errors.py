"""Errors that a user can correct.

Each message is one line that states what is wrong, what is allowed and how to correct it. The command
line prints it and exits with the class's ``exit_status``; Python code catches `LenetscopeError`, or the
built-in exception that most of the classes also are.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class LenetscopeError(Exception):
    """Base class of all errors that a user can correct."""

    exit_status = 1


class UsageError(LenetscopeError, ValueError):
    """A name, option or value that is unknown or not allowed."""

    exit_status = 2


class RecipeError(UsageError):
    """A recipe that does not exist or cannot be read, or an unknown key or value in it."""


class LayerError(UsageError):
    """A layer that the model does not have, or that the question does not apply to."""


class DataError(LenetscopeError, ValueError):
    """Images or labels that are missing, corrupt or out of range."""


class ImageError(DataError):
    """A file that cannot be read as an image."""


class StorageError(LenetscopeError, OSError):
    """A file or folder that cannot be written: a full disk, a read-only disk, no permission."""


class RunError(LenetscopeError):
    """A run folder that is missing, unfinished, damaged or of another version."""


class CheckpointError(LenetscopeError):
    """A checkpoint that is missing, damaged, unsafe or of another network."""


class TrainingError(LenetscopeError):
    """Training that cannot continue, such as after a loss that is not a finite number."""


def listed(names: Iterable[str]) -> str:
    """Join names for a message: ``'a', 'b' or 'c'``."""
    quoted = [f"'{name}'" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Return a message that ``name`` is not a known ``kind``, with the nearest name and all names.

    >>> unknown("layer", "conv3", ["conv1", "conv2", "fc1"])
    "unknown layer 'conv3'; did you mean 'conv2'? Known: 'conv1', 'conv2' or 'fc1'."
    """
    names = list(known)
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; did you mean '{close[0]}'?" if close else "."
    allowed = f" Known: {listed(names)}." if names else ""
    return f"unknown {kind} '{name}'{hint}{allowed}"
