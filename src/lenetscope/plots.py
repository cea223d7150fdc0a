"""Pictures: arrays in, a matplotlib `Figure` out. The only place that draws.

No pyplot state, no window, no style set at import: each function builds its own figure and returns
it. Colour scales are shown beside what they colour; zero is white where values have a sign.
"""

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from lenetscope.errors import DataError
from lenetscope.files import write_bytes

Array = npt.NDArray[Any]

TRAIN, VALID, WRONG, INK = "#4477aa", "#ee6677", "#aa3344", "#333333"
SIGNED, POSITIVE, PIXELS = "RdBu_r", "magma", "gray"
STRIP = 20
"""Vectors of so many values at most are drawn in one row, numbered."""
MAX_SIDE = 14.0
"""Inches that no figure goes past, unless asked to by ``figsize``."""

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
def _styled() -> Iterator[None]:
    with mpl.rc_context(STYLE):
        yield


def save(figure: Figure, path: Path, dpi: int = 150) -> Path:
    """Write a figure in the format that the path ends in, and return the path.

    Raises:
        StorageError: if it cannot be written.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix.lstrip(".") or "png", dpi=dpi)
    write_bytes(path, buffer.getvalue())
    return path


def curves(history: Sequence[Mapping[str, Any]], **figure_options: Any) -> Figure:
    """Draw loss, and accuracy where there is one, over the epochs.

    Args:
        history: rows as in `TrainState.history`.
        figure_options: go to `matplotlib.figure.Figure`.
    """
    pairs = [("loss", "mean loss", 1.0), ("accuracy", "accuracy, %", 100.0)]
    shown = [p for p in pairs if any(row.get(f"train_{p[0]}") is not None for row in history)]
    shown = shown or pairs[:1]
    with _styled():
        figure = Figure(**{"figsize": (5.2 * len(shown), 3.6)} | figure_options)
        axes = figure.subplots(1, len(shown), squeeze=False)[0]
        for ax, (key, label, scale) in zip(axes, shown, strict=True):
            for part, colour in (("train", TRAIN), ("valid", VALID)):
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
                ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                ax.yaxis.set_major_formatter(lambda value, _position: f"{value:g}")
                ax.yaxis.set_minor_locator(NullLocator())
            ax.set(xlabel="epoch", ylabel=label)
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            ax.grid(alpha=0.25, which="both", linewidth=0.5)
            if ax.lines:
                ax.legend()
    return figure


def filters(weights: Array, layer: str, **figure_options: Any) -> Figure:
    """Draw the filters of a convolution, all on one colour scale with zero in white.

    Filters of one channel stand in a grid; those of several stand in rows, one column a channel.

    Args:
        weights: (filters, channels, H, W).
        layer: name for the title.
        figure_options: go to `matplotlib.figure.Figure`.
    """
    count, channels, height, width = weights.shape
    if channels == 1:
        columns = min(8, count)
        tiles = weights[:, 0]
        labels = ("", "filter")
    else:
        columns = channels
        tiles = weights.reshape(-1, height, width)  # (filters * channels, H, W)
        labels = ("input channel", "filter")
    with _styled():
        rows = math.ceil(len(tiles) / columns)
        figure = Figure(
            **{"figsize": _fitted(columns * (width + 1), rows * (height + 1))} | figure_options
        )
        ax = figure.subplots()
        norm = _norm(weights, signed=True)
        _mosaic(ax, tiles, columns, norm, SIGNED)
        _count_tiles(ax, columns, rows, height, width, labels, grid=channels == 1)
        per = "one channel" if channels == 1 else f"{channels} channels"
        ax.set_title(f"{layer}: {count} filters of {height}x{width}, {per}")
        _colour_bar(ax, norm, SIGNED, "weight")
    return figure


def outputs(
    layers: Mapping[str, Array],
    labels: Sequence[Any] | None = None,
    predicted: Sequence[Any] | None = None,
    **figure_options: Any,
) -> Figure:
    """Draw what layers put out: a column an image, a row a layer, a colour scale a row.

    Feature maps of an image stand in a grid of one tile a channel; a vector is a strip.

    Args:
        layers: name to (N, C, H, W), (N, K) or (N, …), the same N for all.
        labels: N true labels for the titles.
        predicted: N predicted labels for the titles.
        figure_options: go to `matplotlib.figure.Figure`.

    Raises:
        DataError: if there is nothing to draw.
    """
    if not layers or any(not len(values) for values in layers.values()):
        raise DataError("there is nothing to draw: no layer, or no image has gone through it.")
    images = min(len(values) for values in layers.values())
    pictures = {name: [_tiles(v) for v in values[:images]] for name, values in layers.items()}
    heights = [_height(*tiled[0]) for tiled in pictures.values()]
    with _styled():
        column = min(3.2, max(1.2, (MAX_SIDE - 2.4) / images))
        size = (
            column * images + 2.0,
            min(MAX_SIDE, (sum(heights) + 0.08 * len(heights)) * column + 0.8),
        )
        figure = Figure(**{"figsize": size} | figure_options)
        grid = figure.subplots(
            len(layers), images, squeeze=False, gridspec_kw={"height_ratios": heights}
        )
        for axes, (name, values), tiled in zip(grid, layers.items(), pictures.values(), strict=True):
            signed = bool(np.nanmin(values) < 0)
            colours = PIXELS if values.dtype == np.uint8 else SIGNED if signed else POSITIVE
            norm = _norm(values, signed)
            for ax, (tiles, columns) in zip(axes, tiled, strict=True):
                _mosaic(ax, tiles, columns, norm, colours)
            shape = "x".join(map(str, values.shape[1:]))
            axes[0].set_ylabel(f"{name}\n{shape}", rotation=0, ha="right", va="center")
            _colour_bar(axes[-1], norm, colours, ticks=2)
        for number, ax in enumerate(grid[0]):
            title, wrong = _title(number, labels, predicted)
            ax.set_title(title, color=WRONG if wrong else INK, fontsize=10 if column > 1.6 else 8)
    return figure


def confusion(matrix: Array, classes: Sequence[str], **figure_options: Any) -> Figure:
    """Draw a confusion matrix: counts in the cells, colour for the errors' share of the true class.

    Args:
        matrix: (K, K), rows true and columns predicted.
        classes: K names.
        figure_options: go to `matplotlib.figure.Figure`.
    """
    count = len(matrix)
    totals = np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    shares = 100 * matrix / totals * (1 - np.eye(count))
    with _styled():
        side = min(MAX_SIDE, 2.4 + 0.52 * count)
        figure = Figure(**{"figsize": (side + 0.8, side)} | figure_options)
        ax = figure.subplots()
        norm = Normalize(0, max(float(shares.max()), 1e-9))
        ax.imshow(shares, cmap="Reds", norm=norm)
        for row, column in np.ndindex(count, count) if count <= 30 else ():
            value = int(matrix[row, column])
            if value:
                dark = shares[row, column] > 0.6 * norm.vmax if norm.vmax else False
                ax.text(
                    column,
                    row,
                    str(value),
                    ha="center",
                    va="center",
                    fontsize=9,
                    color="white" if dark else INK,
                    fontweight="bold" if row == column else "normal",
                )
        ticks = range(count)
        long = max(len(name) for name in classes) > 3
        ax.set_xticks(ticks, classes, rotation=45 if long else 0, ha="right" if long else "center")
        ax.set_yticks(ticks, classes)
        ax.set(xlabel="predicted", ylabel="true")
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        right, total = int(matrix.trace()), int(matrix.sum())
        ax.set_title(f"{total - right} errors in {total:,} images")
        _colour_bar(ax, norm, "Reds", "% of the true class")
    return figure


def lr_range(
    tracking: Mapping[str, Sequence[float]], step_mode: str = "exp", ax: Axes | None = None
) -> Figure:
    """Draw a learning rate range test, on axes of one's own or on a new figure.

    Args:
        tracking: ``{"lr": …, "loss": …}``.
        step_mode: ``"exp"`` draws rates on a logarithmic scale.
        ax: where to draw.
    """
    with _styled():
        figure: Any = Figure(figsize=(6, 4)) if ax is None else ax.get_figure()
        axes = figure.subplots() if ax is None else ax
        axes.plot(tracking["lr"], tracking["loss"], color=TRAIN)
        if step_mode == "exp":
            axes.set_xscale("log")
        axes.set(xlabel="learning rate", ylabel="smoothed loss")
        axes.grid(alpha=0.25, which="both", linewidth=0.5)
    assert isinstance(figure, Figure)
    return figure


def _title(
    number: int, labels: Sequence[Any] | None, predicted: Sequence[Any] | None
) -> tuple[str, bool]:
    """Return an image's title, and whether it was predicted wrongly."""
    true = None if labels is None or number >= len(labels) else _plain(labels[number])
    said = None if predicted is None or number >= len(predicted) else _plain(predicted[number])
    lines = [f"image {number}"]
    if true is not None:
        lines = [f"true {true}"]
    if said is not None:
        lines.append(f"predicted {said}")
    return "\n".join(lines), true is not None and said is not None and true != said


def _plain(value: Any) -> str:
    """Return a label as text, also if it comes as an array or tensor of one number."""
    numbers = np.asarray(value).reshape(-1)
    if len(numbers) != 1 or numbers.dtype.kind not in "biuf":
        return str(value)
    return f"{numbers.item():g}"


def _tiles(values: Array) -> tuple[Array, int]:
    """Cut what one image gave in one layer into tiles (n, H, W), and say how many stand in a row."""
    values = np.asarray(values, dtype=np.float32)
    if values.ndim == 3:
        return values, _columns(len(values))
    if values.ndim == 2:
        return values[None], 1
    flat = values.reshape(-1)
    width = len(flat) if len(flat) <= STRIP else 32 if len(flat) <= 512 else 128
    padded = np.full(math.ceil(len(flat) / width) * width, np.nan, dtype=np.float32)
    padded[: len(flat)] = flat
    return padded.reshape(1, -1, width), 1


def _columns(count: int) -> int:
    """Return how many of ``count`` tiles to put in a row: some twice as many as there are rows."""
    ideal = math.sqrt(2 * count)
    divisors = [c for c in range(math.ceil(ideal / 1.45), int(ideal * 1.45) + 1) if count % c == 0]
    return min(divisors, key=lambda c: abs(math.log(c / ideal)), default=math.ceil(ideal))


def _height(tiles: Array, columns: int) -> float:
    """Return the height of a row of pictures, as a share of a picture's width."""
    count, height, width = tiles.shape
    ratio: float = math.ceil(count / columns) * (height + 1) / (columns * (width + 1))
    return min(max(ratio, 0.13), 2.0 if count > 1 else 0.5)


def _mosaic(ax: Axes, tiles: Array, columns: int, norm: Normalize, colours: str) -> None:
    """Draw tiles (n, H, W) as one image, a thin gap between them; number the values of a strip."""
    count, height, width = tiles.shape
    rows = math.ceil(count / columns)
    gap = 0 if count == 1 else 1
    canvas = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), np.nan)
    for number, tile in enumerate(tiles):
        top, left = number // columns * (height + gap), number % columns * (width + gap)
        canvas[top : top + height, left : left + width] = tile
    strip = count == 1 and height * 4 < width
    ax.imshow(canvas, cmap=colours, norm=norm, aspect="auto" if strip else "equal")
    ax.set(xticks=[], yticks=[])
    if strip and height == 1 and width <= STRIP:
        ax.set_xticks(range(width))
        ax.tick_params(length=0, labelsize=8, pad=1)
    ax.spines[:].set_visible(False)


def _count_tiles(
    ax: Axes,
    columns: int,
    rows: int,
    height: int,
    width: int,
    labels: tuple[str, str],
    grid: bool,
) -> None:
    """Number the columns and rows of a mosaic, as many as can be read."""
    every = max(1, math.ceil(columns / 16))
    names = range(0, columns, every)
    ax.set_xticks([c * (width + 1) + (width - 1) / 2 for c in names], [f"{c}" for c in names])
    every = 1 if grid else max(1, math.ceil(rows / 16))
    names = range(0, rows, every)
    factor = columns if grid else 1
    ax.set_yticks(
        [r * (height + 1) + (height - 1) / 2 for r in names],
        [f"+{r * factor}" if grid and r else f"{r * factor}" for r in names],
    )
    ax.tick_params(length=0, labelsize=8)
    ax.set(xlabel=labels[0], ylabel=labels[1])


def _norm(values: Array, signed: bool) -> Normalize:
    """Return a colour scale over the finite values, symmetric around zero if they have a sign."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if signed:
        bound = max(abs(low), abs(high)) or 1.0
        return TwoSlopeNorm(vcenter=0.0, vmin=-bound, vmax=bound)
    return Normalize(0.0, high or 1.0)


def _colour_bar(ax: Axes, norm: Normalize, colours: str, label: str = "", ticks: int = 4) -> None:
    """Show the colour scale at the right of a picture, as high as the picture is."""
    place = ax.inset_axes((1.02, 0.0, 0.025, 1.0))
    bar = ax.get_figure(root=True).colorbar(ScalarMappable(norm, colours), cax=place)  # type: ignore[union-attr]
    bar.outline.set_visible(False)
    place.tick_params(labelsize=8)
    bar.locator = MaxNLocator(ticks)
    bar.update_ticks()
    if label:
        bar.set_label(label)


def _fitted(width: float, height: float) -> tuple[float, float]:
    """Return inches for a mosaic of so many pixels, within `MAX_SIDE`."""
    scale = min(0.22, (MAX_SIDE - 2) / max(width, 1), (MAX_SIDE - 1.5) / max(height, 1))
    return max(4.0, width * scale + 1.7), max(2.0, height * scale + 1.1)
