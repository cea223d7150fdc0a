"""IDX files: any bytes are read as they were written, or refused in one line."""

import gzip
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from conftest import obey_permissions, write_bars, write_idx
from lenetscope.data.pixels import Form
from lenetscope.data.sources import read
from lenetscope.data.sources.idx import TYPES, read_idx_folder, read_images, read_labels
from lenetscope.errors import DataError, UsageError

IMAGES, LABELS = 0x00000803, 0x00000801

in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@in_one_folder
@given(arrays(np.uint8, st.tuples(*[st.integers(1, 6)] * 3)))
def test_images_are_read_as_written(tmp_path: Path, images: np.ndarray) -> None:
    read = read_images(write_idx(tmp_path / "images", images))
    assert read.shape == (len(images), 1, *images.shape[1:])
    assert read.dtype == torch.uint8
    assert np.array_equal(read[:, 0].numpy(), images)


@in_one_folder
@given(arrays(np.uint8, st.integers(1, 20)))
def test_labels_are_read_as_written(tmp_path: Path, labels: np.ndarray) -> None:
    read = read_labels(write_idx(tmp_path / "labels", labels))
    assert read.dtype == torch.int64
    assert read.tolist() == labels.tolist()


headers = st.builds(
    lambda magic, sizes: struct.pack(f">{1 + len(sizes)}I", magic, *sizes),
    st.sampled_from([IMAGES, LABELS, 0, 0x00000D03, 2**32 - 1]),
    st.lists(st.sampled_from([0, 1, 2, 28, 2**16, 2**31, 2**32 - 1]), max_size=4),
)


@in_one_folder
@given(
    st.one_of(st.binary(max_size=40), st.builds(lambda h, b: h + b, headers, st.binary(max_size=900)))
)
@example(b"")
@example(struct.pack(">4I", IMAGES, 2**32 - 1, 2**32 - 1, 2**32 - 1))
def test_any_bytes_are_read_or_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any"
    path.write_bytes(content)
    for reader in (read_images, read_labels):
        try:
            values = reader(path)
        except DataError as error:
            assert str(path) in str(error)
            assert "\n" not in str(error)
        else:
            assert content.endswith(values.to(torch.uint8).numpy().tobytes())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is truncated: 0 bytes are too few"),
        (struct.pack(">2I", LABELS, 3) + b"abc" * 4, "is not an IDX file of images .it holds labels."),
        (b"\x89PNG" + bytes(20), "is not an IDX file of images"),
        (
            struct.pack(">4I", IMAGES, 2, 2, 2) + bytes(7),
            "is truncated: its header says 24 bytes, it has 23",
        ),
        (struct.pack(">4I", IMAGES, 2, 2, 2) + bytes(9), "is too long"),
        (struct.pack(">4I", IMAGES, 0, 28, 28), "is empty"),
        (struct.pack(">4I", IMAGES, 2**32 - 1, 28, 28), "says 3367254359296 bytes, it has 16"),
        (struct.pack(">2I", 0x0C01, 3) + bytes(12), "it holds 1-dimensional int32 numbers"),
        (struct.pack(">5I", 0x0804, 1, 1, 1, 1) + bytes(1), "it holds 4-dimensional uint8 numbers"),
        (gzip.compress(bytes(99), mtime=0), "it is compressed; give it its name"),
    ],
)
def test_the_message_says_what_is_wrong(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "images").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_images(tmp_path / "images")


def test_a_folder_of_four_files(idx_folder: Path) -> None:
    raw = read_idx_folder(idx_folder)
    assert raw.train.images.shape == (60, 1, 28, 28)
    assert raw.test.labels.shape == (23,)
    assert raw.classes == ("0", "1", "2")
    assert len(raw.checksums) == 4
    assert (raw.name, raw.where) == (idx_folder.name, idx_folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part in ("train", "t10k"):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte", np.zeros((4, 5, 6)))
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte", np.array([0, 1, 2, 1]))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        (
            "t10k-labels-idx1-ubyte",
            [0, 1, 3, 1],
            "test labels in .* go up to 3, but training labels only to 2",
        ),
        (
            "train-labels-idx1-ubyte",
            [0, 1],
            "has 4 images but train-labels-idx1-ubyte 2",
        ),
        ("t10k-images-idx3-ubyte", np.zeros((4, 6, 6)), "training images are 5x6 and test images 6x6"),
        ("train-labels-idx1-ubyte", [0, 0, 0, 0], "go up to 2, but training labels only to 0"),
    ],
)
def test_files_that_contradict_each_other(folder: Path, name: str, array: object, message: str) -> None:
    write_idx(folder / name, np.array(array))
    with pytest.raises(DataError, match=message):
        read_idx_folder(folder)


def test_one_class_is_too_few(folder: Path) -> None:
    for part in ("train", "t10k"):
        write_idx(folder / f"{part}-labels-idx1-ubyte", np.zeros(4))
    with pytest.raises(DataError, match="at least two classes are needed"):
        read(str(folder), Form())


def test_a_missing_file_and_a_missing_folder(folder: Path) -> None:
    (folder / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="holds some of the files, but not train-labels-idx1-ubyte"):
        read_idx_folder(folder)
    with pytest.raises(DataError, match="nowhere does not exist"):
        read(str(folder / "nowhere"), Form())
    with pytest.raises(UsageError, match="--download is for data with a name"):
        read(str(folder), Form(), download=True)


@pytest.mark.parametrize(
    ("make", "message"),
    [(Path.mkdir, "Is a directory"), (os.mkfifo, "it is a device, not a file")],
)
def test_what_is_not_a_file(folder: Path, make: Callable[[Path], None], message: str) -> None:
    path = folder / "t10k-labels-idx1-ubyte"
    path.unlink()
    make(path)
    with pytest.raises(DataError, match=f"cannot read {path}: {message}"):
        read_idx_folder(folder)


@pytest.mark.slow
def test_files_and_folders_without_permission(folder: Path) -> None:
    code = (
        "import pathlib, sys; from lenetscope.data.pixels import Form\n"
        "from lenetscope.data.sources import read\n"
        "for name in sys.argv[1], 'mnist':\n"
        "    try: read(name, Form(), pathlib.Path(sys.argv[1]))\n"
        "    except ValueError as error: print(error)"
    )
    path = folder / "train-labels-idx1-ubyte"
    for what, mode, message in ((path, 0, f"cannot read {path}"), (folder, 0o600, f"folder {folder}")):
        what.chmod(mode)
        done = subprocess.run(
            [sys.executable, "-c", code, str(folder)],
            capture_output=True, text=True, check=True, preexec_fn=obey_permissions,
        )  # fmt: skip
        what.chmod(0o700)
        assert [message in line for line in done.stdout.splitlines()] == [True, True]
        assert done.stdout.count("Permission denied") == 2


def test_a_folder_as_torchvision_lays_it_out_names_the_data(tmp_path: Path) -> None:
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    assert read_idx_folder(write_bars(raw, 6, 6)).name == "FashionMNIST"


@pytest.mark.parametrize("code", TYPES)
@pytest.mark.parametrize("packed", [False, True])
def test_every_type_of_numbers_packed_or_not(tmp_path: Path, code: int, packed: bool) -> None:
    for part in ("train", "t10k"):
        for kind, values in (
            ("images-idx3", np.arange(100).reshape(5, 4, 5)),
            ("labels-idx1", np.arange(5)),
        ):
            array = values.astype(TYPES[code])
            header = struct.pack(f">{1 + array.ndim}I", code * 256 + array.ndim, *array.shape)
            content = header + array.tobytes()
            path = tmp_path / f"{part}-{kind}-{np.dtype(TYPES[code]).name}"
            path = path.with_name(f"{path.name}.gz") if packed else path
            path.write_bytes(gzip.compress(content) if packed else content)
    raw = read(str(tmp_path), Form())
    assert raw.train.images.flatten().tolist() == list(range(100))
    assert raw.test.labels.tolist() == [0, 1, 2, 3, 4]
    assert raw.train.images.dtype == torch.uint8


def test_floats_of_at_most_one_are_fractions(tmp_path: Path) -> None:
    values = np.array([[[0, 0.5], [0.25, 1]]], dtype=">f4")
    path = tmp_path / "images"
    path.write_bytes(struct.pack(">4I", 0x0D03, 1, 2, 2) + values.tobytes())
    assert read_images(path).flatten().tolist() == [0, 128, 64, 255]
    path.write_bytes(struct.pack(">4I", 0x0D03, 1, 2, 2) + (values - 1).astype(">f4").tobytes())
    with pytest.raises(DataError, match="images has pixels from -1 to 0; they must be 0 to 255"):
        read_images(path)
    path.write_bytes(struct.pack(">2I", 0x0D01, 2) + np.array([0, 0.5], dtype=">f4").tobytes())
    with pytest.raises(DataError, match="images must be whole numbers from 0"):
        read_labels(path)


def test_files_with_a_point_in_their_names_and_damaged_packed_ones(
    idx_folder: Path, tmp_path: Path
) -> None:
    for path in idx_folder.iterdir():
        name = path.name.replace("-idx", ".idx")
        (tmp_path / name).write_bytes(path.read_bytes())
    assert torch.equal(
        read(str(tmp_path), Form()).train.images, read(str(idx_folder), Form()).train.images
    )
    cut = tmp_path / "train-images.idx3-ubyte"
    content = gzip.compress(cut.read_bytes())
    cut.unlink()
    for damaged in (content[:-20], b"no gzip", content[:200] + b"xxxx" + content[204:]):
        (tmp_path / f"{cut.name}.gz").write_bytes(damaged)
        with pytest.raises(DataError, match="cannot read .*train-images.idx3-ubyte.gz"):
            read(str(tmp_path), Form())
