"""Pictures of what layers put out.

In: activations. Out: figures, mosaics of tiles with a colour scale beside them.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lenetscope.errors import DataError
from lenetscope.plots import style
from lenetscope.plots.style import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

STRIP = 20
"""Vectors of so many values at most are drawn in one row, numbered."""


def outputs(
    layers: Mapping[str, Array],
    labels: Sequence[Any] | None = None,
    predicted: Sequence[Any] | None = None,
    **figure_options: Any,
) -> "Figure":
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
    column = min(3.2, max(1.2, (style.MAX_SIDE - 2.4) / images))
    size = (
        column * images + 2.0,
        min(style.MAX_SIDE, (sum(heights) + 0.08 * len(heights)) * column + 0.8),
    )
    with style.new_figure(figure_options, size) as figure:
        grid = figure.subplots(
            len(layers), images, squeeze=False, gridspec_kw={"height_ratios": heights}
        )
        for axes, (name, values), tiled in zip(grid, layers.items(), pictures.values(), strict=True):
            signed = bool(np.nanmin(values) < 0)
            colours = (
                style.PIXELS if values.dtype == np.uint8 else style.SIGNED if signed else style.POSITIVE
            )
            norm = style.colour_scale(values, signed)
            for ax, (tiles, columns) in zip(axes, tiled, strict=True):
                mosaic(ax, tiles, columns, norm, colours)
            shape = "x".join(map(str, values.shape[1:]))
            axes[0].set_ylabel(f"{name}\n{shape}", rotation=0, ha="right", va="center")
            style.colour_bar(axes[-1], norm, colours, ticks=2)
        for number, ax in enumerate(grid[0]):
            title, wrong = _title(number, labels, predicted)
            ax.set_title(
                title, color=style.WRONG if wrong else style.INK, fontsize=10 if column > 1.6 else 8
            )
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


def mosaic(ax: "Axes", tiles: Array, columns: int, norm: "Normalize", colours: str) -> None:
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
