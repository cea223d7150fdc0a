"""What the commands share: the application they belong to, their common flags, how they speak.

In: words. Out: results on standard output (``--json`` for machines), progress and messages on
standard error. Nothing that needs torch is imported before a command runs.
"""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

if TYPE_CHECKING:
    from lenetscope.architecture import Architecture

INTERRUPTED = 130
"""Exit status of a command that was stopped."""

app = App(
    name="lenetscope",
    help="Train a small convolutional network on handwritten digits, and see inside it.",
    help_epilogue="Start with: lenetscope train",
    version=lambda: _version(),
    help_format="plaintext",
)

Json = Annotated[bool, Parameter(name="--json", negative="", help="print one JSON object")]
DataDir = Annotated[
    Path | None,
    Parameter(help="folder of the data; also LENETSCOPE_DATA_DIR (default: the user's cache)"),
]


def _version() -> str:
    from importlib.metadata import version

    return version("lenetscope")


def print_json(value: dict[str, Any]) -> None:
    """Print a result for machines, on standard output."""
    print(json.dumps(value))


def say(arch: "Architecture", text: str) -> None:
    """Tell a person something, from one of several processes."""
    if arch.state.is_main:
        note(text)


def note(text: str) -> None:
    """Tell a person something, on standard error."""
    print(text, file=sys.stderr, flush=True)


def complain(error: Exception) -> None:
    """Say in one line what went wrong."""
    note(f"lenetscope: {one_line(error)}")


def one_line(error: Exception) -> str:
    """Return the text of an error without line breaks."""
    return " ".join(str(error).split())
