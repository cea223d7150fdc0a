"""Requests share forward passes, and none gets the answer of another."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from lenetscope.serving.batching import Batcher


class Gate:
    """Doubles numbers, one batch whenever it is let through, and keeps the batches."""

    def __init__(self) -> None:
        self.open = threading.Semaphore(0)
        self.batches: list[list[int]] = []

    def __call__(self, images: np.ndarray) -> np.ndarray:
        assert self.open.acquire(timeout=10)
        self.batches.append(images.tolist())
        if 13 in images:
            raise ArithmeticError("13")
        return 2 * images


def run(gate: Gate, check: "Coroutine[Any, Any, None]", batcher: Batcher) -> None:
    async def limited() -> None:
        await asyncio.wait_for(check, 20)

    try:
        with ThreadPoolExecutor(1) as thread:  # other tests of this process may leave a running loop
            thread.submit(asyncio.run, limited()).result()
    finally:
        gate.open.release(100)
        batcher.close()


def make(max_batch: int = 4) -> tuple[Gate, Batcher, list[int]]:
    gate, sizes = Gate(), []
    return gate, Batcher(gate, max_batch, sizes.append), sizes


async def ask(batcher: Batcher, *numbers: int) -> "asyncio.Task[np.ndarray]":
    """Ask, and wait until the batcher knows of it."""
    task = asyncio.create_task(batcher.probabilities(np.array(numbers)))
    await asyncio.sleep(0.01)
    return task


def test_what_arrives_during_a_pass_shares_the_next_ones() -> None:
    gate, batcher, sizes = make()

    async def check() -> None:
        tasks = [await ask(batcher, 1)]  # begins at once, alone
        tasks += [await ask(batcher, *each) for each in ((2, 3), (4,), (5, 6), (7,))]
        assert sizes == [1]
        gate.open.release(3)
        answers = [answer.tolist() for answer in await asyncio.gather(*tasks)]
        assert answers == [[2], [4, 6], [8], [10, 12], [14]]
        # the third would have been the fifth image of a batch of four
        assert gate.batches == [[1], [2, 3, 4], [5, 6, 7]]
        assert sizes == [1, 3, 3]

    run(gate, check(), batcher)


def test_a_request_larger_than_a_batch_is_computed_in_several() -> None:
    gate, batcher, sizes = make()

    async def check() -> None:
        gate.open.release(3)
        answer = await batcher.probabilities(np.arange(10))
        assert answer.tolist() == list(range(0, 20, 2))
        assert sizes == [4, 4, 2]

    run(gate, check(), batcher)


def test_an_error_reaches_those_of_its_batch_and_the_next_are_answered() -> None:
    gate, batcher, _ = make()

    async def check() -> None:
        tasks = [await ask(batcher, each) for each in (1, 13, 2)]
        gate.open.release(2)
        first, *others = await asyncio.gather(*tasks, return_exceptions=True)
        assert first.tolist() == [2]
        assert [str(error) for error in others] == ["13", "13"]
        gate.open.release()
        assert (await batcher.probabilities(np.array([4]))).tolist() == [8]

    run(gate, check(), batcher)


def test_requests_that_were_given_up_are_not_computed() -> None:
    gate, batcher, _ = make()

    async def check() -> None:
        tasks = [await ask(batcher, each) for each in (1, 2, 3)]
        for task in tasks[:2]:  # the first is being computed, the second waits
            task.cancel()
        gate.open.release(2)
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]
        assert (await tasks[2]).tolist() == [6]
        assert gate.batches == [[1], [3]]

    run(gate, check(), batcher)


def test_a_crowd_loses_nothing() -> None:
    sizes: list[int] = []
    batcher = Batcher(lambda images: images + 1, 64, sizes.append)

    async def check() -> None:
        answers = await asyncio.gather(*(batcher.probabilities(np.array([k])) for k in range(1000)))
        assert [int(answer[0]) for answer in answers] == list(range(1, 1001))
        assert sum(sizes) == 1000
        assert max(sizes) == 64

    run(Gate(), check(), batcher)
