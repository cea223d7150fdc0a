"""Errors that a user can correct.

Each message is one line that states what is wrong, what is allowed and how to correct it. The command
line prints it and exits with the class's ``exit_status``; Python code catches `LenetscopeError`, or the
built-in exception that most of the classes also are. What the system refuses, wherever in the program
or its libraries, the command line reports in the same way: see `ending`.
"""

import errno
import re
from collections.abc import Iterable


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


class ExportError(LenetscopeError):
    """An exported file that does not compute what PyTorch computes."""


class TrainingError(LenetscopeError):
    """Training that cannot continue, such as after a loss that is not a finite number."""


INTERRUPTED = 130
"""Exit status of a command that was stopped."""

_NO_MEMORY = re.compile(
    r"can't allocate memory|cannot allocate memory|failed to map segment|out of memory"
    r"|can't start new thread",
    re.IGNORECASE,
)
"""What torch, the loader of libraries and Python say; of the last, memory is the usual reason."""

_LOST_PROCESS = re.compile(r"^Dist\w*Error|gloo|process group", re.IGNORECASE)
"""What torch says where processes cannot communicate, after the class of the error."""

LOST_PROCESS = (
    "another process of this training has ended or does not answer. The last checkpoint is kept: "
    "continue from it with --resume."
)

_BYTES = re.compile(r"tried to allocate (\d+) bytes")


def ending(error: BaseException) -> tuple[int, str] | None:
    """Return the exit status and the line for the user, None for a fault of the program itself.

    >>> ending(PermissionError(13, "Permission denied", "a.png"))
    (1, 'cannot access a.png: Permission denied.')
    >>> ending(KeyError("a")) is None
    True
    """
    words = " ".join(str(error).split())
    match error:
        case LenetscopeError():
            return error.exit_status, words
        case KeyboardInterrupt():
            return INTERRUPTED, " ".join(["interrupted.", *getattr(error, "__notes__", ())])
        case BrokenPipeError():  # the program that reads our output has ended, as `head` does
            return 1, ""
        case MemoryError() | OSError(errno=errno.ENOMEM):
            return 1, _no_memory(words)
        case RuntimeError() | OSError() | ImportError() if _NO_MEMORY.search(words):
            return 1, _no_memory(words)
        case RuntimeError() if _LOST_PROCESS.search(f"{type(error).__name__} {words}"):
            return 1, LOST_PROCESS
        case OSError(errno=int(), filename=name, strerror=why):
            what = f"cannot access {name}" if name else "the system refused to continue"
            mend = "; raise the limit (ulimit -n)" if error.errno == errno.EMFILE else ""
            return 1, f"{what}: {why}{mend}."
        case OSError() | ImportError() if "shared object" in words:
            return 1, f"cannot load a library: {words}."
    return None


def _no_memory(words: str) -> str:
    tried = _BYTES.search(words)
    size = f" for another {int(tried[1]) / 2**20:,.0f} MB" if tried else ""
    return (
        f"too little memory{size}: close other programs, or raise the limit if one is set (ulimit -v)."
    )


def listed(names: Iterable[str]) -> str:
    """Join names for a message: ``'a', 'b' or 'c'``."""
    quoted = [f"'{name}'" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Return a message that ``name`` is not a known ``kind``, with the nearest name and all names.

    >>> unknown("layer", "conv3", ["conv1", "conv2", "fc1"])
    "unknown layer 'conv3'; did you mean 'conv2'? Known: 'conv1', 'conv2' or 'fc1'."
    """
    from difflib import get_close_matches  # late: slow to import

    names = list(known)
    close = get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f"; did you mean '{close[0]}'?" if close else "."
    allowed = f" Known: {listed(names)}." if names else ""
    return f"unknown {kind} '{name}'{hint}{allowed}"
