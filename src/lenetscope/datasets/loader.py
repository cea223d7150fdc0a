"""Batches of images that lie in memory.

In: labelled uint8 images. Out: batches, preprocessed as a whole, in an order that a seeded generator
decides. It iterates like a `torch.utils.data.DataLoader`, with no worker processes and no work an
image; a DataLoader of one's own can stand wherever a `BatchLoader` does.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from lenetscope.datasets.raw import LabelledImages
from lenetscope.errors import UsageError


class BatchLoader:
    """Iterate over ``data`` in batches; the last may be smaller.

    Args:
        data: images (N, C, H, W) uint8 and labels (N,) int64.
        batch_size: images a batch, at least 1.
        transform: what makes network input of a batch of images.
        generator: if given, each pass is in a new random order that it draws; else in order.

    Raises:
        UsageError: if ``batch_size`` is below 1.
    """

    def __init__(
        self,
        data: LabelledImages,
        batch_size: int,
        transform: Callable[[Tensor], Tensor],
        generator: torch.Generator | None = None,
    ) -> None:
        if batch_size < 1:
            raise UsageError(f"'batch_size' must be at least 1, not {batch_size}.")
        self.data = data
        self.batch_size = batch_size
        self.transform = transform
        self.generator = generator

    def __len__(self) -> int:
        return -(-len(self.data.labels) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        images, labels = self.data
        total = len(labels)
        if self.generator is None:
            for start in range(0, total, self.batch_size):
                part = slice(start, start + self.batch_size)
                yield self.transform(images[part]), labels[part]
            return
        order = torch.randperm(total, generator=self.generator)
        for index in torch.split(order, self.batch_size):
            # several times as quick as images[index]
            yield self.transform(images.index_select(0, index)), labels.index_select(0, index)
