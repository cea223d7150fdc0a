"""Pictures of a training: its curves, and the learning rate range test.

In: rows of numbers. Out: figures.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lenetscope.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def curves(history: Sequence[Mapping[str, Any]], **figure_options: Any) -> "Figure":
    """Draw loss, and accuracy where there is one, over the epochs.

    Args:
        history: rows as in `TrainState.history`.
        figure_options: go to `matplotlib.figure.Figure`.
    """
    pairs = [("loss", "mean loss", 1.0), ("accuracy", "accuracy, %", 100.0)]
    shown = [p for p in pairs if any(row.get(f"train_{p[0]}") is not None for row in history)]
    shown = shown or pairs[:1]
    with style.new_figure(figure_options, (5.2 * len(shown), 3.6)) as figure:
        axes = figure.subplots(1, len(shown), squeeze=False)[0]
        for ax, (key, label, scale) in zip(axes, shown, strict=True):
            for part, colour in (("train", style.TRAIN), ("valid", style.VALID)):
                name = {"train": "training", "valid": "validation"}[part]
                points = [
                    (row["epoch"], row[f"{part}_{key}"] * scale)
                    for row in history
                    if row.get(f"{part}_{key}") is not None
                ]
                if points:
                    ax.plot(*zip(*points, strict=True), color=colour, label=name, marker="o", ms=3)
            if key == "loss" and ax.lines and all((line.get_ydata() > 0).all() for line in ax.lines):
                ax.set_yscale("log")
                style.plain_log_ticks(ax.yaxis)
            ax.set(xlabel="epoch", ylabel=label)
            style.whole_numbers(ax.xaxis)
            style.grid(ax)
            if ax.lines:
                ax.legend()
    return figure


def lr_range(
    tracking: Mapping[str, Sequence[float]], step_mode: str = "exp", ax: "Axes | None" = None
) -> "Figure":
    """Draw a learning rate range test, on axes of one's own or on a new figure.

    Args:
        tracking: ``{"lr": …, "loss": …}``.
        step_mode: ``"exp"`` draws rates on a logarithmic scale.
        ax: where to draw.
    """
    if ax is None:
        with style.new_figure({}, (6, 4)) as figure:
            _draw_lr_range(figure.subplots(), tracking, step_mode)
        return figure
    with style.styled():
        _draw_lr_range(ax, tracking, step_mode)
    theirs: Any = ax.get_figure()
    assert theirs is not None
    return theirs  # type: ignore[no-any-return]


def _draw_lr_range(ax: "Axes", tracking: Mapping[str, Sequence[float]], step_mode: str) -> None:
    ax.plot(tracking["lr"], tracking["loss"], color=style.TRAIN)
    if step_mode == "exp":
        ax.set_xscale("log")
    ax.set(xlabel="learning rate", ylabel="smoothed loss")
    style.grid(ax)
