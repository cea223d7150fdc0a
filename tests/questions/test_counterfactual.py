"""Counterfactuals on networks whose answer can be computed by hand, and on the run that ships."""

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lenetscope import Inspection
from lenetscope.errors import DataError, UsageError
from lenetscope.evaluation.stroke_search import pen_width
from lenetscope.playground.lab import example
from lenetscope.questions import QUESTIONS
from lenetscope.questions.counterfactual import (
    Counterfactual,
    Stroke,
    as_pixels,
    counterfactuals,
    plot_counterfactuals,
)
from lenetscope.selection import Selection


class InkIn(nn.Module):
    """Two classes: the second if there is more ink than ``least`` in the right half, or less in all."""

    def __init__(self, least: float, sign: float = 1.0) -> None:
        super().__init__()
        self.least, self.sign = least, sign

    def forward(self, x: Tensor) -> Tensor:
        ink = x[:, :, :, 14:].sum((1, 2, 3)) if self.sign > 0 else x.sum((1, 2, 3))
        return torch.stack([torch.zeros(len(x)), self.sign * (ink - self.least)], dim=1)


def bar(channels: int = 1, height: int = 28, width: int = 28) -> Tensor:
    """An upright line of 3 x 16 pixels in the left half, light on dark."""
    image = torch.zeros(1, channels, height, width)
    image[:, :, 4:20, 5:8] = 1
    return image


def mask(stroke: Stroke, height: int, width: int) -> np.ndarray:
    """How much a stroke covers each pixel, by its distance from many points along the line."""
    points = np.array(stroke.points)
    dense = np.concatenate([np.linspace(a, b, 200) for a, b in pairwise(points)])
    y, x = np.mgrid[:height, :width]
    distance = np.hypot(x[..., None] - dense[:, 0], y[..., None] - dense[:, 1]).min(axis=2)
    return np.clip(stroke.width / 2 + 0.5 - distance, 0, 1)


def test_ink_is_added_where_the_class_needs_it_and_hardly_more() -> None:
    # each pixel of ink in the right half raises the logit by 1: 20.1 pixels are the least
    (found,) = counterfactuals(InkIn(20), bar(), 1).of_images
    assert found.found
    assert found.target == 1
    assert found.change(added=False) == 0
    assert 20.1 <= found.change() <= 22
    assert all(x >= 12 for stroke in found.strokes for x, _ in stroke.points)
    assert found.ink == 48
    assert InkIn(20)(found.images[-1:])[0, 1] >= 0.1


def test_ink_is_erased_where_it_is_too_much() -> None:
    # of the 48 pixels 33.9 may stay
    (found,) = counterfactuals(InkIn(34, sign=-1), bar(), 1).of_images
    assert found.found
    assert found.change(added=True) == 0
    assert 14.1 <= found.change() <= 17
    assert not any(stroke.added for stroke in found.strokes)


@pytest.mark.parametrize(("least", "sign"), [(45, 1), (20, -1)])
def test_the_images_are_the_strokes_drawn_one_after_the_other(least: float, sign: float) -> None:
    (found,) = counterfactuals(InkIn(least, sign), bar(), 1).of_images
    assert found.found
    assert len(found.images) == len(found.strokes) + 1 == len(found.probabilities)
    assert torch.equal(found.images[:1], bar())
    for before, after, stroke in zip(found.images, found.images[1:], found.strokes, strict=False):
        covered = mask(stroke, 28, 28)
        drawn = before[0].numpy() + covered * (float(stroke.added) - before[0].numpy())
        np.testing.assert_allclose(after[0].numpy(), drawn, atol=2e-3)
        changed = float((after - before).abs().sum())
        assert stroke.ink == pytest.approx(changed, rel=1e-4)
        # a stroke that can be seen: as wide as the line, twice as long, and half of it at least new
        assert stroke.width == pytest.approx(3.0 if stroke.added else 3.9)
        length = sum(math.dist(a, b) for a, b in pairwise(stroke.points))
        assert length >= 2.99
        assert changed >= 0.49 * covered.sum()
        assert all(0 <= x <= 27 and 0 <= y <= 27 for x, y in stroke.points)
    expected = InkIn(least, sign)(found.images).softmax(dim=1)
    torch.testing.assert_close(found.probabilities, expected)


def test_colours_and_other_sizes() -> None:
    image = torch.full((1, 3, 20, 32), 0.2)
    image[0, :, 4:16, 4:7] = torch.tensor([0.9, 0.1, 0.5])[:, None, None]

    class Red(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            red = x[:, 0, :, 16:].sum((1, 2))
            return torch.stack([red * 0 + 70, red, red * 0], dim=1)

    (found,) = counterfactuals(Red(), image).of_images  # there are 64 red, and 6.1 to come
    assert found.target == 1
    assert found.found
    # one pixel of ink is 0.7 of red
    assert 6.1 / 0.7 <= found.change() <= 1.5 * 6.1 / 0.7
    # all colours lie between those of paper and of ink
    ink = torch.tensor([0.9, 0.1, 0.5])[:, None, None]
    fraction = (found.images[-1] - 0.2) / (ink - 0.2)
    torch.testing.assert_close(fraction, fraction[:1].expand(3, -1, -1))
    assert -1e-6 <= fraction.min() <= fraction.max() <= 1 + 1e-6


def test_nothing_is_changed_where_the_target_is_predicted_already() -> None:
    (found,) = counterfactuals(InkIn(20), bar(), 0).of_images
    assert found.found
    assert found.strokes == ()
    assert found.change() == 0
    assert len(found.images) == 1


def test_it_says_so_when_nothing_is_found() -> None:
    all_images = counterfactuals(InkIn(1e4), bar(), 1, most=3)
    (found,) = all_images.of_images
    assert not found.found
    assert len(found.strokes) == 3  # those that came nearest
    assert InkIn(0)(found.images[-1:])[0, 1] > 20
    (row,) = all_images.rows
    assert (row.predicted, row.target, row.found, row.strokes) == (0, 1, False, 3)

    class Never(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.sum((1, 2, 3))[:, None] * 0 + torch.tensor([1.0, 0.0])

    (found,) = counterfactuals(Never(), bar()).of_images
    assert not found.found
    assert found.strokes == ()


def test_a_limit_of_images_and_of_time() -> None:
    (found,) = counterfactuals(InkIn(200), bar(), 1, budget=150).of_images
    assert 150 <= found.tried < 150 + 200  # it ends after the batch that reaches it
    (found,) = counterfactuals(InkIn(200), bar(), 1, seconds=1e-9).of_images
    assert found.tried == 1
    assert not found.found


def test_the_same_seed_gives_the_same_strokes_and_leaves_no_trace(
    untouched_by: Callable[[Callable[[nn.Module, Tensor, Tensor], object]], None],
) -> None:
    first, again, other = (counterfactuals(InkIn(45), bar(), 1, seed=s).of_images[0] for s in (3, 3, 4))
    assert first.strokes == again.strokes
    assert first.strokes != other.strokes
    untouched_by(lambda model, images, labels: counterfactuals(model, images[:2], labels[:2]))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_number_formats(dtype: torch.dtype) -> None:
    class Mean(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(784, 2, dtype=dtype)
            nn.init.zeros_(self.fc.weight)
            nn.init.zeros_(self.fc.bias)
            self.fc.weight.data[0, :400] = 0.1

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(x.flatten(1))

    (found,) = counterfactuals(Mean(), bar().to(dtype)).of_images
    assert found.images.dtype == dtype
    assert found.tried > 1


def test_wrong_arguments() -> None:
    with pytest.raises(DataError, match="single colour"):
        counterfactuals(InkIn(3), torch.ones(1, 1, 28, 28))
    with pytest.raises(DataError):
        counterfactuals(InkIn(3), bar(), 2)
    for options in ({"most": 0}, {"budget": 0}, {"seconds": 0}, {"seconds": math.nan}):
        with pytest.raises(UsageError, match="at least 1"):
            counterfactuals(InkIn(3), bar(), **options)


def test_the_width_of_a_pen() -> None:
    ink = np.zeros((28, 28))
    ink[2:25, 10:14] = 1
    assert pen_width(ink) == pytest.approx(3, abs=1.01)
    assert pen_width(np.ones((28, 28))) == pytest.approx(28 / 6)
    ink[:] = 0
    ink[3, 3] = 1
    assert pen_width(ink) == 2


@pytest.mark.slow
def test_digits_of_the_run_that_ships() -> None:
    inspection = Inspection.open(example(), device="cpu")
    rows = [0, 1, 2, 3]
    found = counterfactuals(inspection.model, inspection.images[rows])
    assert [row.found for row in found.rows] == [True] * 4
    assert max(row.relative for row in found.rows) < 0.4
    for each in found.of_images:
        check_whole_pixels(inspection, each)
    figure = plot_counterfactuals(found, inspection.classes)
    assert len(figure.axes) == 12
    figure.draw_without_rendering()
    question = QUESTIONS.get("counterfactual")
    inspection.examples = rows[:2]
    assert question.part(inspection).html.count("<img") == 4
    selection = Selection(inspection.pixels[:1], None, None)
    assert [name for name, _ in question.figures(inspection, selection)] == ["counterfactual"]


def check_whole_pixels(inspection: Inspection, found: Counterfactual) -> None:
    """The prediction is the same when the image is rounded to 256 levels."""
    pixels = as_pixels(inspection, found.images)
    assert torch.equal(inspection.prepared(pixels[:1]), found.images[:1])
    logits = inspection.model(inspection.prepared(pixels[-1:]))
    assert int(logits.argmax()) == found.target
