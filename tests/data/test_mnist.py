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

from lenetscope.data.sources.mnist import CHECKSUMS, default_data_dir, read_mnist, unpack_mnist
from lenetscope.errors import DataError, StorageError


def test_torchvision_finds_the_whole_of_mnist_without_network(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("went to the network"))
    assert unpack_mnist(tmp_path) == tmp_path
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


def test_the_folder_is_chosen_by_argument_variable_or_cache(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("LENETSCOPE_DATA_DIR", str(tmp_path / "chosen"))
    assert default_data_dir() == tmp_path / "chosen"
    monkeypatch.delenv("LENETSCOPE_DATA_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    if sys.platform == "linux":
        assert default_data_dir() == tmp_path / "cache" / "lenetscope" / "data"


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    shutil.copytree(unpack_mnist() / "MNIST", tmp_path / "MNIST")
    return tmp_path


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_corrupt_file_is_named(unpacked: Path, damage: str) -> None:
    path = unpacked / "MNIST" / "raw" / "t10k-labels-idx1-ubyte"
    content = path.read_bytes()
    changed = {"cut": content[:-1], "flip": content[:-1] + bytes([content[-1] ^ 1]), "empty": b""}
    path.write_bytes(changed[damage])
    with pytest.raises(DataError, match=f"{path} is corrupt.*Delete it"):
        unpack_mnist(unpacked)
    path.unlink()
    unpack_mnist(unpacked)
    assert path.read_bytes() == content


@pytest.mark.slow
def test_two_processes_at_once(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from lenetscope.data.sources.mnist import unpack_mnist\n"
        "unpack_mnist(pathlib.Path(sys.argv[1]))"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(2)]
    assert [p.wait() for p in processes] == [0, 0]
    assert sorted(p.name for p in (tmp_path / "MNIST" / "raw").iterdir()) == sorted(CHECKSUMS)
    unpack_mnist(tmp_path)


def test_a_full_disk_is_reported_with_what_to_do(tmp_path: Path, monkeypatch) -> None:
    def full(*_args: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left on device. MNIST takes 55 MB.*--data-dir"):
        unpack_mnist(tmp_path)
    assert not any((tmp_path / "MNIST" / "raw").iterdir())


def test_a_damaged_package_is_reported(tmp_path: Path, monkeypatch) -> None:
    packed = tmp_path / "mnist" / "train-images-idx3-ubyte.xz"
    packed.parent.mkdir()
    content = (resources.files("lenetscope.data") / "mnist" / packed.name).read_bytes()
    packed.write_bytes(content[:5000] + bytes([content[5000] ^ 1]) + content[5001:])
    monkeypatch.setattr(resources, "files", lambda _package: tmp_path)
    with pytest.raises(DataError, match="the package is damaged .*reinstall it"):
        unpack_mnist(tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_folder_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write .*LENETSCOPE_DATA_DIR"):
        unpack_mnist(tmp_path / "file")


def test_a_read_only_folder_with_the_data_is_enough(unpacked: Path, monkeypatch) -> None:
    monkeypatch.setattr("lenetscope.data.sources.mnist.write_bytes", lambda *_: pytest.fail("wrote"))
    assert unpack_mnist(unpacked) == unpacked
