"""Small networks, one per thing that an export to C must get right, and a way to run what comes out."""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lenetscope.export.c.source import Source

MAIN = """
#include "net.h"
#include <stdio.h>

int main(void)
{
    static uint8_t image[NET_CHANNELS * NET_HEIGHT * NET_WIDTH];
    static int32_t scores[NET_CLASSES + 1];
    while (fread(image, 1, sizeof image, stdin) == sizeof image) {
        scores[NET_CLASSES] = net_predict(image, scores);
        fwrite(scores, sizeof scores, 1, stdout);
    }
    return 0;
}
"""


def run(source: Source, images: Tensor, folder: Path, *options: str) -> tuple[Tensor, Tensor]:
    """Compile a network named net as a program; return its scores (N, K) and its answers (N,)."""
    for name, text in (("net.h", source.header), ("net.c", source.source), ("main.c", MAIN)):
        (folder / name).write_text(text, "utf-8")
    command = "cc", "-std=c99", "-Wall", "-Wextra", "-Werror", *options, "net.c", "main.c", "-o", "net"
    subprocess.run(command, cwd=folder, check=True)
    done = subprocess.run(
        [folder / "net"], input=images.numpy().tobytes(), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    found = torch.from_numpy(np.frombuffer(done.stdout, np.int32).reshape(len(images), -1).copy())
    return found[:, :-1], found[:, -1]


class Residual(nn.Module):
    """Two branches that are added, batch normalisation, and ReLU in place."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.relu = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(6, 8, 3, stride=2, padding=1)
        self.norm1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1)
        self.shortcut = nn.Conv2d(6, 8, 1, stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.stem(x)))
        y = self.conv2(self.relu(self.norm1(self.conv1(x))))
        y += self.shortcut(x)
        return self.fc(torch.flatten(self.pool(self.relu(y)), 1))


class Functions(nn.Module):
    """Functions and methods in place of modules, and an input that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, padding="same", dilation=2)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
        self.fc1 = nn.Linear(4 * 5 * 4, 9)
        self.fc2 = nn.Linear(9, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = torch.add(x, torch.tanh(0.5 * self.conv2(x)).relu())
        x = F.dropout(F.avg_pool2d(x, 2, stride=1, padding=1), 0.5, self.training)
        x = F.max_pool2d(x, kernel_size=2, stride=1) - 0.25
        return self.fc2(torch.sigmoid(self.fc1(x.view(x.size(0), -1))))


class MeanOfMaps(nn.Module):
    """Batch normalisation first, a mean of maps by a method, and two uses of one output."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.conv = nn.Conv2d(1, 6, 3, stride=(1, 2), padding=(2, 0))
        self.norm1 = nn.BatchNorm2d(6)
        self.fc = nn.Linear(6, 4)
        self.norm2 = nn.BatchNorm1d(4)
        self.last = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(self.norm(x))
        x = self.norm1(F.relu(x)) + x
        return self.last(self.norm2(self.fc(x.mean((2, 3)))))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int]]] = {
    "one-layer": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), (1, 3, 4)),
    "colours": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 6, (3, 5), stride=2, padding=(1, 2)), nn.Tanh(), nn.MaxPool2d(3, 2, 1),
            nn.Conv2d(6, 12, 3, padding=1, groups=3), nn.ReLU(), nn.MaxPool2d((2, 1)), nn.ReLU(),
            nn.Flatten(), nn.Dropout(), nn.Linear(12 * 2 * 3, 4),
        ),
        (3, 15, 12),
    ),
    "averages": (
        lambda: nn.Sequential(
            nn.AvgPool2d(2), nn.Conv2d(1, 5, 3, bias=False), nn.BatchNorm2d(5), nn.LeakyReLU(0.1),
            nn.AvgPool2d(2, divisor_override=1), nn.Hardswish(), nn.AdaptiveAvgPool2d((2, 1)),
            nn.Identity(), nn.Flatten(), nn.Linear(10, 8), nn.BatchNorm1d(8), nn.ReLU(),
            nn.Linear(8, 3),
        ),
        (1, 12, 8),
    ),
    "residual": (Residual, (1, 9, 11)),
    "functions": (Functions, (1, 10, 8)),
    "mean-of-maps": (MeanOfMaps, (1, 6, 9)),
}  # fmt: skip
"""By name: what makes a network, and the shape of its images."""


def made(name: str) -> tuple[nn.Module, tuple[int, int, int]]:
    """Make a network with random weights and statistics, in evaluation mode."""
    torch.manual_seed(4)
    make, shape = NETWORKS[name]
    model = make()
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            for values, low in ((module.running_mean, -0.5), (module.running_var, 0.5)):
                assert values is not None
                values.uniform_(low, low + 1)
            nn.init.uniform_(module.weight, -1.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return model.eval(), shape


def pictures(count: int, shape: Sequence[int], seed: int = 0) -> Tensor:
    """Return random images (N, C, H, W) uint8, dark to bright; the first two are black and white."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, shape[0], 3, 3, generator=generator)
    images = F.interpolate(coarse, list(shape[1:]), mode="bilinear")
    images = images + 0.3 * torch.rand(count, *shape, generator=generator)
    bright = torch.rand(count, shape[0], 1, 1, generator=generator)
    pixels = (255 * bright * images / images.amax(dim=(1, 2, 3), keepdim=True)).to(torch.uint8)
    pixels[0], pixels[1] = 0, 255
    return pixels
