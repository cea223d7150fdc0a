"""Where each layer's output lies in one block of memory: outputs that are not needed together share it.

The largest is placed first, each as low as it fits, as TensorFlow Lite Micro's greedy planner does it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lenetscope.export.c.integers import Layer


@dataclass(frozen=True)
class Plan:
    """Memory of a network's activations.

    Attributes:
        offsets: of each layer's output, in bytes, but for the last layer, whose scores lie elsewhere.
        size: of the block.
    """

    offsets: tuple[int, ...]
    size: int


def plan(layers: Sequence[Layer]) -> Plan:
    """Place the outputs of all layers but the last.

    Args:
        layers: in the order in which they run.
    """
    last_use = {place: step for step, layer in enumerate(layers) for place in layer.inputs}
    sizes = [math.prod(layer.shape) for layer in layers[:-1]]
    offsets: dict[int, int] = {}
    for each in sorted(range(len(sizes)), key=lambda place: -sizes[place]):
        together = [o for o in offsets if o <= last_use[each] and each <= last_use[o]]
        taken = sorted((offsets[o], offsets[o] + sizes[o]) for o in together)
        offset = 0
        for start, end in taken:
            if start - offset >= sizes[each]:
                break
            offset = max(offset, end)
        offsets[each] = offset
    ends = [offsets[place] + size for place, size in enumerate(sizes)]
    return Plan(tuple(offsets[place] for place in range(len(sizes))), max(ends))
