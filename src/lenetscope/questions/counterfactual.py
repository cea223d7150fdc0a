"""Counterfactuals: the smallest strokes, added or erased, that change the prediction to a given class.

What would have to be different for another answer is an explanation that needs no look inside
(S. Wachter et al., arXiv:1711.00399, 2017). Single pixels may change a prediction and mean nothing to
a person, so only strokes may change here, as wide as the pen of the drawing, after T. Vermeire and
D. Martens, who remove segments of an image until its class changes (SEDC-T, arXiv:2004.07511, 2020),
and Z. Qu et al., for whom a sketch is made of strokes (SketchXAI, arXiv:2304.11744, 2023).

The search is that of `lenetscope.evaluation.stroke_search`.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lenetscope.errors import UsageError
from lenetscope.evaluation.outputs import Target, chosen_classes, model_outputs, require_logits
from lenetscope.evaluation.stroke_search import ADDED, WIDTH, StrokeSearch, stroke_lines
from lenetscope.observe import require_images
from lenetscope.plots import html, style, tiles
from lenetscope.progress import Progress, no_progress
from lenetscope.questions import Costs, Part, Question
from lenetscope.questions.attribution import HEIGHT
from lenetscope.restore import device_of, restored
from lenetscope.table import ShowsRows, Table, column, percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lenetscope.inspection import Inspection
    from lenetscope.selection import Selection

PAGE_IMAGES, PAGE_BUDGET = 6, 1500
"""Images in the report, and those that the network may be given for each of them."""


@dataclass(frozen=True)
class Stroke:
    """One stroke.

    Attributes:
        points: (x, y) along its middle, in pixels; the centre of the first pixel is (0, 0).
        width: in pixels; its edge is one pixel soft.
        added: whether it adds ink, or erases it.
        ink: what it changes, in pixels of full ink.
    """

    points: tuple[tuple[float, float], ...]
    width: float
    added: bool
    ink: float


@dataclass(frozen=True)
class Counterfactual:
    """A change of one image.

    Attributes:
        strokes: in the order in which they are drawn; none if the image is of that class already.
        images: (S+1, C, H, W), the image, and after each stroke.
        probabilities: (S+1, K) of them.
        target: the class that was asked for.
        ink: of the image, in pixels of full ink.
        tried: images that were given to the network.
    """

    strokes: tuple[Stroke, ...]
    images: Tensor
    probabilities: Tensor
    target: int
    ink: float
    tried: int

    @property
    def found(self) -> bool:
        """Whether the prediction becomes the target; if not, these strokes came nearest."""
        return int(self.probabilities[-1].argmax()) == self.target

    def change(self, added: bool | None = None) -> float:
        """Return the ink added, or erased, or both, in pixels of full ink."""
        return sum(stroke.ink for stroke in self.strokes if added in (None, stroke.added))


@dataclass(frozen=True)
class CounterfactualRow:
    """One image: its class, the target, and what was changed."""

    image: int = column()
    predicted: int = column()
    target: int = column()
    found: bool = column()
    strokes: int = column()
    added: float = column(".1f", "ink added")
    erased: float = column(".1f", "ink erased")
    relative: float = column(".1%", "change by ink")
    probability: float = column(".1p", "probability after")


@dataclass(frozen=True)
class Counterfactuals(ShowsRows):
    """Changes of several images, one each.

    Attributes:
        of_images: in the order of the images.
    """

    of_images: tuple[Counterfactual, ...]

    @property
    def rows(self) -> Table[CounterfactualRow]:
        """One row per image."""
        return Table(
            CounterfactualRow(
                number,
                int(each.probabilities[0].argmax()),
                each.target,
                each.found,
                len(each.strokes),
                each.change(added=True),
                each.change(added=False),
                each.change() / each.ink,
                float(each.probabilities[-1, each.target]),
            )
            for number, each in enumerate(self.of_images)
        )


def counterfactuals(
    model: nn.Module,
    images: Tensor,
    target: Target = None,
    *,
    most: int = 6,
    budget: int = 8000,
    seconds: float = math.inf,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Counterfactuals:
    """Search the smallest strokes that change the prediction of each image.

    Paper is the median colour of an image's border, ink the colour that differs most from it.

    Args:
        model: of one input, that returns logits (N, K); it is as before when this returns or raises.
        images: (N, C, H, W) float, as the model takes them, on any device.
        target: see `chosen_classes`; None for the class with the second largest logit.
        most: strokes per image.
        budget: images that may be given to the network for each image.
        seconds: for each image; the answer depends on the machine if that ends the search.
        seed: of the small changes that are tried in the end.
        progress: is handed the images.

    Raises:
        DataError: if images or classes are not as described, or an image has a single colour.
        UsageError: if an option is out of range, or there are no logits.
    """
    require_images(model, images, 4)
    if most < 1 or budget < 1 or not seconds > 0:
        raise UsageError("most and budget must be at least 1, and seconds more than 0.")
    logits = require_logits(model_outputs(model, images))  # (N, K)
    classes = chosen_classes(logits, logits.topk(2).indices[:, 1] if target is None else target)
    found = []
    with restored(model), torch.inference_mode(False), torch.enable_grad():
        model.eval()
        pairs = list(zip(images.detach(), classes.tolist(), strict=True))
        for image, asked in progress(pairs):
            given = image.to(device_of(model)).clone()
            found.append(_answer(StrokeSearch(model, given, asked, budget, seconds, seed), most))
    return Counterfactuals(tuple(found))


def _answer(search: StrokeSearch, most: int) -> Counterfactual:
    change = search.run(most)
    steps = search.steps(change)  # (S+1, C, H, W)
    with torch.no_grad():
        probabilities = require_logits(search.model(steps)).float().softmax(dim=1)
    lines, rows, ink = (x.tolist() for x in (stroke_lines(change.strokes), change.strokes, change.ink))
    strokes = tuple(
        Stroke(tuple((x, y) for x, y in line), row[WIDTH], bool(row[ADDED]), changed)
        for line, row, changed in zip(lines, rows, ink, strict=True)
    )
    total = float(search.ink.sum())
    return Counterfactual(strokes, steps.cpu(), probabilities.cpu(), search.target, total, search.tried)


def plot_counterfactuals(
    found: Counterfactuals, classes: Sequence[str], **figure_options: Any
) -> "Figure":
    """Draw images, below each the strokes that change its prediction, and the changed image.

    Args:
        found: the answer of `counterfactuals`.
        classes: K names.
        figure_options: go to `matplotlib.figure.Figure`.
    """
    columns = len(found.of_images)
    size = min(style.MAX_SIDE, 1.2 * columns + 0.8), 4.3
    with style.new_figure(figure_options, size) as figure:
        axes = figure.subplots(3, columns, squeeze=False)
        for column_of_axes, each in zip(axes.T, found.of_images, strict=True):
            for ax, image in zip(column_of_axes, each.images[[0, 0, -1]].numpy(), strict=True):
                tiles.image(ax, image)
                tiles.bare(ax)
            per_pixel = size[0] * 72 * 0.8 / columns / each.images.shape[-1]  # points
            for stroke in each.strokes:
                colour = style.TRAIN if stroke.added else style.VALID
                x, y = zip(*stroke.points, strict=True)
                width = stroke.width * per_pixel
                column_of_axes[1].plot(x, y, color=colour, linewidth=width, solid_capstyle="round")
            for ax, chances in zip(column_of_axes[::2], each.probabilities[[0, -1]], strict=True):
                best = int(chances.argmax())
                chance = percent(float(chances[best]), 0, certain=False)
                ax.set_title(f"{classes[best]} ({chance})", fontsize=9)
            if not each.found:
                column_of_axes[2].set_xlabel(f"no {classes[each.target]} found", fontsize=9)
        for ax, text in zip(axes[:, 0], ("image", "strokes", "changed"), strict=True):
            ax.set_ylabel(text, rotation=0, ha="right", va="center")
        for text, colour in (("added", style.TRAIN), ("erased", style.VALID)):
            axes[1, 0].plot([], [], color=colour, linewidth=5, label=text)
        handles, names = axes[1, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=2)
    return figure


def as_pixels(inspection: "Inspection", images: Tensor) -> Tensor:
    """Return images (N, C, H, W), as the network takes them, as uint8 pixels."""
    ends = torch.tensor([0, 255], dtype=torch.uint8)[:, None, None, None]
    low, high = inspection.prepared(ends.expand(-1, *images.shape[1:]))
    pixels: Tensor = (255 * (images - low) / (high - low)).round().clamp(0, 255)
    return pixels.to(torch.uint8)


def _figures(inspection: "Inspection", selection: "Selection") -> "Iterator[tuple[str, Figure]]":
    images = inspection.prepared(selection.pixels)
    found = counterfactuals(inspection.model, images, progress=inspection.progress)
    yield "counterfactual", plot_counterfactuals(found, inspection.classes)


def _part(inspection: "Inspection") -> Part:
    images, names = inspection.images[inspection.examples[:PAGE_IMAGES]], inspection.classes
    found = counterfactuals(
        inspection.model, images, budget=PAGE_BUDGET, progress=inspection.progress
    ).of_images
    cards = []
    for each in found:
        first, last = (as_pixels(inspection, each.images[[k]])[0] for k in (0, -1))
        before, after = (names[int(each.probabilities[k].argmax())] for k in (0, -1))
        drawn = [html.picture(p, f"predicted {n}", HEIGHT) for p, n in ((first, before), (last, after))]
        cards.append((each, before, names[each.target], drawn))
    return Part.of(
        """
<p class="say">The smallest strokes, as wide as the pen, that were found to turn the prediction into the
second most likely class: each image, and the same image changed, with the change in percent of the
image's ink. The less it takes, the closer the image lies to the boundary between the two classes.</p>
<ul class="strip">{% for each, before, target, drawn in cards %}
<li><div class="pair">{{ drawn[0] }}{{ drawn[1] }}</div><p class="fine">{% if each.found %}
{{ before }} to {{ target }}:
{{ (each.change(True) / each.ink) | percent(0) }} added,
{{ (each.change(False) / each.ink) | percent(0) }} erased
{% else %}{{ before }}: no way to {{ target }} found in {{ each.tried | number }} trials
{% endif %}</p></li>
{% endfor %}</ul>
""",
        cards=cards,
    )


Question(
    "counterfactual",
    summary="Which smallest strokes, added or erased, would change the prediction.",
    figures=_figures,
    part=_part,
    heading="Counterfactuals: what would change the prediction",
    place=30,
    costs=Costs(0.8, 0.8, 3),
).register()
