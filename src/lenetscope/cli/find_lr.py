"""``lenetscope find-lr``: a learning rate for a recipe, from a few steps at growing rates."""

import math
from dataclasses import asdict
from pathlib import Path

from lenetscope.cli import app, fields
from lenetscope.errors import UsageError
from lenetscope.recipe import Recipe

LEAST = 20
"""Steps; fewer tell nothing."""


def find_lr(
    *,
    recipe: fields.RecipeName = "reference",
    start_lr: float = 1e-5,
    end_lr: float = 10.0,
    steps: app.Whole = 150,
    out: Path = Path("find-lr.png"),
    data_dir: app.DataDir = None,
    overrides: fields.Overrides = None,
    as_json: app.Json = False,
) -> None:
    """Suggest a learning rate for a recipe, after a few training steps at growing rates.

    Parameters
    ----------
    start_lr
        learning rate of the first step
    end_lr
        learning rate of the last step; a loss that diverges ends the test before it
    steps
        training steps; each multiplies the rate by the same number
    out
        picture of the loss at each rate
    """
    wanted = Recipe.load(recipe, **fields.given(overrides))
    app.require_one_place(wanted.data, data_dir)
    if not 0 < start_lr < end_lr < math.inf or steps < LEAST:
        raise UsageError(
            f"--start-lr must be above 0, --end-lr above it and --steps at least {LEAST}, not "
            f"{start_lr:g}, {end_lr:g} and {steps}."
        )
    from lenetscope import rng
    from lenetscope.architecture import Architecture
    from lenetscope.files import require_writable
    from lenetscope.plots import style
    from lenetscope.questions.curves import plot_lr_range
    from lenetscope.training.lr_suggestion import suggest

    require_writable(out)
    app.prepare_process(wanted.threads)
    arch = Architecture.from_recipe(wanted, data_dir=data_dir)
    for group in arch.optimizer.param_groups:
        group["lr"] = start_lr  # whatever the schedule has set
    rng.seed_everything(wanted.seed, arch.train_loader)
    tested, _ = arch.lr_range_test(arch.train_loader, end_lr, steps, alpha=1.0)
    found = suggest(tested["lr"], tested["loss"], steps)
    rates = {name: getattr(found, name) for name in ("steepest", "suggested", "lowest", "diverges")}
    style.save(plot_lr_range({"lr": found.lr, "loss": found.loss}, marks=rates), out)
    facts = {
        "recipe": wanted.name,
        "recipe_lr": wanted.lr,
        "figure": str(out),
        "losses": tested["loss"],
    }
    end = f"{found.diverges:.2g}" if found.diverges else f"not up to {end_lr:g}"
    app.show(
        as_json,
        facts | asdict(found),
        f"recipe     {wanted.name}, seed {wanted.seed}: {steps} steps of {wanted.batch_size} training "
        f"images at rates from {start_lr:g} to {end_lr:g}\n"
        f"suggested  {found.suggested:g}   half of the lowest; the recipe has {wanted.lr:g}\n"
        f"steepest   {found.steepest:.2g}   where the loss falls steepest\n"
        f"lowest     {found.lowest:.2g}   where the loss is lowest\n"
        f"diverges   {end}\n"
        f"figure     {out}\n"
        f"next       lenetscope train --recipe {recipe} --lr {found.suggested:g}",
    )
