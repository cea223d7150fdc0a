"""``lenetscope train``: train a recipe, or resume a run."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lenetscope.cli import app, fields
from lenetscope.errors import UsageError
from lenetscope.recipe import Recipe


def train(
    *,
    recipe: fields.RecipeName = "reference",
    run_dir: Path | None = None,
    resume: Path | None = None,
    data_dir: app.DataDir = None,
    checkpoint_steps: int = 0,
    overrides: fields.Overrides = None,
    as_json: app.Json = False,
) -> None:
    """Train a recipe and save the run in a folder.

    Parameters
    ----------
    run_dir
        folder of the run, which must not exist (default: runs/<recipe>-<n>)
    resume
        folder of a run to continue, bit for bit as if it had not been interrupted
    checkpoint_steps
        save each time so many steps are done, too; 0: after each epoch only
    """
    given = fields.given(overrides)
    if checkpoint_steps < 0:
        raise UsageError(f"--checkpoint-steps must be at least 0, not {checkpoint_steps}.")
    if resume is None:
        wanted = Recipe.load(recipe, **given)
    elif given or recipe != "reference" or run_dir is not None:
        raise UsageError(
            "a run continues with its own recipe and folder: with --resume give no --recipe, "
            "--run-dir or field of a recipe."
        )
    with save_on_interrupt() as interrupted:
        from lenetscope.architecture import Architecture
        from lenetscope.runs.writer import RunWriter

        if resume is None:
            app.prepare_process(wanted.threads)
            arch = Architecture.from_recipe(wanted, data_dir=data_dir)
            run = arch.start_run(run_dir, data_dir=data_dir)
        else:
            run = app.open_run(resume)
            wanted = run.recipe()
            arch = Architecture.resume_run(run, data_dir=data_dir)
        is_main, splits = arch.state.is_main, arch.splits
        if is_main and splits:
            app.note(
                f"recipe {wanted.name}: {arch.count_parameters():,} parameters, "
                f"{len(splits.train.labels):,} training and {len(splits.valid.labels):,} validation "
                f"images, {_epochs(wanted.epochs)} on {arch.device} in {arch.precision}\n"
                f"run: {run.path}"
            )
        arch.train(
            wanted.epochs - arch.total_epochs,
            callbacks=[RunWriter(run)],
            checkpoint_steps=checkpoint_steps,
            stop=interrupted,
        )
        if arch.total_epochs < wanted.epochs:
            if is_main:
                app.note(f"Interrupted; saved. Continue with: lenetscope train --resume {run.path}")
            sys.exit(app.INTERRUPTED)
        scores = arch.evaluate()
        if not is_main:
            return
        run.save_scores(scores)
        seconds = sum(row["train_seconds"] for row in arch.history)
        facts = {"run": str(run.path), "epochs": arch.total_epochs, "history": arch.history}
        app.show(
            as_json,
            facts | scores.as_dict(),
            f"run       {run.path}\n"
            f"accuracy  {app.accuracy_of(scores)}\n"
            f"training  {seconds:.{0 if seconds >= 10 else 1}f} s for {_epochs(arch.total_epochs)}\n"
            f"next      lenetscope report {run.path}     write a report, one HTML page\n"
            f"          lenetscope inspect {run.path}    draw its filters and feature maps\n"
            f"          lenetscope evaluate {run.path}   print its confusion matrix",
        )


def _epochs(count: int) -> str:
    return f"{count} epoch" if count == 1 else f"{count} epochs"


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
