"""Data, a network and runs that reports are tested with."""

import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lenetscope import Architecture
from lenetscope.data.dataset import LabelledImages, RawDataset
from lenetscope.data.sources import DATASETS
from lenetscope.models import MODELS
from lenetscope.runs import Run, RunWriter

HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(2)">'
LONG = "an eastern long-legged something of the second kind"


@DATASETS.register("strange")
def strange(_folder: Path | None, _download: bool) -> RawDataset:
    """26 classes of colour images that are not square, with names that could break a page."""

    def part(count: int, seed: int) -> LabelledImages:
        generator = torch.Generator().manual_seed(seed)
        labels = torch.arange(count) % 26
        images = torch.randint(0, 90, (count, 3, 20, 16), generator=generator)
        for image, label in zip(images, labels.tolist(), strict=True):
            image[label % 3, 2 + label // 2 : 5 + label // 2, 2:14] = 250
        return LabelledImages(images.to(torch.uint8), labels)

    names = (HOSTILE, LONG, *(f"class {k}" for k in range(24)))
    return RawDataset(part(260, 1), part(104, 2), names, {"strange": "0" * 32}, "strange", None)


@MODELS.register("branched")
class Branched(nn.Module):
    """A network with a shortcut around its second convolution."""

    def __init__(self, image_shape: tuple[int, int, int], classes: int, dropout: float = 0.5) -> None:
        super().__init__()
        channels, height, width = image_shape
        self.conv1 = nn.Conv2d(channels, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU()
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(4 * height * width, classes)

    def forward(self, images: Tensor) -> Tensor:
        x = self.relu(self.conv1(images))
        out: Tensor = self.fc(self.flatten(x + self.relu(self.conv2(x))))
        return out


def make_run(path: Path, data: str | Path, **overrides: Any) -> Run:
    """Train a recipe into a folder, as the command line does."""
    settings = {"epochs": 1, "batch_size": 16, "threads": 1, "device": "cpu"} | overrides
    arch = Architecture.from_recipe("reference", data=data, **settings)
    run = arch.start_run(path)
    arch.train(settings["epochs"], callbacks=[RunWriter(run)], progress=False)
    run.save_scores(arch.evaluate())
    return run


def until(page: Any, expression: str, seconds: float = 20) -> None:
    """Wait until an expression is true; the page's policy forbids Playwright's own way of waiting."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(20)
