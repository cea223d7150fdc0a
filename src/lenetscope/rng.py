"""Random streams: captured, restored, and kept apart from the caller's.

The streams are those of Python, NumPy and torch (on the CPU and the device in use), and those of a
loader's own generators, which decide the order of its samples.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lenetscope import schema


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
    random.setstate(_of_python(state))
    np.random.set_state(_of_numpy(state))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
    if "mps" in state and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"])
    for generator, saved in zip(generators_of(loader), state["loader"], strict=False):
        generator.set_state(saved)


def check(value: Any, where: str) -> dict[str, Any]:
    """Check what `capture` returned and a file kept, by trying it on generators of its own.

    Raises:
        SchemaError: if a stream cannot be restored.
    """
    state: dict[str, Any] = _STREAMS(value, where)
    try:
        random.Random().setstate(_of_python(state))
        np.random.RandomState().set_state(_of_numpy(state))
    except ValueError as error:
        raise schema.SchemaError(f"{where} cannot be restored: {error}") from error
    return state | {"python": _of_python(state)}


def _of_python(state: dict[str, Any]) -> tuple[Any, ...]:
    version, words, gauss_next = state["python"]
    return version, tuple(words), gauss_next


def _of_numpy(state: dict[str, Any]) -> tuple[Any, ...]:
    kind, keys, position, has_gauss, gauss = state["numpy"]
    return kind, keys.numpy().astype(np.uint32), position, has_gauss, gauss


def _of_torch(*devices: str) -> schema.Check:
    """Return the check of the state of a generator on one of these devices, if there is any."""

    def check_state(value: Any, where: str) -> Any:
        there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        usable = [device for device in devices if there.get(device, True)]
        for device in usable:
            generator = torch.Generator(device)
            with suppress(schema.SchemaError, RuntimeError):
                state: Tensor = schema.tensor_like(generator.get_state())(value, where)
                generator.set_state(state)
                return state
        return (
            schema.refuse(where, f"a random stream of {' or '.join(usable)}", value)
            if usable
            else value
        )

    return check_state


_WORD = schema.whole(0, 2**32 - 1)
_STREAMS = schema.record(
    {
        "python": schema.items(
            schema.equal(3), schema.list_of(_WORD, 625), schema.optional(schema.number())
        ),
        "numpy": schema.items(
            schema.equal("MT19937"),
            schema.tensor_like(torch.zeros(624, dtype=torch.int64)),
            schema.whole(0, 624),  # beyond it NumPy reads outside of its memory
            schema.whole(0, 1),
            schema.number(),
        ),
        "torch": _of_torch("cpu"),
        "loader": schema.list_of(_of_torch("cpu", "cuda", "mps")),
    },
    {"cuda": _of_torch("cuda"), "mps": _of_torch("mps")},
)


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
