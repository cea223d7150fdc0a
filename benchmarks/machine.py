"""Describes and configures the machine that measurements depend on, and formats tables."""

import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("lenetscope", "torch", "torchvision", "lightning-fabric", "numpy")


def configure(keep_freed_memory: bool = True) -> None:
    """Apply the process-wide settings of the command ``lenetscope``, which a library must not change.

    Args:
        keep_freed_memory: whether the allocator keeps freed memory, as it does there.
    """
    import torch

    from lenetscope.training import machine

    if (threads := machine.threads_for(0)) != torch.get_num_threads():
        torch.set_num_threads(threads)
    if keep_freed_memory:
        machine.keep_freed_memory()


def describe() -> dict[str, Any]:
    """Return packages, processor, cores, threads, Python, system, date and command, for JSON."""
    import torch

    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": [Path(sys.orig_argv[0]).name, *sys.orig_argv[1:]],
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "system": platform.platform(),
        "cpu": cpu_model(),
        "cores": usable_cores(),
        "threads": torch.get_num_threads(),
    }


def cpu_model(file: Path = Path("/proc/cpuinfo")) -> str:
    """Return the name of the processor and, on Linux, its family and model."""
    try:
        text = file.read_text()
    except OSError:
        return platform.processor() or platform.machine()
    lines = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    facts = {key.strip(): value.strip() for key, _, value in lines}
    name = facts.get("model name") or platform.machine()
    if "cpu family" in facts and "model" in facts:
        name += f" (family {facts['cpu family']}, model {facts['model']})"
    return name


def usable_cores() -> int:
    """Return the number of cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def sentence(machine: dict[str, Any]) -> str:
    """Return what `describe` returned as a caption of a table."""
    packages = ", ".join(f"{name} {number}" for name, number in machine["packages"].items())
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads; Python "
        f"{machine['python']}, {packages}; {machine['date'][:10]}; `{' '.join(machine['command'])}`."
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def log(text: str) -> None:
    """Write a line to standard error."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
