"""A file that disagrees with PyTorch is not kept, and nothing is left of it."""

import dataclasses
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from lenetscope.data.splits import Splits
from lenetscope.errors import ExportError, StorageError, UsageError
from lenetscope.export import FLOAT32, FORMATS, Format, Limits
from lenetscope.export.exportable import Exportable
from lenetscope.export.formats.pt2 import open_pt2, write_pt2
from lenetscope.export.predictor import Predictor
from lenetscope.export.proof import Agreement, Proof, prove
from lenetscope.export.write import export
from lenetscope.table import Table

Make = Callable[..., tuple[Exportable, Splits]]


@pytest.fixture
def wrong() -> Iterator[None]:
    """Register a format that forgets to subtract the mean."""

    def write(exportable: Exportable, splits: Splits, path: Path) -> None:
        write_pt2(dataclasses.replace(exportable, mean=(0.0,)), splits, path)

    FORMATS.register("wrong")(Format("Wrong", "wrong.pt2", write, open_pt2))
    yield
    del FORMATS._entries["wrong"]


def test_a_wrong_file_is_not_kept(make: Make, wrong: None, tmp_path: Path) -> None:
    exportable, splits = make()
    with pytest.raises(ExportError, match=r"is not what PyTorch computes, and is not kept: in batches"):
        export(exportable, splits, "wrong", tmp_path / "a" / "b")
    assert not any(tmp_path.iterdir())
    export(exportable, splits, "pt2", tmp_path / "a" / "b")
    before = {path: path.read_bytes() for path in (tmp_path / "a").rglob("*") if path.is_file()}
    with pytest.raises(ExportError):
        export(exportable, splits, "wrong", tmp_path / "a" / "b", overwrite=True)
    after = {path: path.read_bytes() for path in (tmp_path / "a").rglob("*") if path.is_file()}
    assert before == after


def test_what_was_exported_is_replaced_only_if_asked_for(make: Make, tmp_path: Path) -> None:
    exportable, splits = make()
    export(exportable, splits, "pt2", tmp_path / "x")
    with pytest.raises(StorageError, match=r"x exists already and is not overwritten.*--overwrite"):
        export(exportable, splits, "pt2", tmp_path / "x")
    (tmp_path / "x" / "mine.txt").write_text("notes")
    export(exportable, splits, "pt2", tmp_path / "x", overwrite=True)
    assert not (tmp_path / "x" / "mine.txt").exists()
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("all of it")
    with pytest.raises(StorageError, match="is no export: it is not overwritten"):
        export(exportable, splits, "pt2", tmp_path / "home", overwrite=True)
    assert (tmp_path / "home" / "thesis.tex").exists()
    with pytest.raises(UsageError, match="unknown format 'onxx'; did you mean 'onnx'"):
        export(exportable, splits, "onxx", tmp_path / "y")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "x"]


def off_by(exportable: Exportable, amount: float) -> Predictor:
    """Return a predictor that moves so much probability from the first class to the second."""
    right = Predictor.of_module(exportable.module, exportable.metadata())

    def compute(images: np.ndarray) -> np.ndarray:
        return right.probabilities(images) + np.array([-amount, amount, 0], dtype=np.float32)

    return dataclasses.replace(right, compute=compute)


def test_the_figures_are_those_of_the_differences(make: Make) -> None:
    exportable, splits = make()
    proof = prove(exportable, splits, off_by(exportable, 0.25))
    assert [(row.batch, row.images) for row in proof.agreements] == [(1, 70), (7, 70), (64, 70)]
    with torch.no_grad():
        expected = exportable.module(splits.test.images)
    moved = expected + torch.tensor([-0.25, 0.25, 0])
    labels = int((moved.argmax(1) != expected.argmax(1)).sum())
    assert labels > 0
    for row in proof.agreements:
        assert row.largest == pytest.approx(0.25, abs=1e-6)
        assert row.mean == pytest.approx(0.5 / 3, abs=1e-6)
        assert row.labels == labels
    assert proof.correct == int((moved.argmax(1) == splits.test.labels).sum())
    assert proof.torch_correct == int((expected.argmax(1) == splits.test.labels).sum())


def test_many_test_images_are_sampled_for_small_batches(make: Make) -> None:
    exportable, splits = make()
    test = type(splits.test)(splits.test.images.repeat(20, 1, 1, 1), splits.test.labels.repeat(20))
    many = Splits(**vars(splits) | {"test": test})
    sizes = set()
    right = Predictor.of_module(exportable.module, exportable.metadata())

    def compute(images: np.ndarray) -> np.ndarray:
        sizes.add(len(images))
        return right.probabilities(images)

    proof = prove(exportable, many, dataclasses.replace(right, compute=compute))
    assert [row.images for row in proof.agreements] == [1000, 1000, 1400]
    assert sizes == {1, 7, 1000 % 7, 64, 1400 % 64}


@pytest.mark.parametrize("amount", [0.01, math.nan])
def test_a_difference_above_the_limit_is_refused(make: Make, amount: float) -> None:
    exportable, splits = make()
    with pytest.raises(ExportError, match="the largest difference of probabilities is"):
        prove(exportable, splits, off_by(exportable, amount)).require(FLOAT32)
    prove(exportable, splits, off_by(exportable, 1e-6)).require(FLOAT32)


def test_a_tenth_of_a_point_may_be_lost_and_no_more() -> None:
    rows = Table([Agreement(64, 10_000, 0.3, 0.001, 40)])
    Proof(rows, 10_000, 9_890, 9_900).require(Limits(0.5, 0.005))
    with pytest.raises(ExportError, match=r"loses 0\.11 points of accuracy.*not 9,900"):
        Proof(rows, 10_000, 9_889, 9_900).require(Limits(0.5, 0.005))
    with pytest.raises(ExportError, match="the mean difference"):
        Proof(rows, 10_000, 9_950, 9_900).require(Limits(0.5, 0.0005))


def test_a_file_of_another_network_is_refused(make: Make) -> None:
    exportable, splits = make()
    right = off_by(exportable, 0)
    with pytest.raises(ExportError, match="other classes"):
        prove(exportable, splits, dataclasses.replace(right, classes=("a", "b", "c")))
    short = dataclasses.replace(right, compute=lambda images: np.ones((len(images), 2)))
    with pytest.raises(ExportError, match=r"answers \(70, 2\) instead of \(70, 3\)"):
        prove(exportable, splits, short)
