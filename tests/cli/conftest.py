"""The command line in this process, and a finished run that the tests of the commands share."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lenetscope.cli import main

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run a command and return (exit status, standard output, standard error)."""

    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


@pytest.fixture(scope="session")
def small(idx_folder: Path) -> list[str]:
    """Flags of a small training: three epochs on 60 images."""
    return [
        "--data", str(idx_folder), "--epochs", "3", "--batch-size", "16",
        "--device", "cpu", "--lr", "0.05",
    ]  # fmt: skip


@pytest.fixture(scope="session")
def run(small: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the small training; tests that change it copy it first."""
    run = tmp_path_factory.mktemp("runs") / "small"
    with pytest.raises(SystemExit) as ended:
        main(["train", "--run-dir", str(run), *small])
    assert not ended.value.code
    return run


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A picture of class 1, four times the size of the images."""
    pixels = np.zeros((112, 112), dtype=np.uint8)
    pixels[44:60, 16:96] = 255
    Image.fromarray(pixels).save(tmp_path / "one.png")
    return tmp_path / "one.png"
