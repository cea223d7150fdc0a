"""Pictures of how the layers of a network are doing, epoch by epoch.

In: arrays (epochs, layers). Out: a figure.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lenetscope.errors import DataError
from lenetscope.plots import style
from lenetscope.plots.style import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = "osD^vP"


def health(
    epochs: Sequence[int],
    layers: Sequence[str],
    dead: Array,
    norms: Array,
    gradients: Array,
    updates: Array,
    usual_updates: tuple[float, float] = (1e-5, 1e-1),
    **figure_options: Any,
) -> "Figure":
    """Draw four figures of each layer over the epochs, a line a layer.

    Args:
        epochs: E numbers.
        layers: L names, in the order in which they run.
        dead: (E, L), share of dead units.
        norms: (E, L), mean length of the answers to one image.
        gradients: (E, L), norm of the gradient; nan where there is none.
        updates: (E, L), ‖ΔW‖ / ‖W‖ of one step; nan where there is none.
        usual_updates: outside of these the panel is shaded.
        figure_options: go to `matplotlib.figure.Figure`.

    Raises:
        DataError: if an array is not (E, L), or there is nothing to draw.
    """
    panels = {
        "dead units (%)": 100 * np.asarray(dead, dtype=float),
        "mean length of the answers": np.asarray(norms, dtype=float),
        "norm of the gradient": np.asarray(gradients, dtype=float),
        "update / weight, one step": np.asarray(updates, dtype=float),
    }
    shape = (len(epochs), len(layers))
    for name, values in panels.items():
        if values.shape != shape or not values.size:
            raise DataError(f"{name} must be (epochs, layers) = {shape}, not {values.shape}.")
    lines = -(-len(layers) // 4)  # of the legend
    with style.new_figure(figure_options, (6.5, 4.8 + 0.22 * lines)) as figure:
        axes = figure.subplots(2, 2, sharex=True).flat
        for ax, (name, values) in zip(axes, panels.items(), strict=True):
            _lines(ax, epochs, layers, values)
            ax.set_title(name)
            style.grid(ax)
            style.whole_numbers(ax.xaxis)
        share, norm, gradient, update = figure.axes
        top = float(np.nanmax(panels["dead units (%)"], initial=0.0))
        share.set_ylim(-0.04 * max(top, 10), 1.1 * max(top, 10))
        for ax in (norm, gradient, update):
            _logarithmic(ax)
        low, high = update.get_ylim()
        for edge, far in zip(usual_updates, (low, high), strict=True):
            if low < edge < high:
                update.axhspan(edge, far, color=style.WRONG, alpha=0.12, linewidth=0)
        update.set_ylim(low, high)
        for ax in (gradient, update):
            ax.set_xlabel("epoch")
        handles, names = share.get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=min(4, len(layers)))
    return figure


def _lines(ax: "Axes", epochs: Sequence[int], layers: Sequence[str], values: Array) -> None:
    from matplotlib import colormaps

    # neither the darkest nor the lightest, which are lost on a dark or a light page
    colours = colormaps[style.POSITIVE](np.linspace(0.42, 0.85, len(layers)))
    sizes = np.linspace(9, 4, len(layers))  # so that one does not hide another
    for number, (name, line) in enumerate(zip(layers, values.T, strict=True)):
        ax.plot(
            epochs,
            line,
            color=colours[number],
            marker=MARKERS[number % len(MARKERS)],
            markersize=sizes[number],
            label=name,
        )


def _logarithmic(ax: "Axes") -> None:
    """Use a logarithmic axis if there is anything above zero, with room for at least a decade."""
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in ax.get_lines()])
    positive = values[np.isfinite(values) & (values > 0)]
    if not positive.size:
        ax.text(0.5, 0.5, "not measured", transform=ax.transAxes, ha="center", va="center")
        ax.set_yticks([])
        return
    ax.set_yscale("log")
    low, high = float(positive.min()), float(positive.max())
    spread = max(1.3, (10 / (high / low)) ** 0.5)
    ax.set_ylim(low / spread, high * spread)
    decades = float(np.log10(high / low * spread**2))
    style.plain_log_ticks(ax.yaxis, (1, 2, 5) if decades < 2 else (1,))
