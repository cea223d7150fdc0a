"""skorch's NeuralNetClassifier, with the network and settings of `plain_pytorch`.

The images are one float32 array in memory, as in skorch's documentation, so that nothing is transformed
image by image. Its own callbacks stay on (they track the loss of each batch); its table of epochs is
not printed.
"""

import time
from typing import Any

import numpy as np
import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback
from skorch.dataset import Dataset
from skorch.helper import predefined_split
from torch import Tensor, nn

from benchmarks.contenders.common import arguments, as_arrays, report_epoch, report_ready


class Net(nn.Module):
    """The network of recipe ``reference``."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64 * 7 * 7, 128),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(128, 10),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, 10) of images (N, 1, 28, 28)."""
        logits: Tensor = self.layers(images)
        return logits


class Report(Callback):
    """Report training time and accuracy of each epoch, and stop at the target accuracy."""

    def __init__(self, until: float) -> None:
        self.until = until
        self.started = 0.0
        self.train_seconds: float | None = None

    def on_epoch_begin(self, net: Any, **_kwargs: Any) -> None:
        """Start timing."""
        self.started, self.train_seconds = time.perf_counter(), None

    def on_batch_begin(self, net: Any, training: bool = False, **_kwargs: Any) -> None:
        """Stop timing at the first batch of the validation."""
        if not training and self.train_seconds is None:
            self.train_seconds = time.perf_counter() - self.started

    def on_epoch_end(self, net: Any, **_kwargs: Any) -> None:
        """Report the epoch; skorch's own callbacks have computed the accuracy before."""
        assert self.train_seconds is not None
        if report_epoch(self.train_seconds, net.history[-1, "valid_acc"]) >= self.until:
            raise KeyboardInterrupt  # skorch catches it, and ends the training


def main() -> None:
    """Train, and test after each epoch."""
    args = arguments(__doc__)
    torch.manual_seed(args.seed)
    (x_train, y_train), (x_test, y_test) = as_arrays(args.data, args.limit)
    x_train, x_test = (
        ((x[:, None].astype(np.float32) / 255) - 0.5) / 0.5  # (N, 1, 28, 28)
        for x in (x_train, x_test)
    )
    y_train, y_test = y_train.astype(np.int64), y_test.astype(np.int64)
    net = NeuralNetClassifier(
        Net,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        optimizer__momentum=0.9,
        lr=0.01,
        batch_size=64,
        max_epochs=args.epochs,
        iterator_train__shuffle=True,
        iterator_valid__batch_size=1000,
        train_split=predefined_split(Dataset(x_test, y_test)),
        callbacks=[Report(args.until)],
        verbose=0,
    )
    report_ready()
    net.fit(x_train, y_train)


if __name__ == "__main__":
    main()
