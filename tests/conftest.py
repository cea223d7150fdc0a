"""Small data that a network learns at once, and the things that several tests train on."""

import ctypes
import os
import shutil
import struct
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import EpsImagePlugin
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from lenetscope import Architecture

# modules of helpers, not of tests: collected, the first would register its dataset twice
collect_ignore = ["report_runs.py", "visitors.py"]

# the same examples each time: a check that fails, fails for everybody
settings.register_profile("check", deadline=None, derandomize=True)
settings.load_profile("check")


def write_idx(path: Path, array: np.ndarray) -> Path:
    """Write uint8 numbers as an IDX file."""
    header = struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())
    return path


def bars(count: int, seed: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return (N, 28, 28) images with a bright bar whose height tells the class, and labels (N,)."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, count)
    labels[:classes] = range(classes)
    images = generator.integers(0, 60, (count, 28, 28))
    for image, label in zip(images, labels, strict=True):
        image[4 + 7 * label : 8 + 7 * label, 4:24] = 255
    return images, labels


def write_bars(folder: Path, train: int, test: int) -> Path:
    """Write so many images with bars, and their labels, as the four IDX files of a folder."""
    for part, count, seed in (("train", train, 1), ("t10k", test, 2)):
        images, labels = bars(count, seed)
        write_idx(folder / f"{part}-images-idx3-ubyte", images)
        write_idx(folder / f"{part}-labels-idx1-ubyte", labels)
    return folder


def obey_permissions() -> None:
    """Let the process that is about to be started obey the modes of files, also as root."""
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP; other users have none


@pytest.fixture(scope="session")
def idx_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of four IDX files: 60 training and 23 test images of three classes."""
    return write_bars(tmp_path_factory.mktemp("idx"), 60, 23)


@pytest.fixture(scope="session", autouse=True)
def _data_dir(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Lay MNIST out once, away from the user's cache."""
    patch = pytest.MonkeyPatch()
    patch.setenv("LENETSCOPE_DATA_DIR", str(tmp_path_factory.mktemp("data")))


class SmallCNN(nn.Module):
    """conv1, relu1, pool, flatten, dropout, fc: three classes of 1x10x10 images."""

    def __init__(self, outputs: int = 3, dropout: float = 0.3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, padding=1)
        self.relu1 = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(100, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.dropout(self.flatten(self.pool(self.relu1(self.conv1(x))))))


@pytest.fixture
def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """50 images (50, 1, 10, 10) of three classes that differ in brightness of a third."""
    generator = torch.Generator().manual_seed(5)
    labels = torch.arange(50) % 3
    images = torch.rand(50, 1, 10, 10, generator=generator)
    for image, label in zip(images, labels, strict=True):
        image[0, 3 * label : 3 * label + 3] += 1
    return images, labels


@pytest.fixture
def loaders(digits: tuple[torch.Tensor, torch.Tensor]) -> tuple[DataLoader, DataLoader]:
    """Ordinary DataLoaders: 40 images shuffled in batches of 16 (the last has 8), 10 to validate."""
    images, labels = digits
    train = TensorDataset(images[:40], labels[:40])
    valid = TensorDataset(images[40:], labels[40:])
    return DataLoader(train, batch_size=16, shuffle=True), DataLoader(valid, batch_size=8)


@pytest.fixture
def make_arch(loaders: tuple[DataLoader, DataLoader]) -> "Callable[..., Architecture]":
    """Return a function that makes the same small training each time it is called."""

    from lenetscope import Architecture

    def make(lr: float = 0.05, dropout: float = 0.3, **options: object) -> Architecture:
        torch.manual_seed(3)
        model = SmallCNN(dropout=dropout)
        optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
        arch = Architecture(model, nn.CrossEntropyLoss(), optimizer, device="cpu", **options)
        arch.set_loaders(*loaders)
        return arch

    return make


def same_weights(first: nn.Module, second: nn.Module) -> bool:
    """Tell whether two networks are bit for bit the same."""
    mine, theirs = first.state_dict(), second.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[k], theirs[k]) for k in mine)


@dataclass(frozen=True)
class Installed:
    """The built wheel in an environment of its own, which borrows the dependencies of this one."""

    wheel: Path
    environment: Path

    @property
    def python(self) -> str:
        return str(self.environment / "bin" / "python")

    def run(self, command: str, folder: Path) -> "subprocess.CompletedProcess[str]":
        path = f"{self.environment / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            command, shell=True, cwd=folder, env=os.environ | {"PATH": path},
            capture_output=True, text=True, check=False,
        )  # fmt: skip


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Build the wheel and install it."""
    folder = tmp_path_factory.mktemp("wheel")
    root = Path(__file__).parents[1]
    build = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(folder),
        str(root),
    ]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    environment = folder / "environment"
    venv.create(environment, with_pip=False)
    packages = next((environment / "lib").glob("python*")) / "site-packages"
    # a .pth file in here is read, the ones in the folders that it names are not: so the project's own
    # editable installation stays out of sight
    (packages / "borrowed.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    install = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python"), "install",
               "--quiet", "--no-deps", "--no-index", "--force-reinstall", str(wheel)]  # fmt: skip
    subprocess.run(install, check=True, capture_output=True)
    return Installed(wheel, environment)


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """Chromium, to read pages with."""
    arguments = [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
    ]  # fmt: skip
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        chromium = play.chromium.launch(
            executable_path=shutil.which("chromium") or "/usr/bin/chromium", args=arguments
        )
        yield chromium
        chromium.close()


EPS = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 28 28
%%EndComments
(/tmp/of-the-attacker) (w) file closefile
showpage
%%EOF
"""


@pytest.fixture
def ghostscript(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that exists once Ghostscript has been run."""
    ran, program = tmp_path / "ran", tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {ran}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)  # Pillow looks it up once
    return ran
