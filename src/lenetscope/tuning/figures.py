"""The figures of a study: the value of each trial, and what each field contributes."""

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from lenetscope.plots import style
from lenetscope.tuning.space import Space

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lenetscope.tuning.trials import By, Trial

LABELS = {"accuracy": "validation accuracy, %", "loss": "validation loss"}
SCALES = {"accuracy": 100.0, "loss": 1.0}
_BEYOND = {"accuracy": "v", "loss": "^"}

PANELS = 3
"""Fields whose values are drawn, the most important ones."""

SHOWN = 3.0
"""What is worse than the best by so many times what the median is, is drawn at the border of the axes,
so that trials that learned nothing do not squeeze the others together."""


def plot_history(trials: "Sequence[Trial]", by: "By", **figure_options: Any) -> "Figure":
    """Draw the value of each trial, the best so far, and the last value of those that were pruned.

    Args:
        trials: at least one of them complete.
        by: what their values are.
        figure_options: go to `matplotlib.figure.Figure`.
    """
    complete = [(trial.number, trial.value * SCALES[by]) for trial in trials if trial.value is not None]
    pruned = [(t.number, t.values[-1] * SCALES[by]) for t in trials if t.state == "pruned" and t.values]
    better = max if by == "accuracy" else min
    best = [better(value for _, value in complete[: k + 1]) for k in range(len(complete))]
    worst = worst_shown([value for _, value in complete + pruned], by)
    with style.new_figure(figure_options, (6, 3.6)) as figure:
        ax = figure.subplots()
        numbers = [number for number, _ in complete] + [trials[-1].number]
        heights = [better(value, worst) for value in best + best[-1:]]
        ax.step(numbers, heights, where="post", color=style.VALID, label="best so far")
        for points, marker, colour, name in (
            (complete, "o", style.TRAIN, "complete"),
            (pruned, "x", "#888888", "pruned"),
        ):
            if points:
                _draw(ax, points, worst, by, marker, color=colour, label=name)
        if any(better(value, worst) != value for _, value in complete + pruned):
            ax.plot([], [], _BEYOND[by], color="#888888", label="worse than shown")
        ax.set(xlabel="trial", ylabel=LABELS[by])
        style.whole_numbers(ax.xaxis)
        style.grid(ax)
        figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure


def plot_importance(
    trials: "Sequence[Trial]",
    importance: dict[str, float],
    space: Space,
    by: "By",
    **figure_options: Any,
) -> "Figure":
    """Draw what each field contributes, and the complete trials over the most important fields.

    Args:
        trials: at least one of them complete.
        importance: of each field, one or more, from 0 to 1, most first.
        space: what was searched.
        by: what the trials' values are.
        figure_options: go to `matplotlib.figure.Figure`.
    """
    shown = list(importance)[:PANELS]
    complete = [(trial.params, trial.value * SCALES[by]) for trial in trials if trial.value is not None]
    worst = worst_shown([value for _, value in complete], by)
    with style.new_figure(figure_options, (2.6 * (1 + len(shown)), 3)) as figure:
        first, *others = figure.subplots(1, 1 + len(shown))
        names = list(importance)[::-1]
        first.barh(names, [importance[name] for name in names], height=0.6, color=style.TRAIN)
        first.set(xlabel="importance", xlim=(0, 1))
        style.grid(first, "x")
        for ax, name in zip(others, shown, strict=True):
            searched: Any = space[name]
            choices = getattr(searched, "choices", None)
            places = [choices.index(p[name]) if choices else p[name] for p, _ in complete]
            points = list(zip(places, (value for _, value in complete), strict=True))
            _draw(ax, points, worst, by, "o", color=style.TRAIN, alpha=0.7)
            ax.set_xlabel(name)
            style.grid(ax)
            if choices:
                ax.set_xticks(range(len(choices)), [str(choice) for choice in choices])
                ax.set_xlim(-0.5, len(choices) - 0.5)
            elif searched.log:
                ax.set_xscale("log")
                style.plain_log_ticks(ax.xaxis, (1,))
        others[0].set_ylabel(LABELS[by])
        for ax in others[1:]:
            ax.sharey(others[0])
            ax.tick_params(labelleft=False)
    return figure


def worst_shown(values: Sequence[float], by: "By") -> float:
    """Return the worst value that is drawn where it is, see `SHOWN`.

    >>> worst_shown([99, 98, 97, 10], "accuracy")
    94.5
    """
    best, worst = (max, min) if by == "accuracy" else (min, max)
    top = best(values)
    limit = top - SHOWN * (top - median(values))
    return best(limit, worst(values))


def _draw(
    ax: "Axes", points: Sequence[tuple[float, float]], worst: float, by: "By", marker: str, **look: Any
) -> None:
    """Draw points, and as triangles at the border those that are worse than the worst that is shown."""
    better = max if by == "accuracy" else min
    inside = [point for point in points if better(point[1], worst) == point[1]]
    outside = [x for x, value in points if better(value, worst) != value]
    ax.plot([x for x, _ in inside], [y for _, y in inside], marker, markersize=5, **look)
    look = look | {"label": None}
    ax.plot(outside, [worst] * len(outside), _BEYOND[by], markersize=6, **look)
