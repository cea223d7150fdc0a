"""What all contenders share, so that each reads as the tutorial it stands for.

In: the arguments of a contender. Out: the two events that `benchmarks.measure` waits for. Nothing heavy
is imported here, because a contender without torch must not pay for torch.
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
    parser.add_argument("--limit", type=int, default=0, help="training images; 0: all")
    parser.add_argument("--until", type=float, default=2.0, help="stop at this share right of the test")
    for name, choices in extra.items():
        parser.add_argument(f"--{name}", choices=choices, default=choices[0])
    return parser.parse_args()


def say_ready() -> None:
    """Tell that everything is imported, and the data are at hand."""
    print(json.dumps({"event": "ready"}), flush=True)


def say_epoch(train_seconds: float, accuracy: float) -> float:
    """Tell of an epoch: seconds of its training alone, and the share right of the test images.

    Returns:
        The share, rounded: some libraries count it in float32, where 0.99 is a little less than 0.99.
    """
    share = round(float(accuracy), 6)
    print(json.dumps({"event": "epoch", "train_seconds": train_seconds, "accuracy": share}), flush=True)
    return share


def share_right(model: "torch.nn.Module", loader: "DataLoader[Any]") -> float:
    """Return the share of images whose highest output is that of their label."""
    import torch

    model.eval()
    right = total = 0
    with torch.no_grad():
        for images, labels in loader:
            right += int((model(images).argmax(dim=1) == labels).sum())
            total += len(labels)
    return right / total


def as_arrays(root: Path, limit: int) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Return (x_train, y_train), (x_test, y_test), as ``keras.datasets.mnist.load_data`` does.

    Images are (N, 28, 28) and labels (N,), all uint8; of the training images the first ``limit``.
    """
    folder = root / "MNIST" / "raw"
    x_train, y_train = (_idx(folder / f"train-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1"))
    x_test, y_test = (_idx(folder / f"t10k-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1"))
    return (x_train[: limit or None], y_train[: limit or None]), (x_test, y_test)


def _idx(path: Path) -> "np.ndarray":
    """Read an IDX file of unsigned bytes: two zeros, 8, the number of sides, the sides, the bytes."""
    import numpy as np

    content = path.read_bytes()
    sides = np.frombuffer(content, ">i4", count=content[3], offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(sides)
