"""Random streams: taken down, put back, and kept apart from the caller's.

In: nothing, or what `capture` returned. Out: tensors and plain values that a checkpoint can hold. The
streams are Python's, NumPy's and torch's (CPU and the device in use), and those of a loader's own
generators, which decide the order of its samples.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def capture(loader: Any = None) -> dict[str, Any]:
    """Take down the state of every stream.

    Args:
        loader: its generators are taken down too; None for the global streams alone.

    Returns:
        Tensors, numbers, lists and tuples only.
    """
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)  # noqa: NPY002
    state: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": (
            str(kind),
            torch.from_numpy(np.array(keys, dtype=np.int64)),
            int(position),
            int(has_gauss),
            float(gauss),
        ),
        "torch": torch.get_rng_state(),
        "loader": [generator.get_state() for generator in generators_of(loader)],
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    if torch.backends.mps.is_available():
        state["mps"] = torch.mps.get_rng_state()
    return state


def restore(state: dict[str, Any], loader: Any = None) -> None:
    """Put back what `capture` took down; streams that it did not see are left alone."""
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
    """Give the caller's streams back, whatever happens inside."""
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
    batch_sampler = getattr(loader, "batch_sampler", None)
    holders = (
        loader,
        getattr(loader, "sampler", None),
        batch_sampler,
        getattr(batch_sampler, "sampler", None),
    )
    found: dict[int, torch.Generator] = {}
    for holder in holders:
        generator = getattr(holder, "generator", None)
        if isinstance(generator, torch.Generator):
            found[id(generator)] = generator
    return list(found.values())
