"""What the commands print for people, as text.

In: results. Out: lines.
"""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from lenetscope.architecture import Architecture
from lenetscope.evaluation import Scores
from lenetscope.runs import Run
from lenetscope.tracking import Track, untracked

T = TypeVar("T")


def beginning(arch: Architecture, run: Run) -> str:
    """Say what is about to be trained, and where it will lie."""
    recipe, splits = arch.recipe, arch.splits
    assert recipe is not None
    assert splits is not None
    train, valid = len(splits.train.labels), len(splits.valid.labels)
    return (
        f"recipe {recipe.name}: {arch.count_parameters():,} parameters, {train:,} training and "
        f"{valid:,} validation images, {_epochs(recipe.epochs)} on {arch.device} in "
        f"{arch.precision}\n"
        f"run: {run.path}"
    )


def ending(arch: Architecture, run: Run, scores: Scores) -> str:
    """Say how the training went, and what to type next."""
    seconds = sum(row["train_seconds"] for row in arch.history)
    return "\n".join(
        [
            f"run       {run.path}",
            f"accuracy  {_accuracy(scores)}",
            f"training  {seconds:.{0 if seconds >= 10 else 1}f} s for {_epochs(arch.total_epochs)}",
            f"next      lenetscope report {run.path}     one page that tells the whole story",
            f"          lenetscope inspect {run.path}    pictures of its filters and feature maps",
            f"          lenetscope evaluate {run.path}   see who is taken for whom",
        ]
    )


def _epochs(count: int) -> str:
    return f"{count} epoch" if count == 1 else f"{count} epochs"


def scores_table(scores: Scores) -> str:
    """Return all figures of an evaluation, with the confusion matrix."""
    lines = [
        f"images    {scores.n:,}",
        f"errors    {scores.errors:,}",
        f"accuracy  {_accuracy(scores)}",
        f"loss      {scores.loss:.4f}",
        "",
        "class          n  precision  recall      F1",
    ]
    for row in scores.per_class():
        shares = "  ".join(f"{_percent(row[key]):>8}" for key in ("precision", "recall", "f1"))
        lines.append(f"{row['class']:9} {row['n']:6,}  {shares}")
    lines += ["", "true \\ predicted"]
    longest = max(len(str(scores.confusion.max())), *(len(name) for name in scores.classes))
    width = max(5, longest + 1)
    lines.append(" " * width + "".join(f"{name:>{width}}" for name in scores.classes))
    for name, counts in zip(scores.classes, scores.confusion.tolist(), strict=True):
        lines.append(f"{name:>{width}}" + "".join(f"{count or '.':>{width}}" for count in counts))
    return "\n".join(lines)


def tracker(label: str) -> Track:
    """Return what shows how far a piece of work has come: a bar on a terminal, nothing elsewhere."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    if not console.is_terminal or console.is_dumb_terminal:
        return untracked

    def tracked(items: Sequence[T], /) -> Iterable[T]:
        return track(items, description=f"{label:12}", console=console, transient=True)

    return tracked


def _accuracy(scores: Scores) -> str:
    low, high = scores.accuracy_interval
    return (
        f"{100 * scores.accuracy:.2f} %  (95 % interval {100 * low:.2f} to {100 * high:.2f}, "
        f"{scores.errors} errors in {scores.n:,})"
    )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"
