"""What the commands share: the application, common flags, and how results and messages are printed.

Results go to standard output (``--json`` for machines), progress and messages to standard error. The
file of a command is imported when the command runs, and torch only after its arguments were parsed.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter, Token

from lenetscope.data.sources import is_path
from lenetscope.errors import UsageError
from lenetscope.progress import Show, show_nothing
from lenetscope.table import interval, percent

if TYPE_CHECKING:
    from lenetscope.evaluation.scores import Scores
    from lenetscope.runs.folder import Run

COMMANDS = {
    "train": (
        "Train a recipe and save the run in a folder.",
        "lenetscope train --recipe fast --seed 1",
    ),
    "data": (
        "Show what a data set holds: classes, sizes, duplicates, files that cannot be read.",
        "lenetscope data photos/ --out photos.png",
    ),
    "evaluate": (
        "Count correct and wrong predictions on the test images.",
        "lenetscope evaluate runs/reference-1",
    ),
    "compare": (
        "Compare runs on the same test images, and say whether a difference may be luck.",
        "lenetscope compare runs/reference-1 runs/fast-1",
    ),
    "predict": (
        "Predict the class of each picture, with the network of a run.",
        "lenetscope predict runs/reference-1 digit.png",
    ),
    "read": (
        "Read the number written in each photo, scan or drawing, or report that it is unreadable.",
        "lenetscope read photo.jpg",
    ),
    "inspect": (
        "List the layers of a run's network, and draw figures that answer questions about it.",
        "lenetscope inspect runs/reference-1 --what filters,outputs",
    ),
    "report": (
        "Write a report of a run: one HTML page that opens in any browser, offline.",
        "lenetscope report runs/reference-1 --open",
    ),
    "export": (
        "Export a run's network to a file that works without this program, and prove the file.",
        "lenetscope export runs/reference-1 --format onnx",
    ),
    "serve": (
        "Answer HTTP requests with the predictions of a network, until Ctrl-C.",
        "lenetscope serve runs/reference-1 --port 8000",
    ),
    "play": (
        "Open a page in the browser: draw a digit, and walk through the network.",
        "lenetscope play runs/reference-1",
    ),
    "find-lr": (
        "Suggest a learning rate for a recipe, after a few training steps at growing rates.",
        "lenetscope find-lr --recipe fast",
    ),
    "tune": (
        "Search for the best values of a recipe's fields, by images held out of training.",
        "lenetscope tune --space 'lr=log:1e-4..1,batch_size=32|64|128'",
    ),
    "recipes": (
        "List the recipes that ship with the package, or print one.",
        "lenetscope recipes fast",
    ),
}
"""What each command does, and an example of it."""

app = App(
    name="lenetscope",
    help="Train a small convolutional network on handwritten digits, and see inside it.",
    help_epilogue="Start with: lenetscope train",
    version=lambda: version("lenetscope"),
    version_flags=("--version", "-V"),
    help_format="plaintext",
    suppress_keyboard_interrupt=False,  # `main` tells of it
)
for _name, (_help, _example) in COMMANDS.items():
    _path = f"lenetscope.cli.{_name.replace('-', '_')}:{_name.replace('-', '_')}"
    app.command(_path, name=_name, help=_help, help_epilogue=f"Example: {_example}")


def whole(_kind: object, tokens: Sequence[Token]) -> int:
    """Return a whole number, which a word such as 3.5 is not."""
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f'"{tokens[0].value}" is not a whole number') from None


WHOLE = Parameter(converter=whole)
Whole = Annotated[int, WHOLE]
RunFolder = Annotated[Path | None, Parameter(help="folder of a run (default: the newest in runs)")]
Json = Annotated[
    bool,
    Parameter(name="--json", negative="", show_default=False, help="print JSON, for machines"),
]
Device = Annotated[str | None, Parameter(help="auto, cpu, cuda or mps (default: the recipe's)")]
DataDir = Annotated[
    Path | None,
    Parameter(help="folder of data with a name; also LENETSCOPE_DATA_DIR (default: the user's cache)"),
]
DataOfRun = Annotated[
    Path | None,
    Parameter(name="--data-dir", help="where the data are now (default: where they were in training)"),
]


def require_one_place(data: str, data_dir: Path | None) -> None:
    """Refuse a folder for data that are named by their path."""
    if data_dir and is_path(data):
        raise UsageError(f"--data {data} says where the data are: give no --data-dir.")


def open_run(path: Path | None) -> "Run":
    """Open a run folder, or the newest one, and prepare the process as its recipe says."""
    from lenetscope.runs.folder import Run

    run = Run.open(newest_run() if path is None else path)
    prepare_process(run.recipe().threads)
    return run


def newest_run() -> Path:
    """Return the folder of the newest run, and name it."""
    from lenetscope.runs.folder import Run

    path = Run.newest().path
    note(f"{path} is the newest run.")
    return path


def note_unfinished(run: "Run") -> None:
    """Print that a run's weights are not its last, if so."""
    if not run.is_finished():
        done, planned = run.weights_epoch(), run.planned_epochs()
        note(f"{run.path} is unfinished: these are its weights after epoch {done} of {planned}.")


def prepare_process(threads: int) -> None:
    """Keep freed memory, and compute with that many threads; see `threads_for`."""
    import logging

    import torch

    from lenetscope.training import machine

    # it tells where it could not keep its cache
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    machine.keep_freed_memory()
    torch.set_num_threads(machine.threads_for(threads))


def accuracy_of(scores: "Scores") -> str:
    """Return the accuracy with its interval, as text."""
    bounds = interval(scores.accuracy_interval)
    return f"{percent(scores.accuracy)}  ({bounds}, {scores.errors} errors in {scores.n:,})"


@contextmanager
def progress_bar() -> Iterator[Show]:
    """Yield what shows how much is done and how long the rest will take: a bar, on a terminal only."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal or console.is_dumb_terminal:
        yield show_nothing
        return
    columns = (
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, transient=True, speed_estimate_period=600) as bars:
        bar = bars.add_task("", total=1)
        yield lambda done, task: bars.update(bar, completed=done, description=task)


def show(as_json: bool, facts: dict[str, Any], text: str) -> None:
    """Print a result on standard output, as one line of JSON or as text."""
    print(json.dumps(facts) if as_json else text, flush=True)


def note(text: str) -> None:
    """Print a message for the user, on standard error."""
    print(text, file=sys.stderr, flush=True)


def complain(error: Exception | str) -> None:
    """Print in one line what is wrong; names of files may hold anything, also codes for a terminal."""
    line = " ".join(str(error).split())
    note("lenetscope: " + "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line))
