"""``lenetscope tune``: search for the best fields of a recipe."""

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from lenetscope.cli import app, fields
from lenetscope.cli.train import save_on_interrupt
from lenetscope.errors import INTERRUPTED, UsageError
from lenetscope.recipe import Recipe

if TYPE_CHECKING:
    from lenetscope.tuning.study import Study
    from lenetscope.tuning.trials import Trial


def tune(
    *,
    recipe: fields.RecipeName = "reference",
    space: str | None = None,
    trials: Annotated[int | None, app.WHOLE] = None,
    study: Path | None = None,
    by: Literal["accuracy", "loss"] = "accuracy",
    data_dir: app.DataDir = None,
    overrides: fields.Overrides = None,
    as_json: app.Json = False,
) -> None:
    """Search for the best values of a recipe's fields, by images held out of training.

    Parameters
    ----------
    space
        what is searched: 'lr=log:1e-4..1,dropout=0..0.5,batch_size=32|64|128'
    trials
        how many trainings there are to be, those of other processes and of earlier calls included
        (default: 40, or as the study was begun)
    study
        folder of the study; alone, it goes on (default: runs/<recipe>-tune-<n>)
    by
        what is compared on the validation images
    """
    given = fields.given(overrides)
    if trials is not None and trials < 1:
        raise UsageError(f"--trials must be at least 1, not {trials}.")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("start the command several times with one --study, instead of with torchrun.")
    wanted = Recipe.load(recipe, **given)
    if space is None and study is None:
        raise UsageError("say what to search, as in --space 'lr=log:1e-4..1,batch_size=32|64|128'.")
    if space is None and (recipe != "reference" or given or by != "accuracy" or data_dir):
        raise UsageError(
            "a study continues with its own recipe, fields and data: with --study alone give no more "
            "than --trials."
        )
    with save_on_interrupt() as interrupted:
        from lenetscope.tuning.space import optuna
        from lenetscope.tuning.study import Study

        optuna().logging.set_verbosity(optuna().logging.WARNING)
        if space is None:
            assert study is not None
            found = Study(study)
        else:
            found = Study.create(
                wanted, space, by, 40 if trials is None else trials, path=study, data_dir=data_dir
            )
        app.prepare_process(found.recipe.threads)
        added = "" if space is None or wanted.holdout else " (the recipe has none of its own)"
        app.note(found.splits().describe())
        app.note(
            f"recipe {found.recipe.name}: chosen by {found.recipe.holdout:,} held-out training images"
            f"{added}; the test images are not "
            f"read\nstudy: {found.path}"
        )
        done = found.run(trials, stop=interrupted, report=lambda trial: _tell(found, trial))
    files = found.draw()
    if not done:
        app.note(f"Interrupted; saved. Continue with: lenetscope tune --study {found.path}")
        sys.exit(INTERRUPTED)
    best, importance = found.best(), found.importance()
    facts = {
        "study": str(found.path),
        "space": found.space,
        "by": found.by,
        "recipe": found.recipe.as_dict(),
        "trials": [asdict(trial) for trial in found.results()],
        "best": asdict(best) if best else None,
        "importance": importance,
        "files": [str(file) for file in files],
    }
    lines = [f"study       {found.path}", f"trials      {found.count()}"]
    if best is None:
        lines.append("best        none: no trial was completed; search other values")
    else:
        lines.append(
            f"best        {found.score(best.value)} validation {found.by} on "
            f"{found.recipe.holdout:,} images, in trial {best.number}: {_params(best)}"
        )
        if importance:
            shown = ", ".join(f"{name} {value:.2f}" for name, value in importance.items())
            lines.append(f"importance  {shown}")
        lines.append(f"figures     {', '.join(map(str, files))}")
        lines.append(f"next        lenetscope train --recipe {found.path / 'best.toml'}")
    app.show(as_json, facts, "\n".join(lines))


def _tell(found: "Study", trial: "Trial") -> None:
    """Print a line about a trial, and which one is best so far."""
    best = found.best()
    values = found.score(trial.value) if trial.value is not None else trial.state
    if trial.state == "pruned":
        values = f"pruned after epoch {len(trial.values)} with {found.score(trial.values[-1])}"
    so_far = f"best {found.score(best.value)} in trial {best.number}" if best else "none complete"
    app.note(f"trial {trial.number:>3}  {_params(trial)}  {values}  ({so_far})")


def _params(trial: "Trial") -> str:
    shown = {k: f"{v:.3g}" if isinstance(v, float) else v for k, v in trial.params.items()}
    return ", ".join(f"{name} {value}" for name, value in shown.items())
