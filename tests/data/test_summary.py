"""What is counted and measured of a data set, and its picture."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lenetscope.data import summary
from lenetscope.data.dataset import LabelledImages
from lenetscope.data.splits import Splits
from lenetscope.data.summary import plot_classes, summarize


def part(values: list[int], labels: list[int], channels: int = 1) -> LabelledImages:
    """Return images of 2x2 pixels of one value each."""
    images = torch.tensor(values, dtype=torch.uint8).reshape(-1, 1, 1, 1).expand(-1, channels, 2, 2)
    return LabelledImages(images.contiguous(), torch.tensor(labels))


@pytest.fixture
def splits(tmp_path: Path) -> Splits:
    train = part([0, 51, 51, 51, 102], [0, 0, 1, 1, 1])
    test = part([51, 204, 204], [0, 0, 1])
    valid = part([0, 1], [0, 1])
    left_out = (str(tmp_path / "bad.png"),)
    return Splits(train, test, ("a", "b"), {}, "x", tmp_path, valid, left_out=left_out)


def test_counts_pixels_and_duplicates_by_hand(splits: Splits) -> None:
    found = summarize(splits)
    assert found.counts == {"train": [2, 3], "valid": [1, 1], "test": [2, 1]}
    assert found.image_shape == (1, 2, 2)
    values = np.array([0, 51, 51, 51, 102]) / 255
    assert found.mean == pytest.approx([values.mean()])
    assert found.std == pytest.approx([values.std()])
    assert found.repeated == {"train": 2, "valid": 0, "test": 1}
    assert found.in_training == {"valid": 1, "test": 1}
    # three of 51 in training and one in test, two of 204: each value has both labels
    assert found.contradictory == 6
    assert found.as_dict()["left_out"] == splits.left_out


def test_the_text_says_it(splits: Splits) -> None:
    lines = str(summarize(splits)).splitlines()
    assert lines[1:8] == [
        "images    2x2, grey",
        "balance   3 training images of 'b', 2 of 'a'",
        "pixels    mean = [0.2000], std = [0.1265]",
        "repeated  2 within training, 0 within validation, 1 within test, 1 validation images in "
        "training, 1 test images in training",
        "labels    6 images also under another label",
        "left out  1 file that cannot be read:",
        f"          {splits.left_out[0]}",
    ]
    assert lines[-4:] == [
        "class  training  validation  test",
        "a             2           1     2",
        "b             3           1     1",
        "all           5           2     3",
    ]


def test_data_in_parts_of_a_chunk_give_the_same(
    splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = summarize(splits).as_dict()
    monkeypatch.setattr(summary, "CHUNK", 2)
    found = summarize(splits).as_dict()
    assert found.pop("mean") == pytest.approx(whole.pop("mean"))
    assert found.pop("std") == pytest.approx(whole.pop("std"))
    assert found == whole


@pytest.mark.parametrize("channels", [1, 3])
def test_the_picture_shows_each_class_its_mean_first(channels: int) -> None:
    train = part([10, 30, 50, 200], [0, 0, 0, 1], channels)
    splits = Splits(train, train, ("a", "b"), {}, "x", None, train)
    figure = plot_classes(splits)
    (ax,) = figure.axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    shown = ax.get_images()[0].get_array()
    shown = np.asarray(shown if channels == 1 else shown[..., 0]) * 255
    # 2x2 pixels each, white between them, and the mean stands apart
    assert shown.shape == (5, 12)
    assert shown[0].round().tolist() == [30, 30, 255, 255, 10, 10, 255, 30, 30, 255, 50, 50]
    assert shown[3].round().tolist() == [200, 200, 255, 255, 200, 200, *[255] * 6]


@pytest.mark.parametrize(("classes", "columns"), [(14, 1), (26, 2), (80, 3)])
def test_many_classes_stand_beside_each_other(classes: int, columns: int) -> None:
    labels = list(range(classes)) * 2
    train = part(labels, labels)
    names = tuple(f"a long name of class {k}" for k in range(classes))
    figure = plot_classes(Splits(train, train, names, {}, "x", None, train))
    assert len(figure.axes) == columns
    assert sum(len(ax.get_yticks()) for ax in figure.axes) == min(classes, summary.MOST)
    assert max(figure.get_size_inches()) <= 14
    assert ("the first 63 of 80" in figure.get_suptitle()) == (classes == 80)
