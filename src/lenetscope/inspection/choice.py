"""What a question is asked about: which images, which layers.

In: a `Study`, picture files, names of layers. Out: images as the network takes them, with labels where
they are known.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from lenetscope import insight
from lenetscope.inspection.study import Study
from lenetscope.reading import decode, fit_to

SAMPLES = 4
"""How many test images are drawn where no picture is given."""


@dataclass(frozen=True)
class Choice:
    """Images and layers to look at.

    Attributes:
        pixels: (M, C, H, W) uint8.
        labels: M names of their true classes, None where they are not known.
        layers: names, or None for what suits a question.
    """

    pixels: Tensor
    labels: list[str] | None
    layers: list[str] | None

    @classmethod
    def of(
        cls, study: Study, pictures: Sequence[Path] = (), layers: Sequence[str] | None = None
    ) -> Self:
        """Read picture files, or take the first test images; find layers.

        Args:
            study: of the run.
            pictures: files; they are made grey if need be and resized, no more.
            layers: names or patterns.

        Raises:
            ImageError: if a picture cannot be read.
            LayerError: if the network has no such layer.
        """
        found = list(insight.find_layers(study.model, layers)) if layers else None
        if not pictures:
            labels = [study.classes[k] for k in study.labels[:SAMPLES].tolist()]
            return cls(study.pixels[:SAMPLES], labels, found)
        channels, height, width = study.image_shape
        pixels = torch.stack([fit_to(decode(p, channels), (height, width)) for p in pictures])
        return cls(pixels, None, found)
