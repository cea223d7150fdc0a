"""The commands about training: ``train``, ``evaluate``, ``recipes``."""

import dataclasses
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from cyclopts import Group, Parameter

from lenetscope import recipe as recipes_room
from lenetscope.cli.app import INTERRUPTED, DataDir, Json, app, note, print_json, say
from lenetscope.errors import UsageError
from lenetscope.recipe import Recipe

_recipe_flags = Group("Fields of the recipe", sort_key=10)


def _overrides_class() -> Any:
    """Return a dataclass with the recipe's fields, each of which may be left out."""
    fields = []
    for item in dataclasses.fields(Recipe):
        if item.name in ("name", "summary"):
            continue
        kind: Any = item.type
        text = item.metadata["help"]
        if get_origin(kind) is Literal:  # the recipe checks the value, and knows its short forms
            text = f"{text}: {', '.join(get_args(kind))}"
            kind = str
        note = Annotated[
            kind | None,
            Parameter(
                help=text,
                group=_recipe_flags,
                show_default=False,
                negative=None if kind is bool else "",
                consume_multiple=True,
            ),
        ]
        fields.append((item.name, note, dataclasses.field(default=None)))
    # cyclopts takes classes of the module "types", where this one would be, for plain values
    return dataclasses.make_dataclass(
        "Overrides", fields, frozen=True, namespace={"__module__": __name__}
    )


Overrides: Any = _overrides_class()


@app.command
def train(
    *,
    recipe: str = "seed",
    run_dir: Path | None = None,
    resume: Path | None = None,
    data_dir: DataDir = None,
    checkpoint_steps: int = 0,
    overrides: Annotated[Overrides | None, Parameter(name="*")] = None,
    as_json: Json = False,
) -> None:
    """Train a recipe and keep the run in a folder.

    Parameters
    ----------
    recipe
        Name of a recipe (see: lenetscope recipes) or path of a TOML file.
    run_dir
        Folder of the run, which must not exist (default: runs/<recipe>-<n>).
    resume
        Folder of a run to go on with, bit for bit as if it had not been interrupted.
    checkpoint_steps
        Also save after each so many steps, besides each epoch.
    """
    given = {k: v for k, v in vars(overrides).items() if v is not None} if overrides else {}
    if resume is not None and (given or recipe != "seed" or run_dir is not None):
        raise UsageError(
            "a run goes on with the recipe and folder it began with: with --resume "
            "give no --recipe, --run-dir or field of a recipe."
        )
    if checkpoint_steps < 0:
        raise UsageError(f"--checkpoint-steps must be at least 0, not {checkpoint_steps}.")
    wanted = None if resume else Recipe.load(recipe, **given)
    with save_on_interrupt() as interrupted:
        from lenetscope import output
        from lenetscope.architecture import Architecture
        from lenetscope.runs import Run, RunWriter

        if wanted is None:
            assert resume is not None
            run = Run.open(resume)
            arch = Architecture.resume_run(run, data_dir=data_dir)
        else:
            arch = Architecture.from_recipe(wanted, data_dir=data_dir)
            run = arch.start_run(run_dir, data_dir=data_dir)
        assert arch.recipe is not None
        say(arch, output.beginning(arch, run))
        arch.train(
            arch.recipe.epochs - arch.total_epochs,
            callbacks=[RunWriter(run)],
            checkpoint_steps=checkpoint_steps,
            stop=interrupted,
        )
        if arch.total_epochs < arch.recipe.epochs:
            say(arch, f"Interrupted; saved. Go on with: lenetscope train --resume {run.path}")
            sys.exit(INTERRUPTED)
        scores = arch.evaluate()
        if arch.state.is_main:
            run.save_scores(scores)
            if as_json:
                facts = {"run": str(run.path), "epochs": arch.total_epochs, "history": arch.history}
                print_json(facts | scores.as_dict())
            else:
                print(output.ending(arch, run, scores))


@app.command
def evaluate(
    run: Path, *, data_dir: DataDir = None, device: str | None = None, as_json: Json = False
) -> None:
    """Count right and wrong on the test images.

    Parameters
    ----------
    run
        Folder of a run.
    device
        Where to compute: auto, cpu, cuda or mps (default: as the recipe says).
    """
    from lenetscope import output
    from lenetscope.architecture import Architecture
    from lenetscope.runs import Run

    folder = Run.open(run)
    arch = Architecture.from_run(folder, device=device)
    folder.require_same_data(arch.load_data(data_dir or folder.data_dir()))
    done, planned = len(folder.history()), folder.recipe().epochs
    if done < planned:
        say(arch, f"{run} is unfinished: these are its weights after epoch {done} of {planned}.")
    scores = arch.evaluate()
    if not arch.state.is_main:
        return
    if as_json:
        print_json({"run": str(run), **scores.as_dict()})
    else:
        print(output.scores_table(scores))


@app.command
def recipes(name: str | None = None, /, *, as_json: Json = False) -> None:
    """List the recipes that ship with the package, or print one.

    Parameters
    ----------
    name
        Recipe to print, with the comments that say how it was measured.
    """
    if name is not None:
        text = recipes_room.source(name)
        if as_json:
            print_json(Recipe.load(name).as_dict())
        else:
            print(text, end="")
        return
    found = [Recipe.load(each) for each in recipes_room.names()]
    if as_json:
        print_json({"recipes": [each.as_dict() for each in found]})
        return
    for each in found:
        print(f"{each.name:10} {each.summary}")


@contextmanager
def save_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Turn SIGTERM and the first Ctrl-C into a wish to stop after the step under way.

    A second Ctrl-C interrupts at once.
    """
    asked = False

    def ask(number: int, _frame: Any) -> None:
        nonlocal asked
        asked = True
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if os.environ.get("RANK", "0") == "0":  # of several processes one speaks
                note("stopping after this step; Ctrl-C again stops at once, without saving.")

    before = {each: signal.signal(each, ask) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
