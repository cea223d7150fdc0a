"""Loss and accuracy over the epochs, and the curve of a learning rate range test.

The range test is after L. Smith, "Cyclical learning rates for training neural networks", WACV 2017,
arXiv:1506.01186.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lenetscope.errors import RunError
from lenetscope.plots import style
from lenetscope.questions import Costs, Part, Question

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lenetscope.inspection import Inspection
    from lenetscope.selection import Selection

SERIES = (("train", "training", style.TRAIN), ("valid", "validation", style.VALID))


def plot_curves(history: Sequence[Mapping[str, Any]], **figure_options: Any) -> "Figure":
    """Draw loss, and accuracy where there is one, over the epochs.

    Args:
        history: rows as in `TrainState.history`.
        figure_options: go to `matplotlib.figure.Figure`.
    """
    panels = [("loss", "mean loss", 1), ("accuracy", "accuracy, %", 100)]
    known = {key for row in history for key, value in row.items() if value is not None}
    shown = [panel for panel in panels if f"train_{panel[0]}" in known] or panels[:1]
    with style.new_figure(figure_options, (5.2 * len(shown), 3.6)) as figure:
        axes = figure.subplots(1, len(shown), squeeze=False)[0]
        for ax, (key, label, scale) in zip(axes, shown, strict=True):
            for part, name, colour in SERIES:
                rows = [row for row in history if row.get(f"{part}_{key}") is not None]
                epochs, values = [r["epoch"] for r in rows], [r[f"{part}_{key}"] * scale for r in rows]
                if rows:
                    ax.plot(epochs, values, color=colour, label=name, marker="o", markersize=3)
            if key == "loss" and ax.lines and all((line.get_ydata() > 0).all() for line in ax.lines):
                ax.set_yscale("log")
                style.plain_log_ticks(ax.yaxis)
            ax.set(xlabel="epoch", ylabel=label)
            style.whole_numbers(ax.xaxis)
            style.grid(ax)
            if ax.lines:
                ax.legend()
    return figure


def plot_lr_range(
    tracking: Mapping[str, Sequence[float]],
    step_mode: str = "exp",
    ax: "Axes | None" = None,
    *,
    marks: "Mapping[str, float | None] | None" = None,
) -> "Figure":
    """Draw a learning rate range test, on given axes or on a new figure.

    Args:
        tracking: ``{"lr": …, "loss": …}``.
        step_mode: ``"exp"`` draws rates on a logarithmic scale.
        ax: where to draw.
        marks: rates to mark, by name; None for one that there is not. The loss axis then
            ends at 1.5 times the first loss.
    """
    with style.new_figure({}, (6, 4)) as figure:
        ax = figure.subplots() if ax is None else ax
        ax.plot(tracking["lr"], tracking["loss"], color=style.TRAIN)
        ax.set(xlabel="learning rate", ylabel="smoothed loss")
        ax.set_xscale("log" if step_mode == "exp" else "linear")
        style.grid(ax)
        for dashes, (name, rate) in zip(("-", "--", "-.", ":"), (marks or {}).items(), strict=False):
            if rate is not None:
                ax.axvline(rate, color=style.VALID, linestyle=dashes, label=f"{name}: {rate:.2g}")
        if marks:
            ax.set_ylim(0, 1.5 * tracking["loss"][0])
            ax.legend()
    return figure if ax in figure.axes else ax.get_figure()  # type: ignore[return-value]


def _figures(inspection: "Inspection", _selection: "Selection") -> "Iterator[tuple[str, Figure]]":
    if history := inspection.run.history():
        yield "curves", plot_curves(history)


PAGE = """
<p class="say">Training loss and accuracy are measured while the weights still change, and with dropout
if there is any, so they can be worse than those of validation. Where training loss keeps falling while
validation loss rises, the network overfits.{% if not holdout %} The test images serve as validation
here: an epoch that is chosen by them looks better than it is.{% endif %}</p>
<div class="figures">
{% for key, figure in figures.items() %}
<figure>{{ figure | inline("curve-" ~ key, key ~ " by epoch") | scrolling(key) }}</figure>
{% endfor %}
</div>
"""


def _part(inspection: "Inspection") -> Part:
    history = inspection.run.history()
    if not history:
        raise RunError("the run has no record of its epochs.")
    figures = {}
    for key, other in (("loss", "accuracy"), ("accuracy", "loss")):
        rows = [{k: v for k, v in row.items() if not k.endswith(other)} for row in history]
        figures[key] = plot_curves(rows, figsize=(4.2, 2.9))  # each is small enough for a telephone
    return Part.of(PAGE, figures=figures, holdout=inspection.run.recipe().holdout)


Question(
    "curves",
    summary="How loss and accuracy developed, epoch by epoch.",
    figures=_figures,
    part=_part,
    chapter="training",
    heading="Epoch by epoch",
    place=10,
    default=True,
    costs=Costs(0.2, 0.2, 0.1),
).register()
