"""PyTorch's official MNIST example: its network and settings, in code of this project.

After ``mnist/main.py`` of github.com/pytorch/examples: Adadelta with a rate of 1.0 that is multiplied
by 0.7 after each epoch, batches of 64, 14 epochs. As there, the images are not shuffled on a CPU: the
example shuffles only on an accelerator.
"""

import time

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Subset
from torchvision import transforms
from torchvision.datasets import MNIST

from benchmarks.contenders.common import accuracy_of, arguments, report_epoch, report_ready


class Net(nn.Module):
    """Two convolutions without padding, one pooling, two linear layers; 1,199,882 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 32, 3)
        self.second = nn.Conv2d(32, 64, 3)
        self.hidden = nn.Linear(9216, 128)
        self.last = nn.Linear(128, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Return log probabilities (N, 10) of images (N, 1, 28, 28)."""
        maps = F.relu(self.second(F.relu(self.first(images))))
        maps = F.dropout(F.max_pool2d(maps, 2), 0.25, self.training)
        hidden = F.relu(self.hidden(maps.flatten(1)))
        return F.log_softmax(self.last(F.dropout(hidden, 0.5, self.training)), dim=1)


def main() -> None:
    """Train, and test after each epoch."""
    args = arguments(__doc__)
    torch.manual_seed(args.seed)

    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
    train_set = MNIST(args.data, train=True, transform=transform)
    test_set = MNIST(args.data, train=False, transform=transform)
    some = Subset(train_set, range(args.limit)) if args.limit else train_set
    train_loader = DataLoader(some, batch_size=64)
    test_loader = DataLoader(test_set, batch_size=1000)

    model = Net()
    optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.7)
    report_ready()

    for _ in range(args.epochs):
        started = time.perf_counter()
        model.train()
        for images, labels in train_loader:
            optimizer.zero_grad()
            loss: Tensor = F.nll_loss(model(images), labels)
            loss.backward()
            optimizer.step()
        train_seconds = time.perf_counter() - started

        accuracy = report_epoch(train_seconds, accuracy_of(model, test_loader))
        if accuracy >= args.until:
            break
        schedule.step()


if __name__ == "__main__":
    main()
