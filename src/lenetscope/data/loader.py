"""Batches of images that are in memory.

A `BatchLoader` iterates like a `torch.utils.data.DataLoader`, but preprocesses a batch as a whole, with
no work per image and no worker processes. An ordinary DataLoader can be used in its place anywhere.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from lenetscope.data.dataset import LabelledImages


class BatchLoader:
    """Iterate over ``data`` in batches; the last may be smaller.

    Args:
        data: images (N, C, H, W) uint8 and labels (N,) int64.
        batch_size: images per batch, at least 1.
        transform: turns a batch of images into the network's input.
        augment: changes a batch of images and labels first.
        generator: if given, it determines a new random order for each pass; else the order is fixed.
    """

    def __init__(
        self,
        data: LabelledImages,
        batch_size: int,
        transform: Callable[[Tensor], Tensor],
        generator: torch.Generator | None = None,
        augment: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None,
    ) -> None:
        self.data, self.batch_size = data, batch_size
        self.transform, self.generator, self.augment = transform, generator, augment

    def __len__(self) -> int:
        return -(-len(self.data.labels) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        images, labels = self.data
        if self.generator is None:
            for start in range(0, len(labels), self.batch_size):
                part = slice(start, start + self.batch_size)
                yield self.transform(images[part]), labels[part]
            return
        order = torch.randperm(len(labels), generator=self.generator)
        for index in torch.split(order, self.batch_size):
            # several times as fast as images[index]
            batch = images.index_select(0, index), labels.index_select(0, index)
            inputs, targets = self.augment(*batch) if self.augment else batch
            yield self.transform(inputs), targets
