"""Whether a network responds to an image as it does to images of its classes; the page refuses others.

The outputs of two layers are one vector. The training images of each class give a mean and some
principal directions of such vectors, and what these leave of another image's vector is its distance
from the class (S. Wold, "Pattern recognition by means of disjoint principal components models",
Pattern Recognition 8(3), 1976). An image that is farther from every class than nearly all validation
images is refused. Probabilities and energies tell less: docs/report.md has the figures.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, normalize

from lenetscope.data.dataset import LabelledImages
from lenetscope.data.sources import DATASETS
from lenetscope.errors import LayerError
from lenetscope.inspection import Inspection
from lenetscope.observe import BATCH_SIZE, Call, layer_outputs
from lenetscope.plots.html import base64_of
from lenetscope.report.network import Graph

REFUSED = 0.02
"""Fraction of the validation images that may be refused."""
IMAGES = 5_000
"""Training and validation images that are looked at, at most; with 10,000 little changes."""
SIDE, LONGEST = 3, 1024
"""Maps are reduced to this many rows and columns, or to fewer, so that they give no more values."""
DIRECTIONS, MOST_VALUES = 16, 200_000
"""Principal directions of a class, or fewer, so that the page holds no more values, each of a byte."""


@dataclass(frozen=True)
class Subspaces:
    """What the vectors of each class have in common.

    Attributes:
        rows: (K, R + 1, D) int8, the mean of each class and its principal directions.
        scales: (K, R + 1) float32, by which these are multiplied.
    """

    rows: Tensor
    scales: Tensor

    @classmethod
    def of(cls, vectors: Tensor, labels: Tensor) -> Self:
        """Learn from vectors (N, D) of the classes that occur among their labels (N,)."""
        found = torch.tensor(sorted(set(labels.tolist())))
        length = vectors.shape[1]
        most = min(DIRECTIONS, length // 4, MOST_VALUES // (len(found) * length) - 1)
        rows = torch.stack([_principal(vectors[labels == k], max(0, most)) for k in found])
        scales = rows.abs().amax(2).clamp_min(1e-12) / 127
        return cls((rows / scales[:, :, None]).round().to(torch.int8), scales)

    def distances(self, vectors: Tensor) -> Tensor:
        """Return the squared distance of vectors (N, D) from their nearest class, (N,)."""
        found = []
        for rows in self.rows * self.scales[:, :, None]:
            rest = vectors - rows[0]  # (N, D)
            found.append(rest.square().sum(1) - (rest @ rows[1:].T).square().sum(1))
        return torch.stack(found).amin(0)


def _principal(vectors: Tensor, most: int) -> Tensor:
    """Return the mean of vectors (N, D) and their principal directions, (most + 1, D).

    Directions that so few vectors cannot tell are zero.
    """
    mean = vectors.mean(0)
    rest = (vectors - mean).double()
    found = torch.linalg.eigh(rest.T @ rest).eigenvectors.T  # (D, D), by rising variance
    count = min(most, len(vectors) // 4)
    rows = torch.zeros(most + 1, len(mean))
    rows[0], rows[1 : count + 1] = mean, found[len(mean) - count :]
    return rows


@dataclass(frozen=True)
class Layers:
    """The layers of a network whose outputs are compared.

    Attributes:
        model: the network.
        prepared: from uint8 images to what it takes.
        keys: of the layers, see `Call`.
        side: rows and columns to which maps are reduced.
    """

    model: nn.Module
    prepared: Callable[[Tensor], Tensor]
    keys: list[str]
    side: int

    def vectors(self, pixels: Tensor) -> Tensor:
        """Return the vectors (N, D) of uint8 images, in which each layer's part has length 1."""
        seen: dict[str, Tensor] = {}

        def see(call: Call) -> None:
            values = call.tensor
            if call.key in self.keys:
                small = adaptive_avg_pool2d(values, self.side) if values.ndim == 4 else values
                seen[call.key] = normalize(small.flatten(1).float(), dim=1).cpu()

        layer_outputs(self.model, self.prepared(pixels), self.keys, see)
        return torch.cat([seen[key] for key in self.keys], dim=1)

    def evenly(self, data: LabelledImages) -> tuple[Tensor, Tensor]:
        """Return vectors (N, D) and labels (N,) of images that lie evenly among those given."""
        total = len(data.labels)
        index = torch.linspace(0, total - 1, min(total, IMAGES)).long()
        parts = [self.vectors(data.images[rows]) for rows in torch.split(index, BATCH_SIZE)]
        return torch.cat(parts), data.labels[index]


@dataclass(frozen=True)
class Familiar:
    """What tells familiar images from others.

    Attributes:
        places: of the layers that are compared among the steps of the network: of the last that returns
            maps, and of the last hidden linear layer, or, where there is none, of the last layer.
        side: rows and columns to which maps are reduced.
        classes: what is common to each class.
        threshold: squared distance above which an image is refused.
        refused: fraction of the validation images that is.
        images: number of these.
        digits: whether every class is a digit, for the words of the page.
    """

    places: tuple[int, ...]
    side: int
    classes: Subspaces
    threshold: float
    refused: float
    images: int
    digits: bool

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; the classes as base64."""
        rows, scales = self.classes.rows.numpy(), self.classes.scales.numpy().astype("<f4")
        classes = {"shape": rows.shape, "rows": base64_of(rows), "scales": base64_of(scales)}
        return vars(self) | {"classes": classes}


def layers_of(inspection: Inspection, graph: Graph) -> tuple[Layers, tuple[int, ...]]:
    """Return the layers of a run that are compared, and their places among the steps of the network.

    Raises:
        LayerError: if no step is what a layer returns.
    """
    shapes = {i: layer["shape"] for i, layer in enumerate(graph.layers) if "layer" in layer}
    maps = [i for i, shape in shapes.items() if len(shape) == 3 and max(shape[1:]) > 1][-1:]
    vectors = [i for i, shape in shapes.items() if len(shape) == 1]
    linear = [i for i in vectors if graph.layers[i]["kind"] == "Linear"]
    places = tuple(maps + (linear[-2:-1] or vectors[-1:]))
    if not places:
        raise LayerError(
            "no layer of this model returns maps or a vector, by which images are compared."
        )
    channels = shapes[maps[0]][0] if maps else LONGEST
    side = max(1, min(SIDE, int((LONGEST / channels) ** 0.5)))
    model = copy.deepcopy(inspection.model).to(memory_format=torch.channels_last)  # 4 times as fast
    keys = [graph.layers[place]["layer"] for place in places]
    return Layers(model, inspection.prepared, keys, side), places


def fit(inspection: Inspection, graph: Graph) -> Familiar:
    """Learn from the training and validation images of a run what is familiar to its network.

    Args:
        inspection: of the run.
        graph: its network, see `network.describe`.
    """
    layers, places = layers_of(inspection, graph)
    classes = Subspaces.of(*layers.evenly(inspection.splits.train))
    distances = classes.distances(layers.evenly(inspection.splits.valid)[0])
    accepted = len(distances) - int(REFUSED * len(distances))
    threshold = float(distances.sort().values[accepted - 1])
    return Familiar(
        places,
        layers.side,
        classes,
        threshold,
        refused=float((distances > threshold).double().mean()),
        images=len(distances),
        digits=are_digits(inspection.run.recipe().data, inspection.classes),
    )


def are_digits(data: str, classes: Sequence[str]) -> bool:
    """Tell whether every class of data is a digit; names in own data may be mere numbers."""
    return data in DATASETS.names() and all(name in tuple("0123456789") for name in classes)
