"""What the commands share: the application, common flags, and how results and messages are printed.

Results go to standard output (``--json`` for machines), progress and messages to standard error. The
file of a command is imported when the command runs, and torch only after its arguments were parsed.
"""

import json
import sys
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from lenetscope.progress import Progress, no_progress

if TYPE_CHECKING:
    from lenetscope.evaluation.scores import Scores
    from lenetscope.runs.folder import Run

INTERRUPTED = 130
"""Exit status of a command that was stopped."""

COMMANDS = {
    "train": "Train a recipe and save the run in a folder.",
    "evaluate": "Count correct and wrong predictions on the test images.",
    "predict": "Predict which digit each picture shows, with the network of a run.",
    "read": "Read the number written in each photo, scan or drawing, or report that it is unreadable.",
    "inspect": "List the layers of a run's network, and draw figures that answer questions about it.",
    "report": "Write a report of a run: one HTML page that opens in any browser, offline.",
    "recipes": "List the recipes that ship with the package, or print one.",
}

app = App(
    name="lenetscope",
    help="Train a small convolutional network on handwritten digits, and see inside it.",
    help_epilogue="Start with: lenetscope train",
    version=lambda: version("lenetscope"),
    help_format="plaintext",
)
for _name, _help in COMMANDS.items():
    app.command(f"lenetscope.cli.{_name}:{_name}", name=_name, help=_help)

RunFolder = Annotated[Path, Parameter(help="folder of a run")]
Json = Annotated[bool, Parameter(name="--json", negative="", help="print JSON, for machines")]
Device = Annotated[str | None, Parameter(help="auto, cpu, cuda or mps (default: the recipe's)")]
DataDir = Annotated[
    Path | None,
    Parameter(help="folder of the data; also LENETSCOPE_DATA_DIR (default: the user's cache)"),
]


def open_run(path: Path) -> "Run":
    """Open a run folder, and prepare the process as its recipe says."""
    from lenetscope.runs.folder import Run

    run = Run.open(path)
    prepare_process(run.recipe().threads)
    return run


def prepare_process(threads: int) -> None:
    """Keep freed memory, and compute with that many threads; 0 for one per core."""
    import torch

    from lenetscope.training import machine

    machine.keep_freed_memory()
    torch.set_num_threads(machine.threads_for(threads))


def accuracy_of(scores: "Scores") -> str:
    """Return the accuracy with its interval, as text."""
    low, high = (100 * bound for bound in scores.accuracy_interval)
    interval = f"95 % interval {low:.2f} to {high:.2f}, {scores.errors} errors in {scores.n:,}"
    return f"{100 * scores.accuracy:.2f} %  ({interval})"


def progress_bar(label: str) -> Progress:
    """Return what shows progress: a bar on a terminal, nothing elsewhere."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    if not console.is_terminal or console.is_dumb_terminal:
        return no_progress
    return partial(track, description=label, console=console, transient=True)


def show(as_json: bool, facts: dict[str, Any], text: str) -> None:
    """Print a result on standard output, as one line of JSON or as text."""
    print(json.dumps(facts) if as_json else text, flush=True)


def note(text: str) -> None:
    """Print a message for the user, on standard error."""
    print(text, file=sys.stderr, flush=True)


def complain(error: Exception | str) -> None:
    """Print in one line what is wrong."""
    note(f"lenetscope: {' '.join(str(error).split())}")
