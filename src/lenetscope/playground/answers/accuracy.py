"""How accurate a network is after filters were changed by hand, on a sample of validation images."""

import copy
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from lenetscope.errors import LayerError, UsageError
from lenetscope.evaluation.outputs import model_outputs, predicted_classes
from lenetscope.observe import find_layer
from lenetscope.playground.answers import RUN, Answer
from lenetscope.playground.lab import Lab, Opened
from lenetscope.schema import list_of, number, record, refuse, text, whole

IMAGES = 1000
"""Validation images that are counted, evenly spaced over all: some tenths of a second on a core."""
MOST_EDITS = 5000
LARGEST = 1e6
"""The most that a weight, or a factor, may be: with more, sums overflow float32."""

_EDIT = record(
    {"layer": text, "filter": whole()},
    {
        "scale": number(-LARGEST, LARGEST),
        "channel": whole(),
        "kernel": list_of(number(-LARGEST, LARGEST)),
    },
)


def edits(value: Any, where: str) -> list[dict[str, Any]]:
    """Check changes of filters, each with a ``scale``, or with a ``channel`` and its ``kernel``."""
    if isinstance(value, list) and len(value) > MOST_EDITS:
        refuse(where, f"a list of at most {MOST_EDITS:,} changes", value)
    found: list[dict[str, Any]] = list_of(_EDIT)(value, where)
    for place, edit in enumerate(found):
        if set(edit) - {"layer", "filter"} not in ({"scale"}, {"channel", "kernel"}):
            refuse(f"{where}[{place}]", "either a scale, or a channel and a kernel", edit)
    return found


def apply_edits(model: nn.Module, changes: list[dict[str, Any]]) -> None:
    """Change the weights of a model, in place, one change after another.

    >>> model = nn.Sequential(nn.Conv2d(1, 2, 1))
    >>> apply_edits(model, [{"layer": "0", "filter": 1, "channel": 0, "kernel": [3.0]}])
    >>> apply_edits(model, [{"layer": "0", "filter": 1, "scale": -0.5}])
    >>> model[0].weight[1].item()
    -1.5

    Args:
        model: whose convolutions are changed; a unit of a linear layer counts as a filter.
        changes: see `edits`. A scale is that of the filter's output: weights and bias are multiplied.

    Raises:
        LayerError: if there is no such layer, or its weights are not plain parameters.
        UsageError: if it has no such filter or channel, or a kernel is of another size.
    """
    for change in changes:
        name, layer = find_layer(model, change["layer"])
        if type(layer) not in (nn.Conv2d, nn.Linear) or "weight" not in layer._parameters:
            raise LayerError(
                f"'{name}' is neither a plain Conv2d nor a plain Linear: what a change of its weights "
                "does to the accuracy is not known."
            )
        assert isinstance(layer, (nn.Conv2d, nn.Linear))
        _apply(layer, name, change)


def _apply(layer: nn.Conv2d | nn.Linear, name: str, change: dict[str, Any]) -> None:
    filter = _within(f"filter of {name}", change["filter"], len(layer.weight))
    with torch.no_grad():
        weight = layer.weight[filter]  # (C, h, w), or (inputs,) of a unit
        if "scale" in change:
            weight *= change["scale"]
            if layer.bias is not None:
                layer.bias[filter] *= change["scale"]
            return
        if isinstance(layer, nn.Linear):
            raise UsageError(f"'{name}' is a linear layer: its units have no kernels, only a scale.")
        kernel = weight[_within(f"channel of {name}", change["channel"], len(weight))]  # (h, w)
        numbers = torch.tensor(change["kernel"], dtype=kernel.dtype)
        if len(numbers) != kernel.numel():
            size = "x".join(map(str, kernel.shape))
            raise UsageError(f"a kernel of {name} has {size} numbers, not {len(numbers):,}.")
        kernel.copy_(numbers.reshape(kernel.shape))


def _within(what: str, value: int, count: int) -> int:
    if value >= count:
        raise UsageError(f"there is no {what} with number {value:,}; the last is {count - 1}.")
    return value


def accuracy(lab: Lab, asked: dict[str, Any]) -> dict[str, Any]:
    """Count what a network, and the same network edited, classify correctly."""
    opened, epoch = lab.run(asked.get("run")), asked.get("epoch")
    edited = copy.deepcopy(opened.model(epoch))
    apply_edits(edited, asked.get("edits", []))
    chosen = _sample(opened)
    labels = opened.inspection.splits.valid.labels[chosen]
    before = _predicted_before(opened, epoch)
    after = _predicted(opened, edited) if asked.get("edits") else before
    return {
        "images": len(chosen),
        "before": int((before == labels).sum()),
        "after": int((after == labels).sum()),
        "changed": int((after != before).sum()),
    }


def _sample(opened: Opened) -> Tensor:
    """Return the numbers of the images, evenly spaced: the first may be easier than the others."""
    total = len(opened.inspection.splits.valid.labels)
    return torch.linspace(0, total - 1, min(IMAGES, total), dtype=torch.float64).round().long()


def _predicted(opened: Opened, model: nn.Module) -> Tensor:
    """Return the predicted class of each image of the sample, (n,)."""
    inspection, chosen = opened.inspection, _sample(opened)
    images = inspection.prepared(inspection.splits.valid.images[chosen])
    labels = inspection.splits.valid.labels[chosen]
    found = predicted_classes(model_outputs(model, images), labels, inspection.arch.loss_fn)
    assert found is not None
    return found[0]


@lru_cache(16)
def _predicted_before(opened: Opened, epoch: int | None) -> Tensor:
    return _predicted(opened, opened.model(epoch))


Answer(
    name="accuracy",
    summary="what a network classifies correctly, before and after filters were changed",
    fields={**RUN, "edits": edits},
    compute=accuracy,
).register()
