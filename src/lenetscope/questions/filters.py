"""The filters of a convolution: its weights, drawn as tiles on one colour scale with zero in white.

Layers with more tiles than can be told apart are drawn on several pages.
"""

import math
from typing import TYPE_CHECKING, Any

from torch import nn

from lenetscope.errors import DataError, LayerError, UsageError, listed
from lenetscope.observe import find_layer, find_layers
from lenetscope.plots import style, tiles
from lenetscope.plots.style import Array
from lenetscope.questions import Costs, Part, Question, numbered

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
SMALL = (4.8, 2.6)
"""Inches of filters of one channel in the report: few enough to be seen on a telephone."""


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
    whole, slices = _tiles(weights)  # (filters, channels * slices, H, W)
    count, channels, height, width = whole.shape
    across, pages = math.ceil(channels / COLUMNS), filter_pages(weights)
    if not 0 <= page < pages:
        raise UsageError(f"there is no page {page}: the pages of layer '{layer}' are 0 to {pages - 1}.")
    per_page = GRID if channels == 1 else ROWS
    first, left = page // across * per_page, page % across * COLUMNS
    shown = whole[first : first + per_page, left : left + COLUMNS]
    columns = min(8, len(shown)) if channels == 1 else shown.shape[1]
    flat = shown.reshape(-1, height, width)
    rows = math.ceil(len(flat) / columns)
    wide, high = columns * (width + 1), rows * (height + 1)
    scale = min(0.22, 8.0 / wide, (style.MAX_SIDE - 1.5) / high)  # inches per weight
    size = max(4.5, wide * scale + 1.7), max(2.0, high * scale + 1.1)
    with style.new_figure(figure_options, size) as figure:
        ax = figure.subplots()
        norm = style.colour_scale(weights, signed=True)
        tiles.mosaic(ax, flat, columns, norm, cmap)
        # as many columns as can be read are numbered; slices of a channel share a number
        every = max(1, math.ceil(columns / slices / 16)) * slices
        numbers = range(-left % slices, columns, every)
        tiles.number(ax.xaxis, width, {c: (left + c) // slices for c in numbers})
        if channels == 1:  # in a grid the number of the column is to be added
            tiles.number(ax.yaxis, height, {r: f"+{r * columns}" if r else first for r in range(rows)})
        else:
            tiles.number(ax.yaxis, height, {r: first + r for r in range(rows)})
            kind = "input channel" + (" of the group" if groups > 1 else "")
            ax.set_xlabel(kind if slices == 1 else f"{kind}, {slices} slices each")
        ax.tick_params(length=0, labelsize=9)
        kernel, inputs = "x".join(map(str, weights.shape[2:])), weights.shape[1]
        which = "one channel" if inputs == 1 else f"{inputs} channels"
        which += " per group" if groups > 1 else ""
        if across > 1:
            last = (left + shown.shape[1] - 1) // slices
            which = f"channels {left // slices} to {last} of {inputs}"
        what = f"filters {first} to {first + len(shown) - 1} of {count}, {kernel}"
        what = f"{count} filters of {kernel}" if pages == 1 else what
        ax.set(ylabel="filter", title=f"{layer}: {what}, {which}")
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
    slices = weights.shape[2] if weights.ndim == 5 else 1
    height = weights.shape[-2] if weights.ndim > 3 else 1
    return weights.reshape(len(weights), -1, height, weights.shape[-1]), slices


def _drawn(inspection: "Inspection", name: str, page: int = 0, **options: Any) -> "Figure":
    weights, (_, layer) = filters_of(inspection.model, name), find_layer(inspection.model, name)
    return plot_filters(weights, name, page=page, groups=getattr(layer, "groups", 1), **options)


def _figures(inspection: "Inspection", selection: "Selection") -> "Iterator[tuple[str, Figure]]":
    for name in inspection.selected_convolutions(selection):
        for page in range(filter_pages(filters_of(inspection.model, name))):
            yield numbered(f"filters-{name}", page), _drawn(inspection, name, page)


PAGE = """
<p class="say">The weights of each convolution: red is positive, blue negative, white zero. A filter
that is red on one side and blue on the other responds to edges between the two. Beyond the first layer
the weights apply to feature maps instead of pixels, and are hard to interpret by eye.</p>
{% for name, weights, figure in shown %}
<figure>{{ figure | inline("filters-%d" % loop.index0, "filters of layer " ~ name)
| scrolling("Filters of " ~ name) }}<figcaption>{{ name }}: one
{% if weights.shape[1] == 1 %}tile per filter{% else %}row per filter, one column per input channel, of
which it has {{ weights.shape[1] }}{% endif %}{% if pages(weights) > 1 %}; the other pages are drawn by
lenetscope inspect --what filters{% endif %}.</figcaption></figure>
{% endfor %}
"""


def _part(inspection: "Inspection") -> Part:
    names, model = inspection.convolutions[:PAGE_LAYERS], inspection.model
    if not names:
        raise LayerError("this network has no convolution, and so no filters.")
    weights = [filters_of(model, name) for name in names]
    sizes: list[dict[str, Any]] = [{"figsize": SMALL} if each.shape[1] == 1 else {} for each in weights]
    drawn = [_drawn(inspection, name, **size) for name, size in zip(names, sizes, strict=True)]
    return Part.of(PAGE, shown=list(zip(names, weights, drawn, strict=True)), pages=filter_pages)


Question(
    "filters",
    summary="The weights of each convolution, drawn as tiles.",
    figures=_figures,
    part=_part,
    heading="Filters",
    place=30,
    default=True,
    of_layers=True,
    costs=Costs(0.2, 0.2, 0.8),
).register()
