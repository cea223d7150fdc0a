"""Lightning's Trainer, with the network, data and settings of `plain_pytorch`.

Lightning's logger, checkpoints, progress bar and summary are off: they cost time, and the other loops
have none of them. All other options are the Trainer's defaults, including its check of two validation
batches before training.
"""

import time

import lightning as L
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import MNIST
from torchvision.transforms import v2

from benchmarks.contenders.common import arguments, report_epoch, report_ready


class Classifier(L.LightningModule):
    """The network of recipe ``reference``, its loss and its optimizer."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(
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

    def training_step(self, batch: tuple[Tensor, Tensor], _number: int) -> Tensor:
        """Return the loss of a batch."""
        images, labels = batch
        return nn.functional.cross_entropy(self.network(images), labels)

    def validation_step(self, batch: tuple[Tensor, Tensor], _number: int) -> None:
        """Log the accuracy, of which Lightning takes the mean weighted by batch size."""
        images, labels = batch
        correct = self.network(images).argmax(dim=1) == labels
        self.log("accuracy", correct.float().mean(), batch_size=len(labels))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer."""
        return torch.optim.SGD(self.parameters(), lr=0.01, momentum=0.9)


class Report(L.Callback):
    """Report training time and accuracy of each epoch, and stop at the target accuracy."""

    def __init__(self, until: float) -> None:
        self.until = until
        self.started = self.train_seconds = 0.0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start timing."""
        self.started = time.perf_counter()

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop timing: Lightning validates before the end of an epoch."""
        self.train_seconds = time.perf_counter() - self.started

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Report the epoch."""
        accuracy = report_epoch(self.train_seconds, float(trainer.callback_metrics["accuracy"]))
        trainer.should_stop = accuracy >= self.until


def main() -> None:
    """Train, and test after each epoch."""
    args = arguments(__doc__)
    L.seed_everything(args.seed)

    transform = v2.Compose(
        [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize((0.5,), (0.5,))]
    )
    train_set = MNIST(args.data, train=True, transform=transform)
    test_set = MNIST(args.data, train=False, transform=transform)
    some = Subset(train_set, range(args.limit)) if args.limit else train_set
    train_loader = DataLoader(some, batch_size=64, shuffle=True)
    test_loader = DataLoader(test_set, batch_size=1000)

    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=args.epochs,
        callbacks=[Report(args.until)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    model = Classifier()
    report_ready()
    trainer.fit(model, train_loader, test_loader)


if __name__ == "__main__":
    main()
