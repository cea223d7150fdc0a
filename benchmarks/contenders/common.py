"""What all contenders share, so that each reads like the tutorial it represents.

Parses their arguments, and writes the two events that `benchmarks.measure` expects. Nothing heavy is
imported here, because a contender without torch must not pay for it.
"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch.utils.data import DataLoader


def arguments(description: str | None, **extra: list[str]) -> argparse.Namespace:
    """Return data, epochs, seed, limit and until, and the extra options with their choices."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds MNIST/raw")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, default=0, help="training images, 0 for all")
    parser.add_argument("--until", type=float, default=2.0, help="test accuracy to stop at")
    for name, choices in extra.items():
        parser.add_argument(f"--{name}", choices=choices, default=choices[0])
    return parser.parse_args()


def report_ready() -> None:
    """Report that everything is imported, and the data are loaded."""
    print(json.dumps({"event": "ready"}), flush=True)


def report_epoch(train_seconds: float, accuracy: float) -> float:
    """Report an epoch: seconds of its training alone, and the test accuracy.

    Returns:
        The accuracy, rounded: some libraries compute it in float32, where 0.99 is slightly less.
    """
    rounded = round(float(accuracy), 6)
    event = {"event": "epoch", "train_seconds": train_seconds, "accuracy": rounded}
    print(json.dumps(event), flush=True)
    return rounded


def accuracy_of(model: "torch.nn.Module", loader: "DataLoader[Any]") -> float:
    """Return the fraction of images whose highest output is that of their label."""
    import torch

    model.eval()
    correct = total = 0
    with torch.no_grad():
        for images, labels in loader:
            correct += int((model(images).argmax(dim=1) == labels).sum())
            total += len(labels)
    return correct / total


def as_arrays(root: Path, limit: int) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Return (x_train, y_train), (x_test, y_test), as ``keras.datasets.mnist.load_data`` does.

    Images are (N, 28, 28) and labels (N,), all uint8; only the first ``limit`` training images.
    """
    folder = root / "MNIST" / "raw"
    x_train, y_train = (_idx(folder / f"train-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1"))
    x_test, y_test = (_idx(folder / f"t10k-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1"))
    return (x_train[: limit or None], y_train[: limit or None]), (x_test, y_test)


def _idx(path: Path) -> "np.ndarray":
    """Read an IDX file of uint8: two zeros, 8, the number of dimensions, the dimensions, the data."""
    import numpy as np

    content = path.read_bytes()
    sides = np.frombuffer(content, ">i4", count=content[3], offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(sides)
