"""What a user can do wrong, one class a kind.

In: what was found. Out: one line that says what is wrong, what is allowed and how to mend it. The
command line prints that line and ends with the class's ``exit_status``; Python code catches
`LenetscopeError`, or the built-in class that each kind also is.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class LenetscopeError(Exception):
    """The root of every error that a user can mend."""

    exit_status = 1


class UsageError(LenetscopeError, ValueError):
    """A name, key or value that is not known or not allowed."""

    exit_status = 2


class RecipeError(UsageError):
    """A recipe that does not exist, cannot be read, or says something that is not allowed."""


class LayerError(UsageError):
    """A layer that the model does not have, or that cannot answer the question asked."""


class DataError(LenetscopeError, ValueError):
    """Images or labels that are missing, corrupt or out of range."""


class ImageError(DataError):
    """A picture that cannot be read as an image."""


class StorageError(LenetscopeError, OSError):
    """A file or folder that cannot be written: a full disk, a read-only disk, no permission."""


class RunError(LenetscopeError):
    """A run folder that is missing, unfinished, or of another version."""


class CheckpointError(LenetscopeError):
    """A checkpoint that is missing, damaged, unsafe, or for another network."""


class TrainingError(LenetscopeError):
    """Training that cannot go on, such as a loss that is no longer a number."""


def listed(names: Iterable[str]) -> str:
    """Join names for a message: ``'a', 'b' or 'c'``."""
    quoted = [f"'{name}'" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Say that ``name`` is no known ``kind``, with the nearest known name or all of them.

    >>> unknown("layer", "conv3", ["conv1", "conv2", "fc1"])
    "unknown layer 'conv3'; did you mean 'conv2'? Known: 'conv1', 'conv2' or 'fc1'."
    """
    names = list(known)
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; did you mean '{close[0]}'?" if close else "."
    allowed = f" Known: {listed(names)}." if names else ""
    return f"unknown {kind} '{name}'{hint}{allowed}"
