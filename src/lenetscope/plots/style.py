"""What all figures share: their look, axes, colour scales, and the file they are saved to.

matplotlib is imported when something is drawn, not before. Colour scales are shown beside what they
colour; zero is white where values have a sign.
"""

import functools
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from lenetscope.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

Array = npt.NDArray[Any]

TRAIN, VALID, WRONG, INK = "#4477aa", "#ee6677", "#aa3344", "#333333"
SIGNED, POSITIVE, PIXELS = "RdBu_r", "magma", "gray"
MAX_SIDE = 14.0
"""Inches that no side of a figure exceeds, unless ``figsize`` says so."""

STYLE: Any = {
    "axes.edgecolor": "#999999",
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "image.interpolation": "nearest",
    "legend.frameon": False,
    "text.color": INK,
    "xtick.color": "#666666",
    "ytick.color": "#666666",
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw in this package's look while the block runs, and leave the caller's look as it was."""
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        yield


@contextmanager
def new_figure(options: Mapping[str, Any], size: tuple[float, float]) -> "Iterator[Figure]":
    """Create a figure, to be filled while the block runs.

    Args:
        options: the caller's, for `matplotlib.figure.Figure`; they take precedence.
        size: (width, height) in inches, unless the options have a ``figsize``.
    """
    with styled():
        yield _figure_class()(**{"figsize": size} | dict(options))


@functools.cache
def _figure_class() -> "type[Figure]":
    """Return a class of figures that notebooks display, also where pyplot was never imported."""
    from matplotlib.figure import Figure

    class Displayed(Figure):
        def _repr_png_(self) -> bytes:
            buffer = io.BytesIO()
            self.savefig(buffer, format="png", dpi=100)
            return buffer.getvalue()

    return Displayed


def save(figure: "Figure", path: Path, dpi: int = 150) -> Path:
    """Write a figure in the format of the path's suffix, and return the path.

    Raises:
        StorageError: if it cannot be written.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix.lstrip(".") or "png", dpi=dpi)
    write_bytes(path, buffer.getvalue())
    return path


def grid(ax: "Axes", axis: "Literal['both', 'x', 'y']" = "both") -> None:
    """Draw thin lines behind a plot, for the ticks of one axis or both."""
    ax.grid(which="both", axis=axis, alpha=0.25, linewidth=0.5)


def whole_numbers(axis: "Axis") -> None:
    """Put ticks at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True))


def plain_log_ticks(axis: "Axis", steps: tuple[int, ...] = (1, 2, 5)) -> None:
    """Write 0.05 and 20 on a logarithmic axis, not powers of ten; ticks at ``steps`` per decade."""
    from matplotlib.ticker import LogLocator, NullLocator

    axis.set_major_locator(LogLocator(subs=steps))
    axis.set_major_formatter(lambda value, _position: f"{value:g}")
    axis.set_minor_locator(NullLocator())


def few_and_many(axis: "Axis") -> None:
    """Put ticks at 0, 1, 2, 5, 10, 20 and so on of an axis that is logarithmic from 1 on."""
    from matplotlib.ticker import FixedLocator

    axis.set_major_locator(FixedLocator([0, *(k * 10**n for n in range(9) for k in (1, 2, 5))]))


def logarithmic(ax: "Axes") -> None:
    """Make the y axis logarithmic, at least a decade long; without values above 0, say so instead."""
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in ax.get_lines()])
    positive = values[np.isfinite(values) & (values > 0)]
    if not positive.size:
        ax.text(0.5, 0.5, "not measured", transform=ax.transAxes, ha="center", va="center")
        ax.set_yticks([])
        return
    low, high = float(positive.min()), float(positive.max())
    margin = max(1.3, (10 * low / high) ** 0.5)
    ax.set_yscale("log")
    ax.set_ylim(low / margin, high * margin)
    plain_log_ticks(ax.yaxis, (1, 2, 5) if high / low * margin**2 < 100 else (1,))


def colour_scale(values: Array, signed: bool) -> "Normalize":
    """Return a scale over the finite values from zero, or symmetric around zero if signed."""
    from matplotlib.colors import Normalize, TwoSlopeNorm

    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if signed:
        bound = max(abs(low), abs(high)) or 1.0
        return TwoSlopeNorm(vcenter=0.0, vmin=-bound, vmax=bound)
    return Normalize(0.0, high or 1.0)


def colour_bar(ax: "Axes", norm: "Normalize", colours: str, label: str = "", ticks: int = 4) -> None:
    """Show the colour scale to the right of an image, as high as the image."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.ticker import MaxNLocator

    place = ax.inset_axes((1.02, 0.0, 0.025, 1.0))
    bar = ax.get_figure(root=True).colorbar(ScalarMappable(norm, colours), cax=place)  # type: ignore[union-attr]
    bar.outline.set_visible(False)
    place.tick_params(labelsize=9)
    bar.locator = MaxNLocator(ticks)
    bar.update_ticks()
    if label:
        bar.set_label(label)


def frame(ax: "Axes", left: float, top: float, width: float, height: float) -> None:
    """Draw a rectangle without a filling, in the coordinates of the axes."""
    from matplotlib.patches import Rectangle

    ax.add_patch(Rectangle((left, top), width, height, fill=False, edgecolor=VALID, linewidth=1.6))


def gradation(count: int) -> Array:
    """Return colours (count, 4) for as many lines in an order, readable on light and dark pages."""
    from matplotlib import colormaps

    return np.asarray(colormaps[POSITIVE](np.linspace(0.42, 0.85, count)))
