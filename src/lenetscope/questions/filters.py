"""The filters of a convolution: its weights, drawn as tiles on one colour scale with zero in white.

Layers with more tiles than can be told apart are drawn on several pages.
"""

import math
from typing import TYPE_CHECKING, Any

from torch import nn

from lenetscope.errors import DataError, LayerError, UsageError, listed
from lenetscope.observe import find_layer, find_layers
from lenetscope.plots import html, style
from lenetscope.plots.style import Array
from lenetscope.plots.tiles import mosaic
from lenetscope.questions import QUESTIONS, Part, Question, numbered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure

    from lenetscope.inspection import Inspection
    from lenetscope.selection import Selection

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED)

GRID, ROWS, COLUMNS = 64, 16, 32
"""On one page: filters of one channel; filters of several channels; channels."""
PAGE_LAYERS = 4
"""Convolutions that the report draws, the first ones."""


def filters_of(model: nn.Module, layer: str) -> Array:
    """Return the filters of a convolution.

    >>> filters_of(nn.Sequential(nn.ConvTranspose2d(4, 6, 3, groups=2)), "0").shape
    (6, 2, 3, 3)

    Args:
        model: any module.
        layer: exact name of a convolution of one, two or three dimensions, transposed or not.

    Returns:
        (filters, input channels, …) float32, where … is the kernel: (W,), (H, W) or (D, H, W). With
        groups, the input channels are those of the filter's own group: channel c of filter f is
        channel ``f // (filters / groups) * (channels / groups) + c`` of the layer's inputs.

    Raises:
        LayerError: if there is no such layer, or it is not a convolution, or has no weights yet.
    """
    _, found = find_layer(model, layer)
    if not isinstance(found, CONVOLUTIONS):
        names = [n for n, m in find_layers(model).items() if isinstance(m, CONVOLUTIONS)]
        where = f"; layers that have filters: {listed(names)}" if names else ""
        raise LayerError(f"layer '{layer}' is a {type(found).__name__} and has no filters{where}.")
    if isinstance(found.weight, nn.UninitializedParameter):
        raise LayerError(f"layer '{layer}' has no weights yet: run the model once first.")
    weights = found.weight.detach()
    if isinstance(found, TRANSPOSED):  # (input channels, filters / groups, …)
        kernel, groups = weights.shape[2:], found.groups
        grouped = weights.reshape(groups, -1, weights.shape[1], *kernel).transpose(1, 2)
        weights = grouped.reshape(found.out_channels, -1, *kernel)
    array: Array = weights.float().cpu().numpy().copy()
    return array


def plot_filters(
    weights: Array,
    layer: str,
    *,
    page: int = 0,
    groups: int = 1,
    cmap: str = style.SIGNED,
    **figure_options: Any,
) -> "Figure":
    """Draw the filters of a convolution, on one colour scale with zero in its middle.

    Filters of one channel are laid out in a grid; those of several channels have one row per filter and
    one column per channel. What does not fit on a page is left to further pages, see `filter_pages`;
    all pages share the scale.

    Args:
        weights: (filters, channels, H, W); or (…, W) of a one-dimensional convolution, drawn as strips;
            or (…, D, H, W) of a three-dimensional one, whose D slices are drawn side by side.
        layer: name for the title.
        page: from 0: first through the channels, then through the filters.
        groups: of the convolution; with more than one, channels are counted within a filter's group.
        cmap: name of a matplotlib colour scale; by default white is zero.
        figure_options: go to `matplotlib.figure.Figure`.

    Raises:
        DataError: if there are no weights, or they have another number of dimensions.
        UsageError: if there is no such page.
    """
    tiles, slices = _tiles(weights)  # (filters, channels * slices, H, W)
    count, channels, height, width = tiles.shape
    across, pages = math.ceil(channels / COLUMNS), filter_pages(weights)
    if not 0 <= page < pages:
        raise UsageError(f"there is no page {page}: the pages of layer '{layer}' are 0 to {pages - 1}.")
    per_page = GRID if channels == 1 else ROWS
    first, left = page // across * per_page, page % across * COLUMNS
    shown = tiles[first : first + per_page, left : left + COLUMNS]
    columns = min(8, len(shown)) if channels == 1 else shown.shape[1]
    flat = shown.reshape(-1, height, width)
    rows = math.ceil(len(flat) / columns)
    with style.new_figure(figure_options, _size(columns * (width + 1), rows * (height + 1))) as figure:
        ax = figure.subplots()
        norm = style.colour_scale(weights, signed=True)
        mosaic(ax, flat, columns, norm, cmap)
        # as many columns as can be read are numbered; slices of a channel share a number
        every = max(1, math.ceil(columns / slices / 16)) * slices
        numbers = range(-left % slices, columns, every)
        middles = [c * (width + 1) + (width - 1) / 2 for c in numbers]
        ax.set_xticks(middles, [f"{(left + c) // slices}" for c in numbers])
        middles = [r * (height + 1) + (height - 1) / 2 for r in range(rows)]
        if channels == 1:  # in a grid the number of the column is to be added
            ax.set_yticks(middles, [f"+{r * columns}" if r else f"{first}" for r in range(rows)])
        else:
            ax.set_yticks(middles, [f"{first + r}" for r in range(rows)])
            kind = "input channel" + (" of the group" if groups > 1 else "")
            ax.set_xlabel(kind if slices == 1 else f"{kind}, {slices} slices each")
        ax.tick_params(length=0, labelsize=8)
        ax.set_ylabel("filter")
        kernel, inputs = "x".join(map(str, weights.shape[2:])), weights.shape[1]
        which = "one channel" if inputs == 1 else f"{inputs} channels"
        which += " per group" if groups > 1 else ""
        title = f"{layer}: {count} filters of {kernel}, {which}"
        if pages > 1:
            if across > 1:
                last = (left + shown.shape[1] - 1) // slices
                which = f"channels {left // slices} to {last} of {inputs}"
            title = (
                f"{layer}: filters {first} to {first + len(shown) - 1} of {count}, {kernel}, {which}"
            )
        ax.set_title(title)
        style.colour_bar(ax, norm, cmap, "weight")
    return figure


def filter_pages(weights: Array) -> int:
    """Return how many pages `plot_filters` needs for these weights.

    Raises:
        DataError: if there are no weights, or they have another number of dimensions.
    """
    count, channels = _tiles(weights)[0].shape[:2]
    pages: int = math.ceil(count / (GRID if channels == 1 else ROWS)) * math.ceil(channels / COLUMNS)
    return pages


def _tiles(weights: Array) -> tuple[Array, int]:
    """Return weights as tiles (filters, columns, H, W), and how many slices a channel has."""
    if weights.ndim not in (3, 4, 5) or not weights.size:
        raise DataError(
            "filters are (filters, channels, …) with a kernel of one to three dimensions, not "
            f"{weights.shape}."
        )
    if weights.ndim == 3:
        return weights[:, :, None], 1
    slices = weights.shape[2] if weights.ndim == 5 else 1
    return weights.reshape(len(weights), -1, *weights.shape[-2:]), slices


def _size(width: int, height: int) -> tuple[float, float]:
    """Return inches for a mosaic of so many pixels, within `style.MAX_SIDE`."""
    scale = min(0.22, 8.0 / width, (style.MAX_SIDE - 1.5) / height)
    return max(4.5, width * scale + 1.7), max(2.0, height * scale + 1.1)


def _figures(inspection: "Inspection", selection: "Selection") -> "Iterator[tuple[str, Figure]]":
    for name in inspection.selected_convolutions(selection):
        weights = filters_of(inspection.model, name)
        groups = getattr(find_layer(inspection.model, name)[1], "groups", 1)
        for page in range(filter_pages(weights)):
            yield (
                numbered(f"filters-{name}", page),
                plot_filters(weights, name, page=page, groups=groups),
            )


def _part(inspection: "Inspection") -> Part:
    if not inspection.convolutions:
        raise LayerError("this network has no convolution, and so no filters.")
    figures = []
    for number, name in enumerate(inspection.convolutions[:PAGE_LAYERS]):
        weights = filters_of(inspection.model, name)
        groups = getattr(find_layer(inspection.model, name)[1], "groups", 1)
        caption = "one tile per filter"
        if weights.shape[1] > 1:
            caption = (
                f"one row per filter, one column per input channel, of which it has {weights.shape[1]}"
            )
        if filter_pages(weights) > 1:
            caption += "; the other pages are drawn by lenetscope inspect --what filters"
        title = f"the {len(weights)} filters of layer {name}"
        figure = html.inline(plot_filters(weights, name, groups=groups), f"filters-{number}", title)
        figures.append((html.scrolling(figure, f"Filters of {name}"), f"{name}: {caption}."))
    return Part(
        html.render(
            """
<p class="say">The weights of each convolution: red is positive, blue negative, white zero. A filter
that is red on one side and blue on the other responds to edges between the two. Beyond the first layer
the weights apply to feature maps, not to pixels, and are hard to read by eye.</p>
{% for figure, caption in figures %}
<figure>{{ figure }}<figcaption>{{ caption }}</figcaption></figure>
{% endfor %}
""",
            figures=figures,
        )
    )


QUESTIONS.register("filters")(
    Question(
        summary="Which weights each convolution has.",
        figures=_figures,
        part=_part,
        chapter="inside",
        heading="Filters",
        place=30,
        default=True,
        of_layers=True,
    )
)
