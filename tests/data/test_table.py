"""CSV, Parquet and .npz files: read as they were written, or refused with the line that is wrong."""

import builtins
import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from lenetscope.data.pixels import Form
from lenetscope.data.sources import read, table
from lenetscope.errors import DataError

GENERATOR = np.random.default_rng(3)
PIXELS = GENERATOR.integers(0, 256, (7, 9))
LABELS = ["10", "2", "2", "10", "1", "1", "2"]
NUMBERS = [2, 1, 1, 2, 0, 0, 1]  # of the classes 1, 2 and 10


def write_csv(path: Path, rows: list[list[object]], heading: list[str] | None = None) -> Path:
    heading = heading or ["label", *(f"pixel{k}" for k in range(9))]
    text = "".join(",".join(map(str, row)) + "\n" for row in [heading, *rows])
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def labelled() -> list[list[object]]:
    return [[label, *row] for label, row in zip(LABELS, PIXELS.tolist(), strict=True)]


@pytest.mark.parametrize("name", ["digits.csv", "digits.csv.gz", "Digits.CSV"])
def test_a_csv_file(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "LINES", 3)
    raw = read(str(write_csv(tmp_path / name, labelled())), Form())
    assert raw.classes == ("1", "2", "10")
    assert raw.train.images.shape == (7, 1, 3, 3)
    assert np.array_equal(raw.train.images.reshape(7, 9).numpy(), PIXELS)
    assert raw.train.labels.tolist() == NUMBERS
    assert (raw.test, raw.name, raw.where) == (None, name, tmp_path)
    assert list(raw.checksums) == [name]


def test_colour_and_a_label_in_another_column(tmp_path: Path) -> None:
    heading = [*(f"p{k}" for k in range(12)), "label"]
    rows = [[*range(12), "cat"], [*range(12, 24), '"dog"']]
    images, labels = read(str(write_csv(tmp_path / "x.csv", rows, heading)), Form()).train
    assert images.shape == (2, 3, 2, 2)
    assert images[0, 0].tolist() == [[0, 1], [2, 3]]
    assert images[0, 2].tolist() == [[8, 9], [10, 11]]
    assert labels.tolist() == [0, 1]


def test_blank_lines_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "LINES", 2)
    path = write_csv(tmp_path / "x.csv", labelled())
    path.write_text(path.read_text() + "\n" * 5)
    assert len(read(str(path), Form()).train.labels) == 7


def changed(row: int, column: int, value: object) -> list[list[object]]:
    rows = labelled()
    rows[row][column] = value
    return rows


@pytest.mark.parametrize(
    ("rows", "heading", "message"),
    [
        (changed(3, 4, "x"), None, "line 5: 'x' in column 5 is not a pixel"),
        (changed(0, 9, 256), None, "line 2: '256' in column 10 is not a pixel"),
        (changed(6, 1, -1), None, "line 8: '-1' in column 2 is not a pixel"),
        (changed(1, 2, ""), None, "line 3: '' in column 3 is not a pixel"),
        (changed(4, 0, ""), None, "line 6: there is no label"),
        ([*labelled(), [1, 2]], None, "line 9: it has 2 columns, and the first line has 10"),
        ([], None, "has no images"),
        (labelled(), ["a", *"bcdefghij"], "has no column 'label' in its first line.*: a, b, c"),
        ([[1, 2, 3]], ["label", "a", "b"], "has 2 columns beside 'label': that is neither a square"),
        ([["1"]], ["label"], "has 0 columns beside 'label'"),
    ],
)
def test_a_csv_file_that_is_wrong(
    tmp_path: Path, rows: list[list[object]], heading: list[str] | None, message: str
) -> None:
    path = write_csv(tmp_path / "x.csv", rows, heading)
    with pytest.raises(DataError, match=message) as error:
        read(str(path), Form())
    assert str(path) in str(error.value)


def test_bytes_that_are_no_table(tmp_path: Path) -> None:
    for name, message in (
        ("x.csv", "x.csv is not text in UTF-8"),
        ("x.csv.gz", "cannot read .*x.csv.gz"),
        ("x.npz", "x.npz is not an .npz file"),
        ("x.parquet", "x.parquet is not a Parquet file"),
    ):
        (tmp_path / name).write_bytes(b"\xff\xfe\x00nothing")
        with pytest.raises(DataError, match=message):
            read(str(tmp_path / name), Form())
    cut = write_csv(tmp_path / "cut.csv.gz", labelled())
    cut.write_bytes(cut.read_bytes()[:-9])
    with pytest.raises(DataError, match="cannot read .*cut.csv.gz"):
        read(str(cut), Form())


def test_a_parquet_file_is_as_the_csv_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = {"label": LABELS} | {f"pixel{k}": PIXELS[:, k] for k in range(9)}
    path = tmp_path / "digits.parquet"
    parquet.write_table(pa.table(columns), path)
    raw, same = (read(str(p), Form()) for p in (path, write_csv(tmp_path / "x.csv", labelled())))
    assert raw.classes == same.classes
    assert np.array_equal(raw.train.images, same.train.images)
    assert np.array_equal(raw.train.labels, same.train.labels)
    parquet.write_table(pa.table(columns | {"pixel3": [300] * 7}), path)
    with pytest.raises(DataError, match="column 'pixel3', has pixels from 300 to 300"):
        read(str(path), Form())
    parquet.write_table(pa.table(columns | {"label": [*LABELS[:-1], None]}), path)
    with pytest.raises(DataError, match="row 7: there is no label"):
        read(str(path), Form())
    real_import = builtins.__import__

    def without(name: str, *args: object, **options: object) -> object:
        if name == "pyarrow":
            raise ImportError(name)
        return real_import(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DataError, match=r"pip install 'lenetscope\[parquet\]'"):
        read(str(path), Form())


SHAPES = {"N H W": (5, 6), "N H W 1": (5, 6, 1), "N 1 H W": (1, 5, 6), "N H W 3": (5, 6, 3)}


@pytest.mark.parametrize("shape", SHAPES)
def test_an_npz_file_as_keras_has_it(tmp_path: Path, shape: str) -> None:
    x, y = GENERATOR.integers(0, 256, (6, *SHAPES[shape])).astype(np.uint8), np.array([0, 1, 7] * 2)
    np.savez(tmp_path / "x.npz", x_train=x, y_train=y[:, None], x_test=x[:2], y_test=y[:2])
    raw = read(str(tmp_path / "x.npz"), Form())
    expected = x if x.ndim == 3 else x[:, 0] if shape == "N 1 H W" else np.moveaxis(x, -1, 1)
    assert np.array_equal(raw.train.images.numpy(), expected.reshape(raw.train.images.shape))
    assert raw.train.images.shape == (6, 3 if shape == "N H W 3" else 1, 5, 6)
    assert raw.test.images.shape[0] == 2
    assert raw.classes == ("0", "1", "7")
    assert raw.train.labels.tolist() == [0, 1, 2] * 2


def test_an_npz_file_of_images_and_names(tmp_path: Path) -> None:
    pixels = GENERATOR.random((4, 3, 3))
    np.savez(tmp_path / "x.npz", images=pixels, labels=["cat", "dog", "cat", "dog"])
    raw = read(str(tmp_path / "x.npz"), Form())
    assert raw.classes == ("cat", "dog")
    assert np.array_equal(raw.train.images[:, 0].numpy(), np.rint(pixels * 255).astype(np.uint8))


X, Y = np.zeros((4, 3, 3), dtype=np.uint8), np.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": X, "labels": Y}, "holds a, labels, but neither x_train.*images is missing"),
        ({"images": X, "labels": Y[:3]}, "has 4 images, but labels 3 labels"),
        ({"images": X[0], "labels": Y}, "must be NxHxW.*not 3x3"),
        ({"images": X[:, None, None], "labels": Y}, "must be NxHxW.*not 4x1x1x3x3"),
        ({"images": X - 1.0, "labels": Y}, "has pixels from -1 to -1; they must be 0 to 255"),
        ({"images": X + np.nan, "labels": Y}, "has pixels from nan to nan"),
        ({"images": np.array(["a"] * 4)[:, None, None], "labels": Y}, "must be numbers, not"),
        ({"images": X, "labels": np.array([{}, 1, 2, 3])}, "is not an .npz file of plain arrays"),
        (
            {"x_train": X, "y_train": Y, "x_test": X, "y_test": Y + 1},
            "has the test label '2', which no training image has",
        ),
    ],
)
def test_an_npz_file_that_is_wrong(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(DataError, match=message) as error:
        read(str(tmp_path / "x.npz"), Form())
    assert "x.npz" in str(error.value)
