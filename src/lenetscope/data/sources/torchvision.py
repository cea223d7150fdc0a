"""Data sets whose files torchvision knows: where they are, and their checksums.

The files are looked for in the folder, and below it where torchvision puts them, such as
``FashionMNIST/raw``; they may be packed. They are downloaded only when the user asks for that. EMNIST's
images, which its authors stored with rows and columns exchanged, come out upright.

G. Cohen, S. Afshar, J. Tapson and A. van Schaik, "EMNIST: extending MNIST to handwritten letters",
IJCNN 2017; H. Xiao, K. Rasul and R. Vollgraf, "Fashion-MNIST", arXiv:1708.07747; T. Clanuwat et al.,
"Deep learning for classical Japanese literature", arXiv:1812.01718; C. Yadav and L. Bottou, "Cold case:
the lost MNIST digits", NeurIPS 2019; J. Hull, "A database for handwritten text recognition research",
IEEE PAMI 16(5), 1994.
"""

import bz2
import hashlib
import io
import zipfile
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import torch

from lenetscope.data.contents import contents
from lenetscope.data.dataset import LabelledImages, RawDataset, md5, own_folder, present, reading
from lenetscope.data.sources import DATASETS, KNOWN
from lenetscope.data.sources.idx import NAMES, read_images, read_numbers, read_pair
from lenetscope.errors import DataError
from lenetscope.files import write_bytes

TRIES, SECONDS = 2, 60
"""How often a file is asked for at each address, and how long without an answer."""

Addresses = dict[str, tuple[list[str], str]]
"""By the name of a file as it is downloaded: where it is, and its MD5."""


def read_known(name: str, data_dir: Path | None = None, download: bool = False) -> RawDataset:
    """Read one of `KNOWN`.

    Args:
        name: of the data set.
        data_dir: folder of its files; None for the user's cache.
        download: add those that are missing, in torchvision's folder below ``data_dir``.

    Raises:
        DataError: if files are missing, corrupt or cannot be downloaded.
        StorageError: if they cannot be written.
    """
    import torchvision.datasets

    place, part = KNOWN[name]
    dataset: Any = getattr(torchvision.datasets, place)
    names = _names(place, part)
    folder = _find(data_dir or own_folder(), name, place, names, _addresses(dataset, place), download)
    files = [present(folder / each) or folder / each for each in names]
    if place == "USPS":
        train, test = map(_read_libsvm, files)
    elif place == "QMNIST":
        train, test = (_read_qmnist(*files[start : start + 2]) for start in (0, 2))
    else:
        train, test = read_pair(*files[:2]), read_pair(*files[2:])
    classes = tuple("0123456789") if place in ("QMNIST", "USPS") else tuple(dataset.classes)
    if place == "EMNIST":
        first = 1 if part == "letters" else 0  # letters are counted from 1
        classes = tuple(dataset.classes_split_dict[part][first:])
        train, test = (
            LabelledImages(images[:].transpose(2, 3).contiguous(), labels - first)
            for images, labels in (train, test)
        )
    for file, data in zip((files[0], files[-1]), (train, test), strict=True):
        if not 0 <= int(data.labels.min()) <= int(data.labels.max()) < len(classes):
            raise DataError(f"the labels beside {file} are not those of {name}.")
    checksums = {file.name.removesuffix(".gz"): md5(file) for file in files}
    return RawDataset(train, test, classes, checksums, name, folder.resolve())


for _name in KNOWN:
    DATASETS.register(_name)(partial(read_known, _name))


def _names(place: str, part: str) -> tuple[str, ...]:
    """Return the names of the files, unpacked: images and labels to train on, then to test on."""
    match place:
        case "EMNIST":
            kinds = ("images-idx3-ubyte", "labels-idx1-ubyte")
            return tuple(f"emnist-{part}-{half}-{kind}" for half in ("train", "test") for kind in kinds)
        case "QMNIST":
            kinds = ("images-idx3-ubyte", "labels-idx2-int")
            return tuple(f"qmnist-{half}-{kind}" for half in ("train", "test") for kind in kinds)
        case "USPS":
            return ("usps.bz2", "usps.t.bz2")
    return NAMES


def _addresses(dataset: Any, place: str) -> Addresses:
    """Return where torchvision has the files from."""
    match place:
        case "EMNIST":
            return {"gzip.zip": ([dataset.url], dataset.md5)}
        case "QMNIST":
            each = [pair for half in ("train", "test") for pair in dataset.resources[half]]
            return {url.rpartition("/")[2]: ([url], digest) for url, digest in each}
        case "USPS":
            return {name: ([url], digest) for url, name, digest in dataset.split_list.values()}
    return {
        file: ([mirror + file for mirror in dataset.mirrors], digest)
        for file, digest in dataset.resources
    }


def _find(
    root: Path, name: str, place: str, names: tuple[str, ...], addresses: Addresses, download: bool
) -> Path:
    """Return the folder of all files; download those that are missing, if that is allowed."""
    raw = root / place / "raw"
    for folder in (root, raw):
        if all(present(folder / each) for each in names):
            return folder
    missing = [each for each in names if not present(raw / each)]
    sources = {
        file: found
        for file, found in addresses.items()
        if file.removesuffix(".gz") in missing or place == "EMNIST"
    }
    if not download:
        there = contents(root, names) if root.exists() and root != own_folder() else ""
        raise DataError(
            f"{f'{there} ' if there else ''}'{name}' is not in {root}: add --download, or put "
            f"{', '.join(missing)} (also packed, as .gz) into {raw}."
        )
    for file, (urls, digest) in sources.items():
        content = _fetched(urls, digest, f"put {', '.join(missing)} into {raw}")
        if place == "EMNIST":
            _unpack(content, missing, raw)
        else:
            write_bytes(raw / file, content)
    return raw


def _fetched(urls: list[str], digest: str, otherwise: str) -> bytes:
    """Download a file from the first address that has it unharmed."""
    why = ""
    for url in [url for url in urls for _ in range(TRIES)]:
        try:
            with urlopen(url, timeout=SECONDS) as answer:
                content: bytes = answer.read()
        except (OSError, HTTPException) as error:
            why = str(getattr(error, "reason", None) or error or type(error).__name__)
            continue
        if hashlib.md5(content, usedforsecurity=False).hexdigest() == digest:
            return content
        why = "what came has another MD5 than torchvision knows"
    raise DataError(f"cannot download {urls[0]}: {why}. Or {otherwise}.")


def _unpack(archive: bytes, names: list[str], folder: Path) -> None:
    """Take EMNIST's files out of the archive that holds all its parts; they stay packed."""
    with zipfile.ZipFile(io.BytesIO(archive)) as packed:
        for name in names:
            write_bytes(folder / f"{name}.gz", packed.read(f"gzip/{name}.gz"))


def _read_qmnist(image_file: Path, label_file: Path) -> LabelledImages:
    """Read a part of QMNIST, whose labels are the first of eight numbers per image."""
    images, labels = read_images(image_file), read_numbers(label_file, 2)[:, 0]
    if len(images) != len(labels):
        raise DataError(f"{image_file} has {len(images)} images but {label_file.name} {len(labels)}.")
    return LabelledImages(images, torch.from_numpy(labels.astype(np.int64)))


def _read_libsvm(path: Path) -> LabelledImages:
    """Read a part of USPS: per line a label from 1 to 10 and 256 times ``index:value`` in [-1, 1]."""
    with reading(path), bz2.open(path, "rt") as file:
        rows = [line.split() for line in file]
    try:
        labels = torch.tensor([int(row[0]) - 1 for row in rows])
        texts = [[item.partition(":")[2] for item in row[1:]] for row in rows]
        values = np.asarray(texts, dtype=np.float32)
        pixels = ((values.reshape(-1, 1, 16, 16) + 1) / 2 * 255).astype(np.uint8)  # as torchvision does
    except (ValueError, IndexError) as error:
        raise DataError(f"{path} is not a file of USPS: {error}.") from error
    return LabelledImages(torch.from_numpy(pixels), labels)
