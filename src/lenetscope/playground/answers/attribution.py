"""Which pixels of a drawing raise and lower the logit of a class, and whether that can be believed."""

from typing import Any

from lenetscope.evaluation.outputs import model_outputs
from lenetscope.inspection import Inspection
from lenetscope.playground.answers import RUN, Answer, decoded
from lenetscope.playground.lab import Lab
from lenetscope.plots import html
from lenetscope.questions.attribution import (
    METHODS,
    PAGE_POINTS,
    Attribution,
    attribute,
    baseline_of,
    methods_for,
)
from lenetscope.questions.faithfulness import logit_drops
from lenetscope.schema import optional, whole

FRACTION = 0.1
"""Of the pixels, removed to see whether a map marks what matters."""
PLACES = 15
"""Patches along a side for occlusion, at most: it shall be there while one draws."""


def attribution(lab: Lab, asked: dict[str, Any]) -> dict[str, Any]:
    """Compute the maps of all methods for one image and one class, by default the predicted one."""
    opened = lab.run(asked.get("run"))
    pixels, model = opened.images(asked["pixels"]), opened.model(asked.get("epoch"))
    image = opened.inspection.prepared(pixels)  # (1, C, H, W)
    found = _maps(opened.inspection, model, image, asked.get("target"))
    maps = {each.method: each for each in found}
    drops = {
        name: drop.item() for name, drop in logit_drops(model, image, maps, fraction=FRACTION).items()
    }
    first = found[0]
    blank = model_outputs(model, baseline_of(image))[0, first.target].item()
    return {
        "target": first.target.item(),
        "logit": first.logit.item(),
        "blank": blank,
        "fraction": FRACTION,
        "ink": drops["ink"],
        "chance": drops["chance"],
        "methods": [
            {
                "name": each.method,
                "values": html.base64_of(each.values[0].numpy().astype("<f4")),
                "signed": each.signed,
                "layer": each.layer,
                "sum": None if each.completeness_gap is None else each.values.double().sum().item(),
                "gap": None if each.completeness_gap is None else each.completeness_gap.item(),
                "drop": drops[each.method],
            }
            for each in found
        ],
        "missing": [name for name in METHODS.names() if name not in maps],
    }


def _maps(inspection: Inspection, model: Any, image: Any, target: int | None) -> list[Attribution]:
    stride = max(1, -(-max(image.shape[2:]) // PLACES))
    window = min(max(3, stride), *image.shape[2:])
    return [
        attribute(
            model,
            image,
            target,
            method=method,
            layer=layer,
            steps=PAGE_POINTS,
            window=window,
            stride=min(stride, window),
        )
        for method, layer in methods_for(inspection).items()
    ]


Answer(
    name="attribution",
    summary="which pixels of a drawing raise and lower the logit of a class",
    fields=RUN | {"pixels": decoded, "target": optional(whole(0))},
    compute=attribution,
    required=("pixels",),
).register()
