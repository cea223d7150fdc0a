"""An operation of a traced network: its name, what it is given, and the weights that it needs."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lenetscope.errors import LayerError

Settings = dict[str, Any]
"""What the page must know of a step, as plain values."""

IMAGES = 3
"""Images of the batch that is traced: more than one, so that what mixes images is seen."""


class UnsupportedError(LayerError):
    """What about an operation the page cannot run; it goes on after the layer's name."""


@dataclass(frozen=True)
class Place:
    """What depends on the image: the output of a step, or, for -1, the image."""

    number: int
    shape: tuple[int, ...]


@dataclass
class Weights:
    """All numbers that the page needs, one after another."""

    parts: list[npt.NDArray[np.float32]] = field(default_factory=list)
    count: int = 0

    def add(self, values: Tensor) -> int:
        """Append values and return the place at which they begin."""
        flat = values.detach().to("cpu", torch.float32).contiguous().numpy().reshape(-1)
        self.parts.append(flat)
        self.count += len(flat)
        return self.count - len(flat)


@dataclass(frozen=True)
class Traced:
    """An operation: ``given`` has its arguments by name, `Place` where they depend on the image."""

    name: str
    given: dict[str, Any]
    shape: tuple[int, ...]
    weights: Weights

    def place(self, name: str = "input") -> Place:
        """Return an argument that depends on the image."""
        value = self.given.get(name, self.given.get("self"))
        if not isinstance(value, Place):
            raise UnsupportedError(f"has {name} that do not depend on the image")
        return value

    def constant(self, name: str) -> Tensor | None:
        """Return an argument that does not depend on the image."""
        value = self.given.get(name)
        if isinstance(value, Place):
            raise UnsupportedError(f"has {name} that depend on the image")
        return value

    def pair(self, name: str) -> list[int]:
        """Return two sizes; one stands for both."""
        value = self.given[name]
        sizes = [int(v) for v in value] if isinstance(value, (tuple, list)) else [int(value)]
        return sizes * 2 if len(sizes) == 1 else sizes

    def stored(self, name: str) -> int | None:
        """Put an argument into the weights and return its place there."""
        value = self.constant(name)
        return None if value is None else self.weights.add(value)

    def dimension(self, value: int, shape: tuple[int, ...]) -> int:
        """Return a dimension, counted with that of the batch, as one of ``shape``."""
        place = value % (len(shape) + 1) - 1
        if place < 0:
            raise UnsupportedError("mixes the images of a batch")
        return place
