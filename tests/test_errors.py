"""Error messages suggest the nearest name; each class has its exit status."""

import errno
import os
from collections.abc import Callable

import numpy as np
import pytest
import torch

from lenetscope.errors import (
    LenetscopeError,
    RecipeError,
    StorageError,
    UsageError,
    ending,
    listed,
    unknown,
)


def test_the_nearest_name_is_suggested() -> None:
    message = unknown("layer", "conv3", ["conv1", "conv2", "fc"])
    assert message.startswith("unknown layer 'conv3'; did you mean 'conv2'?")
    assert message.endswith("Known: 'conv1', 'conv2' or 'fc'.")
    assert unknown("recipe", "xyz", ["fast"]) == "unknown recipe 'xyz'. Known: 'fast'."
    assert unknown("layer", "a", []) == "unknown layer 'a'."
    assert listed(["a"]) == "'a'"


def test_each_class_has_its_exit_status() -> None:
    assert issubclass(RecipeError, UsageError)
    assert (UsageError.exit_status, LenetscopeError.exit_status, StorageError.exit_status) == (2, 1, 1)
    assert issubclass(StorageError, OSError)
    assert issubclass(UsageError, ValueError)


def test_the_end_of_the_program_is_one_line_with_its_status() -> None:
    assert ending(UsageError("wrong\nword")) == (2, "wrong word")
    assert ending(KeyboardInterrupt()) == (130, "interrupted.")
    assert ending(BrokenPipeError(errno.EPIPE, "Broken pipe")) == (1, "")
    assert ending(OSError(errno.ENOSPC, "No space left on device", "a")) == (
        1,
        "cannot access a: No space left on device.",
    )
    _, line = ending(OSError(errno.EMFILE, os.strerror(errno.EMFILE), "a")) or (0, "")
    assert line == "cannot access a: Too many open files; raise the limit (ulimit -n)."


@pytest.mark.parametrize(
    "fails",
    [
        lambda: np.empty(1 << 60, np.uint8),
        lambda: torch.empty(1 << 60, dtype=torch.uint8),
        lambda: bytearray(1 << 62),
        lambda: raises(RuntimeError("can't start new thread")),
        lambda: raises(OSError("libgomp.so.1: failed to map segment from shared object")),
        lambda: raises(ImportError("libtorch_cpu.so: failed to map segment from shared object")),
        lambda: raises(OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))),
        lambda: raises(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")),
    ],
)
def test_too_little_memory(fails: Callable[[], object]) -> None:
    with pytest.raises((MemoryError, RuntimeError, OSError, ImportError)) as raised:
        fails()
    status, line = ending(raised.value) or (0, "")
    assert status == 1
    assert line.startswith("too little memory")
    assert ("another 1,099,511,627,776 MB" in line) == (" tried to allocate" in str(raised.value))


def raises(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    "error",
    [KeyError("a"), RuntimeError("shape"), ImportError("no name"), OSError("no number"), SystemExit(0)],
)
def test_a_fault_of_the_program_keeps_its_traceback(error: BaseException) -> None:
    assert ending(error) is None
