"""The pictures of a run: curves, confusion matrix, filters, and what layers put out.

In: an `Architecture` from a run, pictures or test images. Out: PNG files.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from lenetscope import insight, plots
from lenetscope.architecture import Architecture
from lenetscope.insight import LayerRow
from lenetscope.reading import decode, fit_to
from lenetscope.runs import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SAMPLES = 4
"""How many test images are drawn where no picture is given."""


def layer_table(arch: Architecture) -> list[LayerRow]:
    """Return the layers in the order in which they run, with shapes and parameters."""
    assert arch.image_shape is not None
    return insight.summarize(arch.model, arch.image_shape)


def draw(
    arch: Architecture,
    run: Run,
    *,
    images: Sequence[Path] | None = None,
    layers: Sequence[str] | None = None,
    out: Path | None = None,
    data_dir: Path | None = None,
) -> list[Path]:
    """Draw curves, confusion matrix, filters and feature maps as PNG files.

    Args:
        arch: the run's network.
        run: its folder.
        images: picture files; by default the first test images.
        layers: names; by default every convolution for filters, and for outputs every layer that
            learns or changes the size.
        out: folder; by default ``figures`` in the run's folder.
        data_dir: where data lies, for the test images.

    Returns:
        The files written.

    Raises:
        LayerError: if a layer is unknown.
        ImageError: if a picture cannot be read.
        StorageError: if a file cannot be written.
    """
    folder = out or run.figures
    known = insight.find_layers(arch.model, layers or [row.name for row in layer_table(arch)])
    figures: dict[str, Figure] = {}
    if not layers:
        figures |= _figures_of_training(run)
    for name, module in known.items():
        if isinstance(module, nn.Conv2d):
            figures[f"filters-{name}"] = arch.visualize_filters(name)
    shown = list(known) if layers else _telling(arch)
    figures["outputs"] = _outputs(arch, run, shown, images, data_dir)
    return [plots.save(figure, folder / f"{name}.png") for name, figure in figures.items()]


def _figures_of_training(run: Run) -> "dict[str, Figure]":
    figures = {}
    if history := run.history():
        figures["curves"] = plots.curves(history)
    if scores := run.scores():
        figures["confusion"] = plots.confusion(np.array(scores["confusion"]), scores["classes"])
    return figures


def _outputs(
    arch: Architecture,
    run: Run,
    layers: list[str],
    images: Sequence[Path] | None,
    data_dir: Path | None,
) -> "Figure":
    """Draw the pictures, and what each layer puts out for them, in the order given."""
    assert arch.classes is not None
    if images:
        assert arch.image_shape is not None
        channels, *size = arch.image_shape
        pixels = torch.stack([fit_to(decode(path, channels), (size[0], size[1])) for path in images])
        labels = None
    else:
        test = arch.load_data(data_dir or run.data_dir()).test
        pixels = test.images[:SAMPLES]
        labels = [arch.classes[k] for k in test.labels[:SAMPLES].tolist()]
    with insight.Capture(arch.model, layers) as seen:
        predicted = [arch.classes[k] for k in arch.predict(pixels).argmax(axis=1)]
    values = {name: insight.recorded({name: seen.outputs(name)}, name) for name in layers}
    return plots.outputs({"image": pixels.numpy()} | values, labels, predicted)


def _telling(arch: Architecture) -> list[str]:
    """Return the layers that learn or change the size: not those that work number by number."""
    rows = layer_table(arch)
    before = [0, *(math.prod(row.shape) for row in rows)]
    return [
        row.name
        for row, size in zip(rows, before, strict=False)
        if row.parameters or math.prod(row.shape) != size
    ]
