"""Images as arrays or as the rows of a table: .csv, .csv.gz, .parquet and .npz files.

A table has a column ``label``; all others are pixels from 0 to 255 of a square image, row by row: if it
is in colour, all of its red, then all of its green and then all of its blue ones, as in CIFAR's files.
An ``.npz`` file holds x_train, y_train, x_test and y_test, as Keras names them, or images and labels.
"""

import csv
import itertools
import math
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from lenetscope.data.dataset import LabelledImages, RawDataset, md5, open_file, reading
from lenetscope.data.pixels import Array, bytes_of, natural
from lenetscope.errors import DataError

LABEL = "label"
LINES = 2048
"""Lines of a CSV file that are converted at a time."""


def read_table(path: Path) -> RawDataset:
    """Read a file of one of these kinds.

    Raises:
        DataError: if it cannot be read, or a row is not an image with its label.
    """
    kinds = {".parquet": _read_parquet, ".npz": _read_npz}
    parts = kinds.get(path.suffix.lower(), _read_csv)(path)
    classes = sorted(set(parts[0][1]), key=natural)
    found = [
        LabelledImages(images, torch.tensor(numbered(labels, classes, str(path))))
        for images, labels in parts
    ]
    path = path.resolve()
    test = found[1] if len(found) > 1 else None
    return RawDataset(found[0], test, tuple(classes), {path.name: md5(path)}, path.name, path.parent)


def numbered(labels: Sequence[str], classes: Sequence[str], name: str) -> list[int]:
    """Return the place of each label in the list of classes.

    Raises:
        DataError: if one is not in it.
    """
    places = {each: place for place, each in enumerate(classes)}
    if strange := next((each for each in labels if each not in places), None):
        raise DataError(f"{name} has the test label '{strange}', which no training image has.")
    return [places[each] for each in labels]


Part = tuple[Tensor, list[str]]
"""Images (N, C, H, W) uint8 and the names of their classes."""


def _read_csv(path: Path) -> list[Part]:
    labels: list[str] = []
    pixels: list[Array] = []
    with reading(path), open_file(path) as packed, TextIOWrapper(packed, "utf-8-sig") as file:
        try:
            heading = next(csv.reader(file), [])
            place, shape = _columns(heading, path)
            others = [column for column in range(len(heading)) if column != place]
            for start in itertools.count(2, LINES):
                lines = list(itertools.islice(file, LINES))
                if not lines:
                    break
                _require_columns(lines, len(heading), path, start)
                if not (rows := [line for line in lines if line.strip()]):
                    continue
                options: Any = {"delimiter": ",", "quotechar": '"', "comments": None}
                try:
                    pixels.append(np.loadtxt(rows, np.uint8, usecols=others, ndmin=2, **options))
                except ValueError:
                    raise _wrong_pixel(lines, place, path, start) from None
                labels += np.loadtxt(rows, str, usecols=[place], ndmin=1, **options).tolist()
        except UnicodeDecodeError as error:
            raise DataError(f"{path} is not text in UTF-8: {error.reason}.") from error
    if not labels:
        raise DataError(f"{path} has no images: there is nothing below its first line.")
    if "" in labels:
        raise DataError(f"{path}, line {labels.index('') + 2}: there is no label.")
    return [(torch.from_numpy(np.concatenate(pixels)).reshape(-1, *shape), labels)]


def _require_columns(lines: list[str], count: int, path: Path, start: int) -> None:
    for number, line in enumerate(lines, start):
        if line.strip() and (found := line.count(",") + 1) != count:
            raise DataError(
                f"{path}, line {number}: it has {found} columns, and the first line has {count}."
            )


def _wrong_pixel(lines: list[str], place: int, path: Path, start: int) -> DataError:
    """Return the error for the first line with something else than a pixel."""
    for number, row in enumerate(csv.reader(lines), start):
        for column, text in enumerate(row):
            if column != place and not (text.strip().isdecimal() and int(text) <= 255):
                return DataError(
                    f"{path}, line {number}: '{text}' in column {column + 1} is not a pixel, a whole "
                    "number from 0 to 255."
                )
    return DataError(f"{path}: there is a line below line {start - 1} that is not a row of numbers.")


def _columns(names: Sequence[str], path: Path) -> tuple[int, tuple[int, int, int]]:
    """Return the place of the label among the columns, and the shape of an image."""
    if LABEL not in names:
        first = ", ".join(names[:3])
        raise DataError(f"{path} has no column '{LABEL}' in its first line, which begins: {first}.")
    count = len(names) - 1
    for channels in (1, 3):
        side = math.isqrt(count // channels)
        if count and channels * side * side == count:
            return names.index(LABEL), (channels, side, side)
    raise DataError(
        f"{path} has {count} columns beside '{LABEL}': that is neither a square image in grey nor in "
        "three channels."
    )


def _read_parquet(path: Path) -> list[Part]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise DataError(
            f"to read {path} needs pyarrow: pip install 'lenetscope[parquet]', or save it as .csv."
        ) from error
    try:
        with reading(path):
            table = parquet.read_table(path)
    except ArrowException as error:
        raise DataError(f"{path} is not a Parquet file: {' '.join(str(error).split())}") from error
    names = list(table.column_names)
    place, shape = _columns(names, path)
    columns = [
        bytes_of(table.column(column).to_numpy(), f"{path}, column '{column}',")
        for column in names
        if column != LABEL
    ]
    pixels = torch.from_numpy(np.stack(columns, axis=1)).reshape(-1, *shape)
    labels = table.column(place).to_pylist()
    if None in labels:
        raise DataError(f"{path}, row {labels.index(None) + 1}: there is no label.")
    return [(pixels, list(map(str, labels)))]


def _read_npz(path: Path) -> list[Part]:
    pairs = [("x_train", "y_train"), ("x_test", "y_test")]
    try:
        with reading(path), np.load(path, allow_pickle=False) as file:
            names = list(file.files)
            if not {name for pair in pairs for name in pair} <= set(names):
                pairs = [("images", "labels")]
            if missing := [name for name in pairs[-1] if name not in names]:
                raise DataError(
                    f"{path} holds {', '.join(names[:6])}, but neither x_train, y_train, x_test and "
                    f"y_test, nor images and labels ({missing[0]} is missing)."
                )
            return [_part(file[x], file[y], f"{x} in {path}", y) for x, y in pairs]
    except (ValueError, BadZipFile) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} is not an .npz file of plain arrays: {error}.") from error


def _part(values: Array, labels: Array, name: str, of_labels: str) -> Part:
    if values.ndim == 3:
        values = values[:, None]
    elif values.ndim == 4 and values.shape[1] not in (1, 3):
        values = np.moveaxis(values, -1, 1)
    if values.ndim != 4 or values.shape[1] not in (1, 3) or 0 in values.shape:
        shape = "x".join(map(str, values.shape))
        raise DataError(f"{name} must be NxHxW, NxHxWxC or NxCxHxW with 1 or 3 channels, not {shape}.")
    labels = labels.reshape(-1)
    if len(labels) != len(values):
        raise DataError(f"{name} has {len(values)} images, but {of_labels} {len(labels)} labels.")
    pixels = torch.from_numpy(np.array(bytes_of(values, name)))
    return pixels, list(map(str, labels.tolist()))
