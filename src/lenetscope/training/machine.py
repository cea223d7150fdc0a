"""What this machine offers to the arithmetic, and how much of it is taken.

In: what a recipe asks for, which may be "auto". Out: what is used: the number format, the threads, the
way memory is handed back. All of it is written down in a run's ``environment.json``.
"""

import ctypes
import functools
import os
import platform
from pathlib import Path

import torch

_MMAP_THRESHOLD, _TRIM_THRESHOLD, _TOP_PAD = -3, -1, -2
"""What glibc's ``mallopt`` calls them, see ``man 3 mallopt``."""


def precision_for(wanted: str, kind: str) -> str:
    """Return the precision to compute in: ``wanted``, or for ``"auto"`` the fastest there is.

    That is bfloat16 where the hardware computes in it, and float32 where it would be emulated.

    Args:
        wanted: a precision of Lightning Fabric, or ``"auto"``.
        kind: of the device, such as ``"cpu"``.
    """
    if wanted != "auto":
        return wanted
    return "bf16-mixed" if has_bfloat16(kind) else "32-true"


def has_bfloat16(kind: str) -> bool:
    """Tell whether a device of this kind multiplies bfloat16 numbers in hardware."""
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if kind == "cpu":  # avx512_bf16 or amx_bf16 on x86, bf16 on ARM
        found = torch.cpu.get_capabilities().items()
        return any("bf16" in name and there is True for name, there in found)
    return False


def use_threads(wanted: int) -> int:
    """Let torch compute with so many threads, and return how many it uses.

    Args:
        wanted: how many, or 0 for torch's own choice (a thread a core, or ``OMP_NUM_THREADS``), but no
            more than the container may use, which torch does not look at.
    """
    if wanted == 0:
        wanted = min(torch.get_num_threads(), cpu_quota() or torch.get_num_threads())
    if wanted != torch.get_num_threads():
        torch.set_num_threads(wanted)
    return torch.get_num_threads()


def cpu_quota(file: Path = Path("/sys/fs/cgroup/cpu.max")) -> int | None:
    """Return how many CPUs the container may use, rounded up, or None if it is not limited."""
    try:
        quota, period = file.read_text("ascii").split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else max(-(-int(quota) // int(period)), 1)


@functools.cache
def keep_freed_memory() -> bool:
    """Tell glibc to keep freed memory for the next step; return whether it was there to be told.

    By default it hands large blocks back to the system, which must zero them when the next step asks
    for them again. Whoever sets one of glibc's ``MALLOC_`` variables is left to his own choice.
    """
    if platform.libc_ver()[0] != "glibc" or any(n.startswith("MALLOC_") for n in os.environ):
        return False
    libc = ctypes.CDLL(None)
    largest = 32 << 20  # bytes; glibc takes no more for the first of the two
    libc.mallopt(_MMAP_THRESHOLD, largest)
    libc.mallopt(_TRIM_THRESHOLD, 16 * largest)
    libc.mallopt(_TOP_PAD, largest)
    return True
