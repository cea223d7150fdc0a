"""Pictures of a convolution's filters.

In: weights. Out: figures, mosaics of tiles with a colour scale beside them; in pages where there are
more tiles than can be told apart.
"""

import math
from typing import TYPE_CHECKING, Any

from lenetscope.errors import DataError, UsageError
from lenetscope.plots import style
from lenetscope.plots.layers import mosaic
from lenetscope.plots.style import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GRID, ROWS, COLUMNS = 64, 16, 32
"""On one page: filters of one channel; filters of several channels; channels."""


def filters(
    weights: Array, layer: str, *, page: int = 0, groups: int = 1, **figure_options: Any
) -> "Figure":
    """Draw the filters of a convolution, on one colour scale with zero in white.

    Filters of one channel stand in a grid; those of several stand in rows, a column a channel. More
    than fit on a page are left to further pages, see `filter_pages`; all pages share the scale.

    Args:
        weights: (filters, channels, H, W); or (…, W) of a one-dimensional convolution, drawn as strips;
        or
            (…, D, H, W) of a three-dimensional one, whose D slices stand side by side.
        layer: name for the title.
        page: from 0: first through the channels, then through the filters.
        groups: of the convolution: with more than one, channels are counted within a filter's group.
        figure_options: go to `matplotlib.figure.Figure`.

    Raises:
        DataError: if there are no weights, or they have another number of dimensions.
        UsageError: if there is no such page.
    """
    tiles, slices = _tiles(weights)  # (filters, channels * slices, H, W)
    count, channels, height, width = tiles.shape
    across = _pages_across(channels)
    pages = filter_pages(weights)
    if not 0 <= page < pages:
        raise UsageError(f"there is no page {page}: the pages of layer '{layer}' are 0 to {pages - 1}.")
    per_page = GRID if channels == 1 else ROWS
    first, left = page // across * per_page, page % across * COLUMNS
    shown = tiles[first : first + per_page, left : left + COLUMNS]
    columns = min(8, len(shown)) if channels == 1 else shown.shape[1]
    flat = shown.reshape(-1, height, width)
    rows = math.ceil(len(flat) / columns)
    size = _fitted(columns * (width + 1), rows * (height + 1))
    with style.new_figure(figure_options, size) as figure:
        ax = figure.subplots()
        norm = style.colour_scale(weights, signed=True)
        mosaic(ax, flat, columns, norm, style.SIGNED)
        _number_columns(ax, columns, width, left, slices)
        _number_rows(ax, rows, height, first, columns if channels == 1 else 1)
        if channels > 1:
            kind = "input channel" + (" of the group" if groups > 1 else "")
            ax.set_xlabel(kind if slices == 1 else f"{kind}, {slices} slices each")
        ax.set_ylabel("filter")
        kernel = "x".join(map(str, weights.shape[2:]))
        kind = ("one channel" if weights.shape[1] == 1 else f"{weights.shape[1]} channels") + (
            " a group" if groups > 1 else ""
        )
        title = f"{layer}: {count} filters of {kernel}, {kind}"
        if pages > 1:
            title = f"{layer}: filters {first} to {first + len(shown) - 1} of {count}, {kernel}, "
            last = (left + shown.shape[1] - 1) // slices
            title += (
                kind if across == 1 else f"channels {left // slices} to {last} of {weights.shape[1]}"
            )
        ax.set_title(title)
        style.colour_bar(ax, norm, style.SIGNED, "weight")
    return figure


def filter_pages(weights: Array) -> int:
    """Return how many pages `filters` needs.

    Args:
        weights: as `filters` takes them.

    Raises:
        DataError: if there are no weights, or they have another number of dimensions.
    """
    tiles, _ = _tiles(weights)
    count, channels = tiles.shape[:2]
    down: int = math.ceil(count / (GRID if channels == 1 else ROWS))
    return down * _pages_across(channels)


def _pages_across(channels: int) -> int:
    return math.ceil(channels / COLUMNS)


def _tiles(weights: Array) -> tuple[Array, int]:
    """Return weights as tiles (filters, columns, H, W), and how many slices a channel has."""
    if weights.ndim not in (3, 4, 5) or not weights.size:
        raise DataError(
            "filters are (filters, channels, …) with a kernel of one to three dimensions, not "
            f"{weights.shape}."
        )
    if weights.ndim == 3:
        return weights[:, :, None], 1
    if weights.ndim == 4:
        return weights, 1
    count, channels, slices, height, width = weights.shape
    return weights.reshape(count, channels * slices, height, width), slices


def _number_columns(ax: "Axes", columns: int, width: int, first: int, slices: int) -> None:
    """Number the columns of a mosaic, as many as can be read; slices of a channel share a number."""
    every = max(1, math.ceil(columns / slices / 16)) * slices
    begins = range(-first % slices, columns, every)
    ax.set_xticks(
        [c * (width + 1) + (width - 1) / 2 for c in begins],
        [f"{(first + c) // slices}" for c in begins],
    )


def _number_rows(ax: "Axes", rows: int, height: int, first: int, step: int) -> None:
    """Number the rows of a mosaic; in a grid a plus says that the column is to be added."""
    numbers = [first + row * step for row in range(rows)]
    ax.set_yticks(
        [r * (height + 1) + (height - 1) / 2 for r in range(rows)],
        [f"+{n}" if step > 1 and n else f"{n}" for n in numbers],
    )
    ax.tick_params(length=0, labelsize=8)


def _fitted(width: float, height: float) -> tuple[float, float]:
    """Return inches for a mosaic of so many pixels, within `style.MAX_SIDE`."""
    scale = min(0.22, 8.0 / width, (style.MAX_SIDE - 1.5) / height)
    return max(4.5, width * scale + 1.7), max(2.0, height * scale + 1.1)
