"""What the network looks at: filters, feature maps, pixels that count, images that excite.

In: a `Study`. Out: figures as SVG, and small pictures, for the page.
"""

from dataclasses import dataclass

import torch
from markupsafe import Markup

from lenetscope import insight, plots
from lenetscope.insight.ablation import ablate
from lenetscope.insight.activations import ActivationRow, activations
from lenetscope.insight.attribution import attribute
from lenetscope.insight.embedding import embed
from lenetscope.insight.excitation import most_exciting
from lenetscope.insight.filters import filters_of
from lenetscope.insight.preference import preferred_images
from lenetscope.inspection import Study
from lenetscope.plots import svg
from lenetscope.report import pictures
from lenetscope.report.shown import examples
from lenetscope.tables import Table
from lenetscope.tracking import Track, untracked

MOST_LAYERS = 4
"""Convolutions whose filters are drawn, the first ones."""
MOST_UNITS = 128
"""Units that are switched off one by one: each costs a pass."""
UNITS, PATCHES = 12, 6
"""Units of the last convolution whose favourite images are shown, and how many of them."""
EXCITED_BY = 2000
"""Test images among which they are looked for, the first ones."""
EMBEDDED = 1000
"""Test images that are laid out in a plane."""
MEASURED_ON = 1000
"""Test images on which the state of the layers is measured, the first ones."""


@dataclass(frozen=True)
class Drawn:
    """A figure and what it shows, in words."""

    name: str
    figure: Markup
    caption: str


def filters(study: Study) -> list[Drawn]:
    """Draw the filters of each convolution, of a large one those that fit on one page."""
    drawn = []
    for number, name in enumerate(study.convolutions[:MOST_LAYERS]):
        weights = filters_of(study.model, name)
        groups = getattr(insight.find_layers(study.model, name)[name], "groups", 1)
        count, channels = weights.shape[:2]
        figure = plots.filters(weights, name, groups=groups)
        caption = (
            "a tile is one filter"
            if channels == 1
            else (f"a row is one filter, a column one of the {channels} maps that it looks at")
        )
        pages = plots.filter_pages(weights)
        rest = "; the other pages are drawn by lenetscope inspect --what filters" if pages > 1 else ""
        title = f"the {count} filters of layer {name}"
        drawn.append(
            Drawn(
                name,
                Markup(svg.inline(figure, f"filters-{number}", title)),
                f"{name}: {caption}{rest}.",
            )
        )
    return drawn


@dataclass(frozen=True)
class Attributed:
    """One image and the pixels that speak for and against its class."""

    picture: Markup
    map: Markup
    name: str


def attributions(study: Study) -> list[Attributed]:
    """Show for an example of each class which pixels speak for the answer."""
    rows = examples(study)
    found = attribute(study.model, study.images[rows], method="integrated-gradients")
    bound = float(found.values.abs().max())
    shown = []
    for place, row in enumerate(rows):
        name = study.classes[int(found.target[place])]
        values = found.values[place].numpy()
        shown.append(
            Attributed(
                pictures.image(study.pixels[row], f"test image {row}, taken for {name}", 72),
                pictures.element(
                    pictures.coloured(values, signed=True, bound=bound),
                    f"pixels that speak for {name} in red, against it in blue",
                    72,
                ),
                name,
            )
        )
    return shown


@dataclass(frozen=True)
class Wanted:
    """The picture that a class would like best, and how strongly it answers to it."""

    picture: Markup
    name: str
    reached: float
    real: float


def wanted(study: Study, track: Track = untracked) -> list[Wanted]:
    """Make the picture that excites each class most."""
    units = list(range(min(len(study.classes), 12)))
    found = preferred_images(study.model, units=units, images=study.images[:EXCITED_BY], track=track)
    assert found.real is not None
    shades = (255 * found.shades).round().clamp(0, 255).to(torch.uint8)
    return [
        Wanted(
            pictures.image(shades[k], f"picture that excites the class {study.classes[unit]} most", 84),
            study.classes[unit],
            float(found.reached[k]),
            float(found.real[k]),
        )
        for k, unit in enumerate(units)
    ]


@dataclass(frozen=True)
class Favourites:
    """What excites the units of one layer most."""

    layer: str
    units: list[tuple[int, list[Markup]]]
    of: int


def favourites(study: Study, track: Track = untracked) -> Favourites | None:
    """Cut out what excites the units of the last convolution most; None if there is none."""
    if not study.convolutions:
        return None
    layer = study.convolutions[-1]
    found = most_exciting(study.model, study.images[:EXCITED_BY], layer, k=PATCHES, track=track)
    patches = found.patches(study.pixels[:EXCITED_BY])  # (units, k, C, h, w)
    pixels = patches.nan_to_num(0).to(torch.uint8)
    strongest = found.values[:, 0].argsort(descending=True, stable=True)[:UNITS].sort().values
    units = [
        (
            unit,
            [
                pictures.image(patch, f"part of test image {int(number)}", 40)
                for patch, number in zip(pixels[unit], found.images[unit], strict=True)
            ],
        )
        for unit in strongest.tolist()
    ]
    return Favourites(layer, units, len(pixels))


def health(study: Study, track: Track = untracked) -> Table[ActivationRow]:
    """Describe what each layer puts out for the first test images."""
    return activations(study.model, study.images[:MEASURED_ON], track=track)


def embedding(study: Study, track: Track = untracked) -> Drawn:
    """Draw how the features by which the last layer decides lie to each other (t-SNE)."""
    found = embed(
        study.model, study.images, study.penultimate, method="tsne", subset=EMBEDDED, track=track
    )
    rows = torch.from_numpy(found.images)
    figure = plots.embedding(
        found.points,
        study.labels[rows].numpy(),
        study.classes,
        predicted=study.predicted[rows].numpy(),
        title="",
    )
    title = f"{len(rows):,} test images as points, near where the network finds them alike"
    return Drawn(found.layer, Markup(svg.inline(figure, "embedding", title)), title)


def missed(study: Study, track: Track = untracked) -> Drawn | None:
    """Draw which units of the last convolution are missed most; None if there is none, or too many."""
    if not study.convolutions:
        return None
    layer = study.convolutions[-1]
    if filters_of(study.model, layer).shape[0] > MOST_UNITS or len(study.classes) > 12:
        return None
    some = slice(0, MEASURED_ON)
    found = ablate(study.model, study.images[some], study.labels[some], layer, track=track)
    figure = plots.ablation(
        found.errors[layer].numpy(),
        found.baseline.numpy(),
        found.totals.numpy(),
        study.classes,
        layer,
    )
    title = f"errors added when a unit of {layer} is switched off, by unit and by class"
    return Drawn(layer, Markup(svg.inline(figure, "ablation", title)), title)
