"""The bundled MNIST: unpacked and verified, by any number of processes, or a clear error."""

import hashlib
import os
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest
import torch
from torchvision.datasets import MNIST

from conftest import write_bars
from lenetscope.data.dataset import default_data_dir
from lenetscope.data.sources import DATASETS
from lenetscope.data.sources.mnist import CHECKSUMS, mnist_folder, read_mnist
from lenetscope.errors import DataError, StorageError


def test_torchvision_finds_the_whole_of_mnist_without_network(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("went to the network"))
    assert mnist_folder(tmp_path, download=True) == tmp_path / "MNIST" / "raw"
    train, test = (MNIST(tmp_path, train=train, download=False) for train in (True, False))
    assert (len(train), len(test)) == (60_000, 10_000)
    for name, expected in CHECKSUMS.items():
        content = (tmp_path / "MNIST" / "raw" / name).read_bytes()
        assert hashlib.md5(content, usedforsecurity=False).hexdigest() == expected
    resources = {name.removesuffix(".gz"): md5 for name, md5 in MNIST.resources}
    assert set(resources) == set(CHECKSUMS)


def test_reading_gives_tensors_of_the_known_counts() -> None:
    raw = read_mnist()
    assert raw.train.images.shape == (60_000, 1, 28, 28)
    assert raw.test.images.shape == (10_000, 1, 28, 28)
    assert raw.train.images.dtype == torch.uint8
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert torch.bincount(raw.train.labels).tolist() == counts
    assert torch.bincount(raw.test.labels)[:3].tolist() == [980, 1135, 1032]
    assert raw.classes == tuple("0123456789")
    assert (raw.name, raw.where) == ("mnist", default_data_dir() / "MNIST" / "raw")


def test_the_folder_is_chosen_by_argument_variable_or_cache(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("LENETSCOPE_DATA_DIR", str(tmp_path / "chosen"))
    assert default_data_dir() == tmp_path / "chosen"
    monkeypatch.delenv("LENETSCOPE_DATA_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    if sys.platform == "linux":
        assert default_data_dir() == tmp_path / "cache" / "lenetscope" / "data"


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    shutil.copytree(mnist_folder(), tmp_path / "MNIST" / "raw")
    return tmp_path


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_corrupt_file_is_named(unpacked: Path, damage: str) -> None:
    path = unpacked / "MNIST" / "raw" / "t10k-labels-idx1-ubyte"
    content = path.read_bytes()
    changed = {"cut": content[:-1], "flip": content[:-1] + bytes([content[-1] ^ 1]), "empty": b""}
    path.write_bytes(changed[damage])
    for download in (True, False):
        with pytest.raises(DataError, match=f"{path} is corrupt.*Delete it and add --download"):
            mnist_folder(unpacked, download)
    path.unlink()
    with pytest.raises(DataError, match=f"but not {path.name}.*--download"):
        mnist_folder(unpacked)
    assert not path.exists()
    mnist_folder(unpacked, download=True)
    assert path.read_bytes() == content


@pytest.mark.slow
def test_two_processes_at_once(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from lenetscope.data.sources.mnist import mnist_folder\n"
        "mnist_folder(pathlib.Path(sys.argv[1]), download=True)"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(2)]
    assert [p.wait() for p in processes] == [0, 0]
    assert sorted(p.name for p in (tmp_path / "MNIST" / "raw").iterdir()) == sorted(CHECKSUMS)
    mnist_folder(tmp_path)


def test_a_full_disk_is_reported_with_what_to_do(tmp_path: Path, monkeypatch) -> None:
    def full(*_args: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left on device. MNIST takes 55 MB"):
        mnist_folder(tmp_path, download=True)
    assert not any((tmp_path / "MNIST" / "raw").iterdir())


def test_a_damaged_package_is_reported(tmp_path: Path, monkeypatch) -> None:
    packed = tmp_path / "mnist" / "train-images-idx3-ubyte.xz"
    packed.parent.mkdir()
    content = (resources.files("lenetscope.data") / "mnist" / packed.name).read_bytes()
    packed.write_bytes(content[:5000] + bytes([content[5000] ^ 1]) + content[5001:])
    monkeypatch.setattr(resources, "files", lambda _package: tmp_path)
    with pytest.raises(DataError, match="the package is damaged .*reinstall it"):
        mnist_folder(tmp_path / "data", download=True)
    assert not (tmp_path / "data").exists()


def test_a_folder_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write .*LENETSCOPE_DATA_DIR"):
        mnist_folder(tmp_path / "file", download=True)


def test_a_read_only_folder_with_the_data_is_enough(unpacked: Path, monkeypatch) -> None:
    monkeypatch.setattr("lenetscope.data.sources.mnist.write_bytes", lambda *_: pytest.fail("wrote"))
    raw = unpacked / "MNIST" / "raw"
    assert mnist_folder(unpacked) == raw
    assert mnist_folder(raw) == raw


FOREIGN = {
    "nothing": (lambda folder: folder.rmdir(), "does not exist.*--data-dir.*--download"),
    "an empty folder": (lambda folder: None, "is empty"),
    "a file": (lambda folder: (folder.rmdir(), folder.touch()), "is a file, not a folder"),
    "other IDX files": (lambda folder: write_bars(folder, 6, 6), "are not MNIST's: use --data"),
    "other IDX files, as torchvision": (
        lambda folder: write_bars(made(folder / "FashionMNIST" / "raw"), 6, 6),
        r"FashionMNIST/raw: use --data .*FashionMNIST/raw\.",
    ),
    "other IDX files in MNIST's place": (
        lambda folder: write_bars(made(folder / "MNIST" / "raw"), 6, 6),
        "MNIST/raw are not MNIST's: use --data .*MNIST/raw",
    ),
    "compressed files": (
        lambda folder: [(folder / f"{name}.gz").touch() for name in CHECKSUMS],
        "are not MNIST's: use --data",
    ),
    "class folders": (
        lambda folder: [made(folder / name) for name in ("cat", "dog", "eel", "fox", "gnu")],
        "holds cat/, dog/, eel/ and 2 more, but not train-images.*--data reads a folder",
    ),
    "a table": (
        lambda folder: (folder / "train.csv").touch(),
        "holds train.csv, but not.*reads.*csv",
    ),
    "a name that is too long": (lambda folder: None, "File name too long"),
    "a name with a NUL": (lambda folder: None, "does not exist"),
}


def made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("what", FOREIGN)
def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path: Path, what: str) -> None:
    fill, message = FOREIGN[what]
    folder = made(tmp_path / "data")
    fill(folder)
    folder /= {"a name that is too long": "x" * 300, "a name with a NUL": "a\0b"}.get(what, "")
    before = sorted(tmp_path.rglob("*"))
    for name in ("mnist", "mnist-lines"):
        with pytest.raises(DataError, match=message) as error:
            DATASETS.get(name)(folder, False)
        assert "\n" not in str(error.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_folder_that_the_user_set_for_data_is_filled(tmp_path: Path, monkeypatch) -> None:
    write_bars(tmp_path, 6, 6)
    monkeypatch.setenv("LENETSCOPE_DATA_DIR", str(tmp_path))
    assert read_mnist().where == mnist_folder(tmp_path) == tmp_path / "MNIST" / "raw"


def test_without_a_home_a_folder_must_be_named(monkeypatch) -> None:
    monkeypatch.setattr("lenetscope.data.dataset.default_data_dir", lambda: Path("~/.cache"))
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    with pytest.raises(DataError, match="home directory.*LENETSCOPE_DATA_DIR"):
        mnist_folder()
