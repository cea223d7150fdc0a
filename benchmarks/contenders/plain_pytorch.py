"""The baseline: the loop of PyTorch's tutorials, with the network and settings of recipe ``reference``.

torchvision decodes and transforms the images one by one, and a DataLoader collates them, as in
PyTorch's tutorials.
"""

import time

import torch
from torch import nn
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import MNIST
from torchvision.transforms import v2

from benchmarks.contenders.common import accuracy_of, arguments, report_epoch, report_ready


def main() -> None:
    """Train, and test after each epoch."""
    args = arguments(__doc__)
    torch.manual_seed(args.seed)

    transform = v2.Compose(
        [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize((0.5,), (0.5,))]
    )
    train_set = MNIST(args.data, train=True, transform=transform)
    test_set = MNIST(args.data, train=False, transform=transform)
    some = Subset(train_set, range(args.limit)) if args.limit else train_set
    train_loader = DataLoader(some, batch_size=64, shuffle=True)
    test_loader = DataLoader(test_set, batch_size=1000)

    model = nn.Sequential(
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
    loss_fn = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    report_ready()

    for _ in range(args.epochs):
        started = time.perf_counter()
        model.train()
        for images, labels in train_loader:
            loss = loss_fn(model(images), labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        train_seconds = time.perf_counter() - started

        accuracy = report_epoch(train_seconds, accuracy_of(model, test_loader))
        if accuracy >= args.until:
            break


if __name__ == "__main__":
    main()
