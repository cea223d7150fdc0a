"""Questions about layers: what they look for, what they put out, what they are good for.

In: a `Study` and a `Choice`. Out: figures.
"""

from torch import nn

from lenetscope import insight, plots
from lenetscope.errors import LayerError, listed
from lenetscope.inspection.choice import Choice
from lenetscope.inspection.questions import QUESTIONS, Answer, paged
from lenetscope.inspection.study import Study

UNITS = 32
"""Units of a layer whose preferred pictures are drawn, the first ones."""


@QUESTIONS.register("filters")
def filters(study: Study, choice: Choice) -> Answer:
    """What each convolution looks for: its weights."""
    for name, layer in _convolutions(study, choice).items():
        weights = insight.filters_of(study.model, name)
        groups = getattr(layer, "groups", 1)
        for page in range(plots.filter_pages(weights)):
            figure = plots.filters(weights, name, page=page, groups=groups)
            yield paged(f"filters-{name}", page), figure


@QUESTIONS.register("maps")
def maps(study: Study, choice: Choice) -> Answer:
    """What each layer puts out for an image."""
    layers = choice.layers or insight.telling_layers(study.layers)
    with insight.capture(study.model, layers) as seen:
        logits = study.arch.predict(choice.pixels)
    values = {name: seen[name].numpy() for name in layers}
    predicted = [study.classes[k] for k in logits.argmax(axis=1)]
    yield "outputs", plots.outputs({"image": choice.pixels.numpy()} | values, choice.labels, predicted)


@QUESTIONS.register("activations")
def activations(study: Study, choice: Choice) -> Answer:
    """How large the outputs of each layer are, how many are zero, how many saturated."""
    images = study.images if choice.labels else study.prepared(choice.pixels)
    rows = insight.activations(study.model, images, choice.layers, track=study.track)
    yield "activations", plots.activations(rows.as_dicts())


@QUESTIONS.register("excitation")
def excitation(study: Study, choice: Choice) -> Answer:
    """Which test images, and which parts of them, excite each filter most."""
    names = [study.classes[k] for k in study.labels.tolist()]
    for name in _convolutions(study, choice):
        found = insight.most_exciting(study.model, study.images, name, track=study.track)
        for page in range(plots.excitation_pages(len(found.values))):
            figure = plots.excitation(
                study.pixels.numpy(),
                found.values.numpy(),
                found.images.numpy(),
                found.boxes.numpy(),
                name,
                weights=insight.filters_of(study.model, name),
                labels=names,
                page=page,
            )
            yield paged(f"excitation-{name}", page), figure


@QUESTIONS.register("preference")
def preference(study: Study, choice: Choice) -> Answer:
    """Which picture each unit would like best, found by climbing."""
    layers = choice.layers or [*list(_convolutions(study, choice))[-1:], study.last_layer]
    widths = {row.name: row.shape[0] for row in study.layers}
    first = next(iter(widths))  # looks at so few pixels that a picture that moves would blur
    for name in layers:
        found = insight.preferred_images(
            study.model,
            name,
            range(min(UNITS, widths[name])),
            images=study.images,
            climb=insight.Climb(jitter=0 if name == first else 1),
            track=study.track,
        )
        units = [int(unit) for unit in found.units]
        last = name == study.last_layer and widths[name] == len(study.classes)
        figure = plots.preference(
            found.shades.numpy(),
            [study.classes[unit] for unit in units] if last else units,
            found.reached.numpy(),
            None if found.real is None else found.real.numpy(),
            layer=name,
        )
        yield f"preference-{name}", figure


@QUESTIONS.register("ablation")
def ablation(study: Study, choice: Choice) -> Answer:
    """What is lost when a filter is switched off, for each filter."""
    layers = choice.layers or list(_convolutions(study, choice))
    found = insight.ablate(study.model, study.images, study.labels, layers, track=study.track)
    for name, errors in found.errors.items():
        figure = plots.ablation(
            errors.numpy(), found.baseline.numpy(), found.totals.numpy(), study.classes, name
        )
        yield f"ablation-{name}", figure


def _convolutions(study: Study, choice: Choice) -> dict[str, nn.Module]:
    """Return the convolutions among the layers chosen; all of them if none were chosen.

    Raises:
        LayerError: if there are none.
    """
    modules = insight.find_layers(study.model, choice.layers or study.convolutions)
    found: dict[str, nn.Module] = {
        name: module for name, module in modules.items() if isinstance(module, nn.Conv2d)
    }
    if not found and choice.layers:
        where = f"; there are: {listed(study.convolutions)}" if study.convolutions else ""
        raise LayerError(f"none of {listed(choice.layers)} is a convolution{where}.")
    return found
