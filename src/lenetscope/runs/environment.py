"""Where a run was trained: machine, software, command and data, as plain values for a JSON file."""

import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lenetscope.models import memory_format
from lenetscope.training.machine import keeps_freed_memory, threads_for

if TYPE_CHECKING:
    from lenetscope.architecture import Architecture


def environment(arch: "Architecture", data_dir: str | Path | None) -> dict[str, Any]:
    """Return what a recipe is about to be trained with.

    Args:
        arch: built from a recipe, with its data.
        data_dir: where that was read from; None for the user's cache.
    """
    assert arch.recipe is not None
    assert arch.splits is not None
    packages = ("lenetscope", "torch", "torchvision", "lightning-fabric", "numpy")
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "threads": threads_for(arch.recipe.threads),
        "data_dir": str(Path(data_dir).resolve()) if data_dir else None,
        "data": arch.splits.checksums,
        "device": str(arch.device),
        "precision": arch.precision,
        "processes": arch.fabric.world_size,
        "memory_format": memory_format(arch.model),
        "compiled": arch.recipe.compile,
        "keeps_freed_memory": keeps_freed_memory(),
    }
