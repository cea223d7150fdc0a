"""Where a run was trained: machine, software, command, data.

In: the data. Out: plain values, for ``environment.json``.
"""

import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from lenetscope.datasets import Splits


def environment(splits: Splits, data_dir: Path | None) -> dict[str, Any]:
    """Return the machine, the software, the command and the data of a run, as plain values."""
    packages = ("lenetscope", "torch", "torchvision", "lightning-fabric", "numpy")
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "data_dir": str(data_dir.resolve()) if data_dir else None,
        "data": splits.checksums,
    }
