"""What a measurement may depend on besides what is measured, and how tables are written.

In: nothing. Out: plain values for JSON, and lines of Markdown.
"""

import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("lenetscope", "torch", "torchvision", "lightning-fabric", "numpy")


def describe() -> dict[str, Any]:
    """Return packages, processor, cores, threads, Python, system, date and command."""
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
    """Return the processor's name and, where Linux says them, family and model."""
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
    """Return how many cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def sentence(machine: dict[str, Any]) -> str:
    """Return what `describe` returned as a line to stand below a table."""
    packages = ", ".join(f"{name} {number}" for name, number in machine["packages"].items())
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads; Python "
        f"{machine['python']}, {packages}; {machine['date'][:10]}; `{' '.join(machine['command'])}`."
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def tell(text: str) -> None:
    """Write a line on standard error: how far the work has come."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
