"""Random streams: captured, restored, and kept apart from the caller's.

The streams are those of Python, NumPy and torch (on the CPU and the device in use), and those of a
loader's own generators, which decide the order of its samples.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def capture(loader: Any = None) -> dict[str, Any]:
    """Return the state of every stream, as tensors and plain values that a checkpoint can hold.

    Args:
        loader: its generators are captured, too; None for the global streams alone.
    """
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)  # noqa: NPY002
    words = torch.from_numpy(np.array(keys, dtype=np.int64))
    state: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": (str(kind), words, int(position), int(has_gauss), float(gauss)),
        "torch": torch.get_rng_state(),
        "loader": [generator.get_state() for generator in generators_of(loader)],
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    if torch.backends.mps.is_available():
        state["mps"] = torch.mps.get_rng_state()
    return state


def restore(state: dict[str, Any], loader: Any = None) -> None:
    """Restore what `capture` returned; streams that it did not see are left alone."""
    version, words, gauss_next = state["python"]
    random.setstate((version, tuple(words), gauss_next))
    kind, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, gauss))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
    if "mps" in state and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"])
    for generator, saved in zip(generators_of(loader), state["loader"], strict=False):
        generator.set_state(saved)


@contextmanager
def isolated(loader: Any = None) -> Iterator[None]:
    """Restore the caller's streams at the end of the block, however it ends."""
    before = capture(loader)
    try:
        yield
    finally:
        restore(before, loader)


def seed_everything(seed: int, loader: Any = None) -> None:
    """Seed every global stream, and the generators of ``loader``."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)
    for generator in generators_of(loader):
        generator.manual_seed(seed)


def generators_of(loader: Any) -> list[torch.Generator]:
    """Return the generators that a loader, its sampler and its batch sampler hold, each once."""
    batches = getattr(loader, "batch_sampler", None)
    holders = (loader, getattr(loader, "sampler", None), batches, getattr(batches, "sampler", None))
    held = [getattr(holder, "generator", None) for holder in holders]
    return list({id(g): g for g in held if isinstance(g, torch.Generator)}.values())
