"""Lets requests share forward passes: what arrives during one pass goes into the next.

So the size of a batch follows the load by itself: a lone request starts at once, and nothing ever waits
for a clock.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from lenetscope.evaluation.outputs import Array


class _Waiting(NamedTuple):
    """Images that wait for their pass, and the future of their probabilities."""

    images: Array
    answer: "asyncio.Future[Array]"


class Batcher:
    """Computes in a thread of its own, one batch at a time.

    Args:
        compute: from images (N, C, H, W) to probabilities (N, K).
        max_batch: images per pass.
        observe: is told the size of each batch.
    """

    def __init__(
        self, compute: Callable[[Array], Array], max_batch: int, observe: Callable[[int], object]
    ) -> None:
        self._compute, self._max_batch, self._observe = compute, max_batch, observe
        self._waiting: deque[_Waiting] = deque()
        self._passes: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "forward-pass")

    async def probabilities(self, images: Array) -> Array:
        """Return the probabilities (N, K) of images (N, C, H, W), in several passes if N is large.

        Raises:
            Exception: what computing raised, to all whose images were in that batch.
        """
        loop = asyncio.get_running_loop()
        parts = [
            _Waiting(images[start : start + self._max_batch], loop.create_future())
            for start in range(0, len(images), self._max_batch)
        ]
        self._waiting.extend(parts)
        if self._passes is None or self._passes.done():
            self._passes = loop.create_task(self._run())
        return np.concatenate(await asyncio.gather(*(part.answer for part in parts)))

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()

    async def _run(self) -> None:
        """Compute until nothing waits."""
        loop = asyncio.get_running_loop()
        while batch := self._take():
            images = np.concatenate([part.images for part in batch])
            self._observe(len(images))
            try:
                found = await loop.run_in_executor(self._thread, self._compute, images)
            except Exception as error:  # noqa: BLE001  # is raised where the answer is awaited
                for part in batch:
                    if not part.answer.done():
                        part.answer.set_exception(error)
                continue
            for part in batch:
                mine, found = found[: len(part.images)], found[len(part.images) :]
                if not part.answer.done():
                    part.answer.set_result(mine)

    def _take(self) -> list[_Waiting]:
        """Take what waits longest, up to a full batch, without requests that were given up."""
        batch: list[_Waiting] = []
        room = self._max_batch
        while self._waiting and len(self._waiting[0].images) <= room:
            part = self._waiting.popleft()
            if not part.answer.done():
                batch.append(part)
                room -= len(part.images)
        return batch
