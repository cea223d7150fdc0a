"""The outputs of layers for some images: feature maps as tiles, vectors as strips."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lenetscope.errors import DataError
from lenetscope.layers import resizing_layers
from lenetscope.plots import style
from lenetscope.plots.style import Array
from lenetscope.plots.tiles import STRIP, mosaic
from lenetscope.questions import Costs, Question
from lenetscope.recording import capture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lenetscope.inspection import Inspection
    from lenetscope.selection import Selection


def plot_outputs(
    layers: Mapping[str, Array],
    labels: Sequence[Any] | None = None,
    predicted: Sequence[Any] | None = None,
    **figure_options: Any,
) -> "Figure":
    """Draw the outputs of layers: one column per image, one row and one colour scale per layer.

    The feature maps of an image are laid out in a grid, one tile per channel; a vector is a strip.

    Args:
        layers: name to (N, C, H, W), (N, K) or (N, …), with the same N.
        labels: N true labels for the titles.
        predicted: N predicted labels for the titles.
        figure_options: go to `matplotlib.figure.Figure`.

    Raises:
        DataError: if there is nothing to draw.
    """
    if not layers or any(not len(values) for values in layers.values()):
        raise DataError("there is nothing to draw: no layer, or no image has gone through it.")
    images = min(len(values) for values in layers.values())
    tiles = {name: [_tiles(v) for v in values[:images]] for name, values in layers.items()}
    heights = [_height(*tiled[0]) for tiled in tiles.values()]
    column = min(3.2, max(1.2, (style.MAX_SIDE - 2.4) / images))
    height = min(style.MAX_SIDE, (sum(heights) + 0.08 * len(heights)) * column + 0.8)
    with style.new_figure(figure_options, (column * images + 2.0, height)) as figure:
        grid = figure.subplots(
            len(layers), images, squeeze=False, gridspec_kw={"height_ratios": heights}
        )
        for axes, (name, values), tiled in zip(grid, layers.items(), tiles.values(), strict=True):
            signed = bool(np.nanmin(values) < 0)
            colours = style.SIGNED if signed else style.POSITIVE
            colours = style.PIXELS if values.dtype == np.uint8 else colours
            norm = style.colour_scale(values, signed)
            for ax, (each, columns) in zip(axes, tiled, strict=True):
                mosaic(ax, each, columns, norm, colours)
            shape = "x".join(map(str, values.shape[1:]))
            axes[0].set_ylabel(f"{name}\n{shape}", rotation=0, ha="right", va="center")
            style.colour_bar(axes[-1], norm, colours, ticks=2)
        for number, ax in enumerate(grid[0]):
            true, answer = _label(labels, number), _label(predicted, number)
            title = f"image {number}" if true is None else f"true {true}"
            title += "" if answer is None else f"\npredicted {answer}"
            colour = style.INK if None in (true, answer) or true == answer else style.WRONG
            ax.set_title(title, color=colour, fontsize=10 if column > 1.6 else 8)
    return figure


def _label(labels: Sequence[Any] | None, number: int) -> str | None:
    """Return a label as text, also if it comes as an array or tensor of one number."""
    if labels is None or number >= len(labels):
        return None
    values = np.asarray(labels[number]).reshape(-1)
    if len(values) != 1 or values.dtype.kind not in "biuf":
        return str(labels[number])
    return f"{values.item():g}"


def _tiles(values: Array) -> tuple[Array, int]:
    """Return a layer's outputs for one image as tiles (n, H, W), and how many are drawn in a row."""
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
    """Return how many of ``count`` tiles to draw in a row: about twice as many as there are rows."""
    ideal = math.sqrt(2 * count)
    divisors = [c for c in range(math.ceil(ideal / 1.45), int(ideal * 1.45) + 1) if count % c == 0]
    return min(divisors, key=lambda c: abs(math.log(c / ideal)), default=math.ceil(ideal))


def _height(tiles: Array, columns: int) -> float:
    """Return the height of a mosaic as a fraction of its width."""
    count, height, width = tiles.shape
    ratio: float = math.ceil(count / columns) * (height + 1) / (columns * (width + 1))
    return min(max(ratio, 0.13), 2.0 if count > 1 else 0.5)


def _figures(inspection: "Inspection", selection: "Selection") -> "Iterator[tuple[str, Figure]]":
    layers = selection.layers or resizing_layers(inspection.layers)
    with capture(inspection.model, layers) as seen:
        logits = inspection.arch.predict(selection.pixels)
    images = {"image": selection.pixels.numpy()}
    values = {name: seen[name].numpy() for name in seen.names}
    predicted = [inspection.classes[k] for k in logits.argmax(axis=1)]
    yield "outputs", plot_outputs(images | values, selection.labels, predicted)


Question(
    "outputs",
    summary="What each layer returns for some images.",
    figures=_figures,
    default=True,
    of_layers=True,
    costs=Costs(figures=1.4),
).register()
