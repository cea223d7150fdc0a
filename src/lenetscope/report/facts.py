"""What was trained, on what, and how to do it again.

In: a `Study`. Out: texts and tables for the page, as plain values.
"""

import shlex
from dataclasses import dataclass
from typing import Any

from lenetscope.inspection import Study

Row = tuple[str, str]

GROUPS = {
    "Data": ("dataset", "holdout", "mean", "std", "augmentation"),
    "Network": ("model", "dropout"),
    "Training": (
        "loss", "label_smoothing", "optimizer", "lr", "momentum", "beta2", "weight_decay", "schedule",
        "batch_size", "epochs", "seed",
    ),
    "Machine": ("device", "precision", "memory_format", "threads", "compile"),
}  # fmt: skip
"""Fields of a recipe as the page groups them; `settings` fails if one is missing."""


@dataclass(frozen=True)
class Headline:
    """What stands at the top: a figure, what it is, and what it depends on."""

    value: str
    name: str
    note: str


def headlines(study: Study) -> list[Headline]:
    """Return the figures that somebody looks for first."""
    scores, history = study.scores, study.run.history()
    low, high = scores.accuracy_interval
    seconds = sum(row.get("train_seconds") or 0 for row in history)
    return [
        Headline(
            f"{100 * scores.accuracy:.2f} %",
            "of the test images right",
            f"95 % interval {100 * low:.2f} to {100 * high:.2f} %",
        ),
        Headline(f"{scores.errors:,}", "errors", f"in {scores.n:,} images"),
        Headline(f"{study.arch.count_parameters():,}", "parameters", f"{study.run.recipe().model}"),
        Headline(_duration(seconds), "of training", _count(len(history), "epoch")),
    ]


def settings(study: Study) -> dict[str, list[Row]]:
    """Return the recipe, grouped; what differs from its shipped namesake is not marked."""
    values = study.run.recipe().as_dict()
    grouped = {
        group: [(key.replace("_", " "), _plain(values.pop(key))) for key in keys]
        for group, keys in GROUPS.items()
    }
    assert set(values) == {"name", "summary"}, f"fields of the recipe that no group has: {values}"
    return grouped


def data_sentence(study: Study) -> str:
    """Say in a sentence how many images there are of what."""
    splits = study.splits
    channels, height, width = study.image_shape
    kind = "grey" if channels == 1 else f"{channels}-channel"
    valid = (
        "the test images serve as validation"
        if splits.valid.labels is splits.test.labels
        else f"{len(splits.valid.labels):,} for validation"
    )
    return (
        f"{len(splits.train.labels):,} {kind} images of {height}×{width} pixels to learn from, "
        f"{valid}, {len(splits.test.labels):,} to test; {len(study.classes)} classes."
    )


def environment(study: Study) -> list[Row]:
    """Return machine and software of the training."""
    facts = study.run.environment()
    packages = facts.get("packages", {})
    rows = [
        ("started", facts.get("started", "unknown")),
        ("system", facts.get("system", "unknown")),
        ("processor", facts.get("processor", "unknown")),
        ("device", facts.get("device", "unknown")),
        ("precision", facts.get("precision", "unknown")),
        ("threads", facts.get("threads", "unknown")),
        ("processes", facts.get("processes", 1)),
        ("Python", facts.get("python", "unknown")),
        *sorted(packages.items()),
    ]
    if resumed := facts.get("resumed"):
        rows.append(("taken up again", _count(len(resumed), "time")))
    return [(name, str(value)) for name, value in rows]


def checksums(study: Study) -> list[Row]:
    """Return the MD5 of each file of the data."""
    return sorted(study.run.environment().get("data", {}).items())


def command(study: Study) -> str | None:
    """Return what was typed, ready to be typed again; None if the training was no command."""
    words = study.run.environment().get("command") or []
    if "train" not in words[1:2]:
        return None
    return shlex.join(["lenetscope", *map(str, words[1:])])


def command_from_recipe(study: Study) -> str:
    """Return the command that trains from the page's own copy of the recipe."""
    told = study.run.data_dir()
    rest = ["--data-dir", str(told)] if told else []
    return shlex.join(["lenetscope", "train", "--recipe", "recipe.toml", *rest])


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.{0 if seconds >= 10 else 1}f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
