"""What the machine offers: number format, threads, and whether freed memory is kept.

Nothing here changes the process for longer than a block, except `keep_freed_memory`, which is for
programs and not for libraries.
"""

import ctypes
import functools
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.nn import functional

_MMAP_THRESHOLD, _TRIM_THRESHOLD, _TOP_PAD = -3, -1, -2
"""Options of glibc's ``mallopt``, see ``man 3 mallopt``."""

ROUNDS, CALLS = 4, 3
"""How often `fastest_threads` tries each number of threads, and with how many convolutions."""
GAIN = 0.8
"""Fraction of the time below which more threads are worth it: smaller operations gain less."""


def precision_for(wanted: str, kind: str) -> str:
    """Return the precision to compute in: ``wanted``, or the fastest for ``"auto"``.

    That is bfloat16 where the hardware computes in it, and float32 where it would be emulated.

    Args:
        wanted: a precision of Lightning Fabric, or ``"auto"``.
        kind: of the device, such as ``"cpu"``.
    """
    if wanted != "auto":
        return wanted
    found = kind == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    if kind == "cpu":  # avx512_bf16 or amx_bf16 on x86, bf16 on ARM
        found = any("bf16" in name and has for name, has in torch.cpu.get_capabilities().items())
    return "bf16-mixed" if found else "32-true"


def threads_for(wanted: int) -> int:
    """Return how many threads to compute with.

    Args:
        wanted: how many, or 0 for the fastest number up to torch's own choice (one per core, or
            ``OMP_NUM_THREADS``) and what the container may use, which torch does not consider.
    """
    own = torch.get_num_threads()
    return wanted or fastest_threads(min(own, cpu_quota() or own))


@functools.cache
def fastest_threads(most: int) -> int:
    """Return how many threads convolve fastest now: ``most``, or fewer while other programs compute.

    Threads wait for each other after each operation, and one whose core is taken holds up the others:
    two threads on two busy cores can be slower than one. Measured once per process.
    """
    counts = [most >> halvings for halvings in range(most.bit_length())]  # down to 1
    seconds = dict.fromkeys(counts, 0.0)
    images, weight, before = (
        torch.ones(64, 32, 14, 14),
        torch.ones(64, 32, 3, 3),
        torch.get_num_threads(),
    )
    try:
        for count in counts * ROUNDS if most > 1 else ():
            torch.set_num_threads(count)
            functional.conv2d(images, weight)  # starts the threads
            started = time.perf_counter()
            for _ in range(CALLS):
                functional.conv2d(images, weight)
            seconds[count] += time.perf_counter() - started
    finally:
        torch.set_num_threads(before)
    best = 1
    for count in reversed(counts):
        if seconds[count] < GAIN * seconds[best]:
            best = count
    return best


def cpu_quota(file: Path = Path("/sys/fs/cgroup/cpu.max")) -> int | None:
    """Return how many CPUs the container may use, rounded up, or None if it is not limited."""
    try:
        quota, period = file.read_text("ascii").split()
        return max(-(-int(quota) // int(period)), 1)
    except (OSError, ValueError):  # no such file, or "max"
        return None


@contextmanager
def repeatable(threads: int) -> Iterator[None]:
    """Compute with so many threads, see `threads_for`, and with deterministic kernels in the block."""
    cudnn, before = torch.backends.cudnn, torch.get_num_threads()
    flags = cudnn.deterministic, cudnn.benchmark
    try:
        if (wanted := threads_for(threads)) != before:
            torch.set_num_threads(wanted)
        cudnn.deterministic, cudnn.benchmark = True, False
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = flags
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)


@functools.cache
def keep_freed_memory() -> bool:
    """Tell glibc, for the whole process, to keep freed memory; return whether it could be told.

    By default it returns large blocks to the system, which must zero them when the next step asks
    for them again. If one of glibc's ``MALLOC_`` variables is set, nothing is changed.
    """
    if platform.libc_ver()[0] != "glibc" or any(n.startswith("MALLOC_") for n in os.environ):
        return False
    libc = ctypes.CDLL(None)
    largest = 32 << 20  # bytes; glibc takes no more for the first of the three
    libc.mallopt(_MMAP_THRESHOLD, largest)
    libc.mallopt(_TRIM_THRESHOLD, 16 * largest)
    libc.mallopt(_TOP_PAD, largest)
    return True


def keeps_freed_memory() -> bool:
    """Tell whether `keep_freed_memory` has been called in this process and could tell glibc."""
    return keep_freed_memory.cache_info().currsize > 0 and keep_freed_memory()
