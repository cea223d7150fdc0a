"""The corruptions of MNIST-C: reproducible, and each does what its description says."""

import numpy as np
import pytest
from scipy import ndimage

from benchmarks.corruptions import CORRUPTIONS, _line, _plasma, corrupt, report
from lenetscope.data.sources.mnist import read_mnist


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return read_mnist().test.images[:40, 0].numpy()


def test_there_are_fifteen_and_each_is_reproducible(images: np.ndarray) -> None:
    assert len(CORRUPTIONS) == 15
    for name in CORRUPTIONS:
        first = corrupt(name, images)
        assert first.shape == images.shape
        assert first.dtype == np.uint8
        assert np.array_equal(first, corrupt(name, images)), name
        assert (first != images).any(axis=(1, 2)).mean() > 0.9, name


def test_deterministic_ones_by_hand(images: np.ndarray) -> None:
    brighter = np.minimum(255, images + 127.5)
    assert np.abs(corrupt("brightness", images) - brighter).max() <= 0.5
    striped = corrupt("stripe", images)
    assert np.array_equal(striped[:, :, 7:21], images[:, :, 7:21])
    assert np.array_equal(255 - striped[:, :, :7], images[:, :, :7])
    zoomed = ndimage.affine_transform(
        images[0] / 255, np.eye(2) / 0.7, 13.5 * (1 - 1 / 0.7), order=1, mode="constant"
    )
    assert np.abs(corrupt("scale", images[:1])[0] / 255 - zoomed).max() < 0.01


def test_translation_is_three_pixels_diagonally(images: np.ndarray) -> None:
    for before, after in zip(images, corrupt("translate", images), strict=True):
        found = [
            np.abs(np.roll(before, (y, x), (0, 1)).astype(int) - after)[4:-4, 4:-4].max() <= 1
            for y in (-3, 3)
            for x in (-3, 3)
        ]
        assert any(found)


def test_the_strength_of_the_noise() -> None:
    grey = np.full((400, 28, 28), 128, np.uint8)
    shots = corrupt("shot noise", grey) / 255
    assert set(np.unique(np.rint(shots * 3))) == {0, 1, 2, 3}
    assert (shots == 0).mean() == pytest.approx(np.exp(-3 * 128 / 255), abs=0.01)
    hit = corrupt("impulse noise", grey) != 128
    assert hit.mean() == pytest.approx(0.17, abs=0.005)


def test_blurs_keep_the_ink_and_rotations_have_the_angle(images: np.ndarray) -> None:
    for name in ("glass blur", "motion blur", "rotate"):
        assert corrupt(name, images).sum() / images.sum() == pytest.approx(1, abs=0.05), name
    bar = np.zeros((30, 28, 28), np.uint8)
    bar[:, 4:24, 13:15] = 255
    for turned in corrupt("rotate", bar):
        y, x = np.nonzero(turned > 128)
        slope = np.polyfit(y, x, 1)[0]
        assert abs(slope) == pytest.approx(np.tan(0.4), abs=0.03)


def test_lines_fade_away_from_their_centre() -> None:
    line = _line(*(np.array([value]) for value in (2.0, 10.0, 20.0, 10.0)))[0]
    assert line[10, 2:20].tolist() == [1.0] * 18
    assert not line[:, :2].any()
    assert not line[:, 20:].any()
    assert line[11, 5] == pytest.approx(1 + np.log(1 - 1 / 2.3))
    assert not line[12].any()


def test_plasma_spans_its_range_and_is_smooth() -> None:
    heights = _plasma(3, 1.4, np.random.default_rng(0))
    assert heights.shape == (3, 256, 256)
    assert heights.min((1, 2)).tolist() == [0, 0, 0]
    assert heights.max((1, 2)).tolist() == [1, 1, 1]
    steps = np.abs(np.diff(heights[:, :28, :28], axis=2)).mean()
    assert steps < 0.05


def test_the_report_has_intervals_and_the_mean_over_corruptions_only() -> None:
    facts = {
        "packages": {},
        "cpu": "c",
        "cores": 1,
        "threads": 1,
        "python": "3",
        "date": "2",
        "command": [],
    }
    rows = {name: {"reader": [50, 100]} for name in CORRUPTIONS} | {"none": {"reader": [100, 100]}}
    text = report({"machine": facts, "rows": rows})
    assert "| mean of the corruptions | **50.00** |" in text
    assert "| none | 100.00 (96.3 to 100.0) |" in text
