"""The data sets that torchvision knows: files, addresses, labels, and what is told of missing ones."""

import bz2
import gzip
import hashlib
import io
import zipfile
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torchvision import datasets

from conftest import write_bars, write_idx
from lenetscope.data.pixels import Form
from lenetscope.data.sources import KNOWN, read, torchvision
from lenetscope.data.sources.mnist import mnist_folder
from lenetscope.errors import DataError

GENERATOR = np.random.default_rng(7)


def part(count: int, classes: int, first: int = 0) -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(count) % classes + first
    return GENERATOR.integers(0, 256, (count, 28, 28)), labels


def write_emnist(folder: Path, split: str, classes: int, first: int = 0) -> None:
    for name in ("train", "test"):
        images, labels = part(2 * classes, classes, first)
        write_idx(folder / f"emnist-{split}-{name}-images-idx3-ubyte", images)
        write_idx(folder / f"emnist-{split}-{name}-labels-idx1-ubyte", labels)


EMNIST = {"balanced": 47, "byclass": 62, "bymerge": 47, "digits": 10, "letters": 26, "mnist": 10}


@pytest.mark.parametrize("split", EMNIST)
def test_emnist_is_upright_and_its_classes_have_names(tmp_path: Path, split: str) -> None:
    raw = tmp_path / "EMNIST" / "raw"
    raw.mkdir(parents=True)
    first = int(split == "letters")
    write_emnist(raw, split, EMNIST[split], first)
    found = read(f"emnist-{split}", Form(), tmp_path)
    theirs = datasets.EMNIST(tmp_path, split=split, train=True)
    assert torch.equal(found.train.images[:, 0], theirs.data.transpose(1, 2))
    assert torch.equal(found.train.labels, theirs.targets - first)
    assert len(found.classes) == EMNIST[split]
    assert [found.classes[k] for k in found.train.labels] == [theirs.classes[k] for k in theirs.targets]
    expected = {"letters": "abcde", "byclass": "01234", "balanced": "01234"}.get(split, "01234")
    assert "".join(found.classes[:5]) == expected
    assert found.classes[-1] == ("9" if EMNIST[split] == 10 else "t" if EMNIST[split] == 47 else "z")


@pytest.mark.parametrize(("name", "place"), [("fashion-mnist", "FashionMNIST"), ("kmnist", "KMNIST")])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("below", [True, False])
def test_files_in_the_folder_or_where_torchvision_puts_them(
    tmp_path: Path, name: str, place: str, packed: bool, below: bool
) -> None:
    folder = tmp_path / place / "raw" if below else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    write_bars(folder, 12, 6)
    plain = read(name, Form(), tmp_path)
    if packed:
        for path in list(folder.iterdir()):
            (folder / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
    raw = read(name, Form(), tmp_path)
    assert raw.train.images.shape == (12, 1, 28, 28)
    assert raw.test.images.shape == (6, 1, 28, 28)
    assert list(raw.classes) == getattr(datasets, place).classes
    assert (raw.name, raw.where) == (name, folder)
    assert raw.checksums == plain.checksums  # packed or not


def test_packed_files_of_mnist(tmp_path: Path) -> None:
    for path in mnist_folder().iterdir():
        if "labels" in path.name:
            (tmp_path / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), 1))
        else:
            (tmp_path / path.name).symlink_to(path)
    packed, plain = read("mnist", Form(), tmp_path), read("mnist", Form())
    assert packed.where == tmp_path
    assert torch.equal(packed.train.images, plain.train.images)
    assert packed.checksums == plain.checksums


def test_qmnist_and_usps_are_as_torchvision_reads_them(tmp_path: Path) -> None:
    for name in ("train", "test"):
        images, labels = part(20, 10)
        write_idx(tmp_path / f"qmnist-{name}-images-idx3-ubyte", images)
        eight = np.zeros((20, 8), dtype=">i4")
        eight[:, 0], eight[:, 3] = labels, 77
        header = bytes([0, 0, 0x0C, 2, 0, 0, 0, 20, 0, 0, 0, 8])
        (tmp_path / f"qmnist-{name}-labels-idx2-int").write_bytes(header + eight.tobytes())
    found = read("qmnist", Form(), tmp_path)
    assert torch.equal(found.test.images[:, 0], torch.from_numpy(images.astype(np.uint8)))
    assert found.test.labels.tolist() == labels.tolist()
    for name in ("usps", "usps.t"):
        values = GENERATOR.uniform(-1, 1, (20, 256)).round(4)
        lines = [
            f"{k % 10 + 1} " + " ".join(f"{i}:{v}" for i, v in enumerate(row, 1))
            for k, row in enumerate(values)
        ]
        (tmp_path / f"{name}.bz2").write_bytes(bz2.compress("\n".join(lines).encode()))
    found, theirs = read("usps", Form(), tmp_path), datasets.USPS(tmp_path, train=True)
    assert np.array_equal(found.train.images[:, 0].numpy(), theirs.data)
    assert found.train.labels.tolist() == theirs.targets
    assert found.classes == tuple("0123456789")
    (tmp_path / "usps.bz2").write_bytes(bz2.compress(b"1 1:0.5"))
    with pytest.raises(DataError, match="usps.bz2 is not a file of USPS"):
        read("usps", Form(), tmp_path)


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_missing_is_named_with_its_place(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        DataError, match=f"'{name}' is not in {tmp_path}: add --download, or put "
    ) as error:
        read(name, Form(), tmp_path)
    place = KNOWN[name][0]
    assert f"into {tmp_path}/{place}/raw." in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_labels_of_other_data_and_partly_missing_files(tmp_path: Path) -> None:
    images, labels = part(12, 12)
    for name in ("train", "t10k"):
        write_idx(tmp_path / f"{name}-images-idx3-ubyte", images)
        write_idx(tmp_path / f"{name}-labels-idx1-ubyte", labels)
    with pytest.raises(DataError, match="are not those of kmnist"):
        read("kmnist", Form(), tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="holds some of the files, but not t10k-labels-idx1-ubyte"):
        read("kmnist", Form(), tmp_path)


class Network:
    """Stands in for the network: serves files by address, and counts what is asked for."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.asked: list[str] = []

    def __call__(self, url: str, timeout: float) -> io.BytesIO:
        assert timeout > 0
        self.asked.append(url)
        if url not in self.files:
            raise URLError("Name or service not known")
        return io.BytesIO(self.files[url])


@pytest.fixture
def fashion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Small files in the place of Fashion-MNIST's, at the addresses that torchvision has."""
    source = tmp_path / "source"
    source.mkdir()
    write_bars(source, 12, 6)
    files, resources = {}, []
    mirror = datasets.FashionMNIST.mirrors[0]
    for path in sorted(source.iterdir()):
        content = gzip.compress(path.read_bytes())
        files[f"{mirror}{path.name}.gz"] = content
        resources.append((f"{path.name}.gz", hashlib.md5(content).hexdigest()))
    monkeypatch.setattr(datasets.FashionMNIST, "resources", resources)
    return files


def test_missing_files_are_downloaded_when_asked(
    tmp_path: Path, fashion: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network(fashion)
    monkeypatch.setattr(torchvision, "urlopen", network)
    raw = read("fashion-mnist", Form(), tmp_path, download=True)
    assert raw.train.images.shape == (12, 1, 28, 28)
    assert raw.where == tmp_path / "FashionMNIST" / "raw"
    assert sorted(network.asked) == sorted(fashion)
    (raw.where / "t10k-labels-idx1-ubyte.gz").unlink()
    read("fashion-mnist", Form(), tmp_path, download=True)
    assert network.asked[4:] == [next(url for url in fashion if "t10k-labels" in url)]
    read("fashion-mnist", Form(), tmp_path)
    assert len(network.asked) == 5


def test_each_address_is_tried_twice_and_a_wrong_file_is_refused(
    tmp_path: Path, fashion: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrors = ["http://first.example/", "http://second.example/"]
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", mirrors)
    network = Network({})
    monkeypatch.setattr(torchvision, "urlopen", network)
    offline = (
        "cannot download .*: Name or service not known. Or put train-images.*into .*FashionMNIST/raw"
    )
    with pytest.raises(DataError, match=offline):
        read("fashion-mnist", Form(), tmp_path, download=True)
    assert [url.rpartition("/")[0] + "/" for url in network.asked] == [m for m in mirrors for _ in "12"]
    second = {mirrors[1] + url.rpartition("/")[2]: content for url, content in fashion.items()}
    wrong = {url.replace("second", "first"): b"a page that asks for a login" for url in second}
    monkeypatch.setattr(torchvision, "urlopen", Network(second | wrong))
    assert len(read("fashion-mnist", Form(), tmp_path, download=True).train.labels) == 12
    monkeypatch.setattr(torchvision, "urlopen", Network(dict.fromkeys([*second, *wrong], b"")))
    with pytest.raises(DataError, match="another MD5"):
        read("fashion-mnist", Form(), tmp_path / "other", download=True)


def test_emnist_is_taken_out_of_its_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source"
    source.mkdir()
    write_emnist(source, "letters", 26, 1)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        for path in source.iterdir():
            packed.writestr(f"gzip/{path.name}.gz", gzip.compress(path.read_bytes()))
    digest = hashlib.md5(archive.getvalue()).hexdigest()
    monkeypatch.setattr(datasets.EMNIST, "md5", digest)
    network = Network({datasets.EMNIST.url: archive.getvalue()})
    monkeypatch.setattr(torchvision, "urlopen", network)
    raw = read("emnist-letters", Form(), tmp_path, download=True)
    assert raw.train.images.shape == (52, 1, 28, 28)
    assert raw.where == tmp_path / "EMNIST" / "raw"
    assert network.asked == [datasets.EMNIST.url]


@pytest.mark.parametrize("name", KNOWN)
def test_every_file_has_its_address(name: str) -> None:
    place, split = KNOWN[name]
    addresses = torchvision._addresses(getattr(datasets, place), place)
    names = torchvision._names(place, split)
    if place != "EMNIST":
        assert {file.removesuffix(".gz") for file in addresses} == set(names)
    for urls, digest in addresses.values():
        assert urls
        assert all(url.startswith("http") for url in urls)
        assert len(digest) == 32
