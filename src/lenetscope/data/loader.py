"""Batches of images that are in memory.

A `BatchLoader` iterates like a `torch.utils.data.DataLoader`, but preprocesses a batch as a whole, with
no work per image. An ordinary DataLoader can be used in its place anywhere.
"""

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lenetscope.data.dataset import LabelledImages

Augment = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class BatchLoader:
    """Iterate over ``data`` in batches; the last may be smaller.

    Args:
        data: images (N, C, H, W) uint8 and labels (N,) int64.
        batch_size: images per batch, at least 1.
        transform: turns a batch of images into the network's input.
        generator: if given, it determines a new random order for each pass; else the order is fixed.
        augment: changes a batch of images and labels first, if there is a generator.
        workers: processes that augment, ahead of the loop, at most one per core; 0 for the process
            that iterates. Each batch has a random stream of its own then, so that their number
            changes nothing.
    """

    def __init__(
        self,
        data: LabelledImages,
        batch_size: int,
        transform: Callable[[Tensor], Tensor],
        generator: torch.Generator | None = None,
        augment: Augment | None = None,
        workers: int = 0,
    ) -> None:
        self.data, self.batch_size = data, batch_size
        self.transform, self.generator, self.augment = transform, generator, augment
        self.workers = workers
        self._plan: list[tuple[Any, int]] = []  # order and seed of each batch of a pass
        self._ahead: DataLoader[Any] | None = None  # and its processes, which stay for the next pass

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_plan": [], "_ahead": None}  # processes cannot be copied

    def __len__(self) -> int:
        return -(-len(self.data.labels) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        images, labels = self.data
        if self.generator is None:
            for start in range(0, len(labels), self.batch_size):
                part = slice(start, start + self.batch_size)
                yield self.transform(images[part]), labels[part]
            return
        order = torch.split(torch.randperm(len(labels), generator=self.generator), self.batch_size)
        batches = _Batches(self.data, self.augment)
        ahead = self.workers and self.augment
        for inputs, targets in self._prepared(batches, order) if ahead else map(batches.take, order):
            yield self.transform(inputs), targets

    def _prepared(self, batches: "_Batches", order: tuple[Tensor, ...]) -> Iterable[Any]:
        """Have the batches of a pass prepared by other processes."""
        seeds = torch.randint(2**62, (len(order),), generator=self.generator)
        self._plan[:] = zip((index.numpy() for index in order), seeds.tolist(), strict=True)
        if self._ahead is None:
            self._ahead = DataLoader(
                batches,
                batch_size=None,
                sampler=self._plan,
                num_workers=min(self.workers, os.cpu_count() or 1),
                prefetch_factor=4,
                persistent_workers=True,
                worker_init_fn=_leave_interrupts,
                generator=torch.Generator(),  # else it draws from the global one, once per process
            )
        return self._ahead


class _Batches(Dataset[tuple[Tensor, Tensor]]):
    """The batches of a `BatchLoader`, augmented."""

    def __init__(self, data: LabelledImages, augment: Augment | None) -> None:
        self.data, self.augment = data, augment

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return the batch of these images."""
        # several times as fast as images[index]
        images, labels = (each.index_select(0, index) for each in self.data)
        return self.augment(images, labels) if self.augment else (images, labels)

    def __getitem__(self, planned: tuple[Any, int]) -> tuple[Tensor, Tensor]:
        index, seed = planned
        torch.manual_seed(seed)
        return self.take(torch.from_numpy(index))


def _leave_interrupts(_worker: int) -> None:
    """Leave Ctrl-C to the training, which ends this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
