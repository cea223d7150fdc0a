"""What was trained, on what, and how to repeat it: texts and tables for the report."""

import dataclasses
import shlex
from typing import Any

from lenetscope.inspection import Inspection
from lenetscope.recipe import Recipe
from lenetscope.table import counted, interval, percent

Row = tuple[str, str]


def headlines(inspection: Inspection) -> list[tuple[str, str, str]]:
    """Return the figures that stand at the top, each with its name and a note."""
    run, scores, history = inspection.run, inspection.scores, inspection.run.history()
    seconds = sum(row.get("train_seconds") or 0 for row in history)
    if seconds < 90:
        duration = f"{seconds:.{0 if seconds >= 10 else 1}f} s"
    else:
        duration = f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
    epochs = counted(len(history), "epoch")
    if not run.is_finished():
        epochs += f" of {run.planned_epochs()} planned"
    elif run.weights_epoch() < len(history):
        epochs += f"; weights of epoch {run.weights_epoch()}"
    return [
        (percent(scores.accuracy), "of the test images correct", interval(scores.accuracy_interval)),
        (f"{scores.errors:,}", "errors", f"in {scores.n:,} images"),
        (f"{inspection.arch.count_parameters():,}", "parameters", run.recipe().model),
        (duration, "of training", epochs),
    ]


def settings(inspection: Inspection) -> dict[str, list[Row]]:
    """Return the recipe's settings by group."""
    recipe = inspection.run.recipe()
    groups: dict[str, list[Row]] = {}
    for field in dataclasses.fields(Recipe):
        if group := field.metadata["group"]:
            value = _plain(getattr(recipe, field.name))
            groups.setdefault(group.capitalize(), []).append((field.name.replace("_", " "), value))
    return groups


def data_sentence(inspection: Inspection) -> str:
    """Say how many images there are, and of what kind."""
    splits = inspection.splits
    channels, height, width = inspection.image_shape
    kind = "grey" if channels == 1 else f"{channels}-channel"
    valid = (
        "the test images serve as validation"
        if splits.valid.labels is splits.test.labels
        else f"{len(splits.valid.labels):,} for validation"
    )
    return (
        f"{len(splits.train.labels):,} {kind} training images of {height}×{width} pixels, {valid}, "
        f"{len(splits.test.labels):,} for the test; {len(inspection.classes)} classes."
    )


def recipe_file(inspection: Inspection) -> str:
    """Return the recipe as TOML, without its summary: what others reached is not what this run did."""
    return dataclasses.replace(inspection.run.recipe(), summary="").to_toml()


def environment(inspection: Inspection) -> list[Row]:
    """Return machine and software of the training."""
    known = inspection.run.environment()
    names = ("started", "system", "processor", "device", "precision", "threads", "processes", "python")
    rows = [(name.replace("python", "Python"), known.get(name, "unknown")) for name in names]
    rows += sorted(known.get("packages", {}).items())
    if resumed := known.get("resumed"):
        rows.append(("resumed", counted(len(resumed), "time")))
    rows += [
        ("lr changed", f"to {each['lr']:g} in epoch {each['epoch'] + 1}, after step {each['step']}")
        for each in known.get("lr_changes", [])
    ]
    return [(name, str(value)) for name, value in rows]


def command(inspection: Inspection) -> str | None:
    """Return the command of the training, ready to be repeated; None if it was not a command."""
    words = inspection.run.environment().get("command") or []
    if "train" not in words[1:2]:
        return None
    return shlex.join(["lenetscope", *map(str, words[1:])])


def extensions(inspection: Inspection) -> list[str]:
    """Return the commands that made the training longer than its recipe says, in order."""
    resumed = inspection.run.environment().get("resumed", [])
    words = ["lenetscope", "train", "--resume", str(inspection.run.path), "--epochs"]
    return [shlex.join([*words, str(each["epochs"])]) for each in resumed if "epochs" in each]


def command_from_recipe(inspection: Inspection) -> str:
    """Return the command that trains with the recipe that the page contains."""
    folder = inspection.run.data_dir()
    data = ["--data-dir", str(folder)] if folder else []
    return shlex.join(["lenetscope", "train", "--recipe", "recipe.toml", *data])


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
