"""Pens and strokes: against SciPy, scikit-image and distances by hand."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.measure import euler_number, label
from skimage.morphology import skeletonize

from lenetscope import Recipe
from lenetscope.data.splits import load
from lenetscope.reading.training.drawing import (
    blur,
    cut_corners,
    draw,
    path_segments,
    thin,
    uniform,
    widen,
)

CROSS = ndimage.generate_binary_structure(2, 1)


@pytest.fixture(scope="module")
def digits() -> torch.Tensor:
    return load(Recipe.load("reference")).test.images[:60, 0].float() / 255


@pytest.mark.parametrize("shape", [4000, (40, 1, 100)])
def test_random_numbers_fill_their_interval_evenly(shape: int | tuple[int, ...]) -> None:
    torch.manual_seed(0)
    numbers = uniform(shape, -2, 6)
    assert numbers.shape == torch.zeros(shape).shape
    assert -2 <= float(numbers.min()) < -1.9 < 5.9 < float(numbers.max()) <= 6
    counts = torch.histc(numbers, bins=4, min=-2, max=6) / numbers.numel()
    assert counts.tolist() == pytest.approx([0.25] * 4, abs=0.03)
    torch.manual_seed(0)
    assert torch.equal(uniform(shape, -2, 6), numbers)


def test_a_stroke_is_as_dark_as_it_is_near() -> None:
    ends, radius = (3.0, 4.0, 15.0, 9.0), 1.2
    picture = draw(torch.tensor([[ends]]), torch.tensor([radius]), 20, 18)[0]
    x0, y0, x1, y1 = ends
    steps = np.linspace(0, 1, 5001)
    path = np.stack([x0 + steps * (x1 - x0), y0 + steps * (y1 - y0)], axis=1)
    for x, y in [(3, 4), (9, 6), (9, 7), (1, 3), (16, 10), (8, 4), (0, 19), (17, 19)]:
        distance = np.hypot(*(path - (x, y)).T).min()
        assert float(picture[y, x]) == pytest.approx(np.clip(radius + 0.5 - distance, 0, 1), abs=1e-3)


def test_segments_that_are_not_there_leave_no_ink_and_pictures_do_not_mix() -> None:
    nothing = torch.full((1, 2, 4), math.nan)
    line = torch.tensor([[[2.0, 2, 9, 2], [2, 2, 2, 9]]])
    both = draw(torch.cat([nothing, line]), torch.tensor([2.0, 0.5]))
    assert not both[0].any()
    assert torch.equal(both[1:], draw(line, torch.tensor([0.5])))
    half = torch.cat([line[:, :1], nothing[:, :1]], dim=1)
    assert torch.equal(draw(half, torch.tensor([0.5])), draw(line[:, :1], torch.tensor([0.5])))


def test_corners_are_cut_at_a_quarter_and_the_ends_stay() -> None:
    points = torch.tensor([[[0.0, 0], [4, 0], [4, 4]]])
    assert cut_corners(points)[0].tolist() == [[0, 0], [3, 0], [4, 1], [4, 4]]
    assert path_segments(points)[0].tolist() == [[0, 0, 4, 0], [4, 0, 4, 4]]


def test_thinning_keeps_pieces_and_holes_and_leaves_lines(digits: torch.Tensor) -> None:
    ink = digits > 0.4
    lines = thin(ink)
    assert not (lines & ~ink).any()
    alike = 0
    for before, after in zip(ink.numpy(), lines.numpy(), strict=True):
        assert label(after, connectivity=2).max() == label(before, connectivity=2).max()
        assert euler_number(after, 2) == euler_number(before, 2)
        assert not ndimage.binary_erosion(after, np.ones((3, 3))).any()
        theirs = skeletonize(before, method="zhang")
        alike += (after & ndimage.binary_dilation(theirs, np.ones((3, 3)))).sum() / after.sum()
    assert alike / len(ink) > 0.98
    assert torch.equal(thin(lines), lines)
    assert not thin(torch.zeros(2, 5, 5, dtype=torch.bool)).any()


def test_widening_is_grey_morphology_or_a_fraction_of_it(digits: torch.Tensor) -> None:
    amounts = torch.tensor([1.0, -1.0, 0.0, 0.25])
    changed = widen(digits[:4], amounts)
    plain = [image.numpy() for image in digits[:4]]
    expected = [
        ndimage.grey_dilation(plain[0], footprint=CROSS, mode="nearest"),
        ndimage.grey_erosion(plain[1], footprint=CROSS, mode="nearest"),
        plain[2],
        0.75 * plain[3] + 0.25 * ndimage.grey_dilation(plain[3], footprint=CROSS, mode="nearest"),
    ]
    for mine, theirs in zip(changed, expected, strict=True):
        assert np.allclose(mine.numpy(), theirs, atol=1e-6)


def test_each_picture_is_blurred_by_its_own_deviation(digits: torch.Tensor) -> None:
    sigmas = torch.tensor([0.4, 0.9, 1.3])
    for mine, image, sigma in zip(blur(digits[:3], sigmas), digits, sigmas.tolist(), strict=False):
        theirs = ndimage.gaussian_filter(image.numpy(), sigma, mode="constant", radius=3)
        assert np.allclose(mine.numpy(), theirs, atol=1e-5)
