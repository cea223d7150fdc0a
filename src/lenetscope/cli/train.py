"""``lenetscope train``: train a recipe, or resume a run."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from lenetscope.cli import app, fields
from lenetscope.errors import INTERRUPTED, UsageError
from lenetscope.recipe import Recipe
from lenetscope.table import counted
from lenetscope.training import launcher


def train(
    *,
    recipe: fields.RecipeName = "reference",
    run_dir: Path | None = None,
    resume: Path | None = None,
    data_dir: app.DataDir = None,
    download: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    checkpoint_steps: app.Whole = 0,
    devices: app.Whole | None = None,
    num_nodes: app.Whole | None = None,
    overrides: fields.Overrides = None,
    as_json: app.Json = False,
) -> None:
    """Train a recipe and save the run in a folder.

    Parameters
    ----------
    run_dir
        folder of the run, which must not exist (default: runs/<recipe>-<n>)
    resume
        folder of a run to continue (alone: the newest), bit for bit as if it had not been interrupted;
        with it, --epochs, --threads, --workers and --device may change
    download
        add missing files of data with a name to the folder of --data-dir, or to the user's cache
    checkpoint_steps
        save each time so many steps are done, too; 0: after each epoch only
    devices
        processes to start on this machine, one per GPU (default: 1); not with torchrun
    num_nodes
        machines on which this command is started, see docs/scaling.md (default: 1); not with torchrun
    """
    given = fields.given(overrides)
    if checkpoint_steps < 0:
        raise UsageError(f"--checkpoint-steps must be at least 0, not {checkpoint_steps}.")
    if resume is None:
        wanted = Recipe.load(recipe, **given)
        app.require_one_place(wanted.data, data_dir)
    elif recipe != "reference" or run_dir is not None or download:
        raise UsageError(
            "a run continues with its own recipe, folder and data: with --resume give no --recipe, "
            "--run-dir or --download."
        )
    if (status := launcher.launch(devices, num_nodes)) is not None:
        sys.exit(status)
    with save_on_interrupt() as interrupted:
        from lenetscope.architecture import Architecture
        from lenetscope.runs.writer import RunWriter
        from lenetscope.training.callbacks import is_finished

        if resume is None:
            app.prepare_process(wanted.threads)
            arch = Architecture.from_recipe(wanted, data_dir=data_dir, download=download)
            run = arch.start_run(run_dir, data_dir=data_dir)
        else:
            run = app.open_run(resume)
            arch = Architecture.resume_run(run, data_dir=data_dir, **given)
        arch.train(callbacks=[RunWriter(run)], checkpoint_steps=checkpoint_steps, stop=interrupted)
        assert arch.recipe is not None
        is_main, epochs = arch.state.is_main, arch.recipe.epochs
        if not is_finished(arch.history, epochs, arch.recipe.patience):
            if is_main:
                again = f"{f'--devices {devices} ' if devices else ''}--resume {run.path}"
                app.note(f"Interrupted; saved. Continue with: lenetscope train {again}")
            sys.exit(INTERRUPTED)
        scores = arch.evaluate()
        if not is_main:
            return
        run.save_scores(scores)
        if arch.recipe.model == "reader" and len(scores.classes) == 11:  # ten digits, and none
            from lenetscope.reading.training.calibration import write_reader

            write_reader(run, data_dir)
        seconds = sum(row["train_seconds"] for row in arch.history)
        early = f" of {epochs}; early stopping" if arch.total_epochs < epochs else ""
        best = f", with the weights of epoch {run.weights_epoch()}"
        facts = {"run": str(run.path), "epochs": arch.total_epochs, "history": arch.history}
        app.show(
            as_json,
            facts | scores.as_dict(),
            f"run       {run.path}\n"
            f"accuracy  {app.accuracy_of(scores)}{best if arch.recipe.keep == 'best' else ''}\n"
            f"training  {seconds:.{0 if seconds >= 10 else 1}f} s for "
            f"{counted(arch.total_epochs, 'epoch')}{early}\n"
            f"next      lenetscope report {run.path} --open     everything about it, on one page\n"
            f"          lenetscope inspect {run.path}           its filters and feature maps\n"
            f"          lenetscope evaluate {run.path}          its confusion matrix",
        )


@contextmanager
def save_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Turn SIGTERM and the first Ctrl-C into a request to stop after the current step.

    A second Ctrl-C interrupts at once.
    """
    requested = False

    def request(number: int, _frame: Any) -> None:
        nonlocal requested
        requested = True
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if os.environ.get("RANK", "0") == "0":  # only one of several processes prints
                app.note("stopping after this step; Ctrl-C again stops at once, without saving.")

    before = {each: signal.signal(each, request) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: requested
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
