"""Each change of the augmentation ``handwriting`` does what it says, and no more."""

import pytest
import torch

from lenetscope import Recipe
from lenetscope.data.augmentations import AUGMENTATIONS
from lenetscope.data.splits import load
from lenetscope.reading.training import handwriting as room
from lenetscope.reading.training.handwriting import _CHANGES, FRACTIONS, MOVED, edge, handwriting


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return load(Recipe.load("reference")).test.images[:300]


@pytest.fixture
def digits(images: torch.Tensor) -> torch.Tensor:
    torch.manual_seed(4)
    return images[:, 0].float() / 255


def rows_of_ink(pictures: torch.Tensor, axis: int) -> torch.Tensor:
    return (pictures > 0.3).any(dim=axis).sum(dim=1)


def test_the_augmentation_is_batched_seeded_and_changes_no_input(images: torch.Tensor) -> None:
    before = images.clone()
    torch.manual_seed(9)
    first = AUGMENTATIONS.get("handwriting")(images)
    torch.manual_seed(9)
    assert torch.equal(first, handwriting(images))
    assert not torch.equal(first, handwriting(images))  # the stream has gone on
    assert torch.equal(images, before)
    assert first.shape == images.shape
    assert first.dtype == torch.uint8


def test_colour_and_other_sizes_keep_their_shape() -> None:
    colour = torch.randint(0, 256, (40, 3, 17, 30), dtype=torch.uint8)
    changed = handwriting(colour)
    assert changed.shape == colour.shape
    assert handwriting(colour[:1]).shape == (1, 3, 17, 30)
    assert not handwriting(torch.zeros(0, 1, 28, 28, dtype=torch.uint8)).numel()


@pytest.mark.parametrize("name", [*FRACTIONS, "move"])
def test_each_change_alone_gives_finite_pictures_that_differ(name: str, digits: torch.Tensor) -> None:
    change = _CHANGES.get(name, room.move)
    changed = change(digits)
    assert changed.shape == digits.shape
    assert changed.isfinite().all()
    differ = (changed != digits).flatten(1).any(dim=1).float().mean()
    assert differ > 0.5
    assert change(torch.zeros(3, 28, 28)).isfinite().all()


def test_a_fraction_of_the_images_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    dots = torch.zeros(2000, 1, 28, 28, dtype=torch.uint8)
    assert set(_CHANGES) == set(FRACTIONS) == {*room.BEFORE_MOVING, *room.AFTER_MOVING}
    assert 0 < MOVED < 1
    monkeypatch.setattr(room, "MOVED", 0.0)
    monkeypatch.setattr(room, "FRACTIONS", {name: 0.25 * (name == "paper") for name in FRACTIONS})
    torch.manual_seed(0)
    changed = handwriting(dots).flatten(1).any(dim=1).float().mean()
    assert 0.2 < changed < 0.3


def test_a_pencil_leaves_lines_about_a_pixel_wide(digits: torch.Tensor) -> None:
    drawn = room.pencil(digits)
    assert torch.allclose(drawn.amax((1, 2)), torch.ones(len(digits)))
    assert (drawn > 0.5).sum() < 0.45 * (digits > 0.5).sum()


def test_a_hollow_stroke_is_dark_at_its_edge_and_light_within() -> None:
    bar = torch.zeros(50, 28, 28)
    bar[:, 5:23, 10:18] = 1
    torch.manual_seed(0)
    for outline in room.hollow(bar):
        assert float(outline.amax()) == pytest.approx(1)
        assert not outline[8:20, 12:16].any()
        assert outline[14, 9:11].amax() > 0.5


def test_gaps_and_cuts_only_remove_ink_and_neighbours_only_add_some(digits: torch.Tensor) -> None:
    assert (room.broken(digits) <= digits).all()
    cut = room.clipped(digits)
    assert (cut <= digits).all()
    lost = torch.stack([rows_of_ink(digits, a) - rows_of_ink(cut, a) for a in (1, 2)])
    assert set(lost.amax(dim=0).tolist()) >= {1, 2, 3}
    beside = room.neighbours(digits)
    assert (beside >= digits).all()
    middle = slice(9, 19)
    assert torch.equal(beside[:, :, middle][:, :, 2:8], digits[:, :, middle][:, :, 2:8])
    assert (room.specks(digits) >= digits).all()
    assert (room.strokes(digits) >= digits).all()
    assert (room.paper_lines(digits) >= digits).all()


def test_ruled_lines_run_through_the_whole_picture() -> None:
    torch.manual_seed(2)
    ruled = room.paper_lines(torch.zeros(200, 28, 28))
    level = ruled.amin(dim=2)  # a level line fills its row
    upright = ruled.amin(dim=1)
    either = torch.maximum(level.amax(1), upright.amax(1))
    drawn = ruled.flatten(1).amax(1)
    assert torch.allclose(either[drawn > 0], drawn[drawn > 0])
    assert (drawn <= 0.6).all()
    assert (drawn > 0).float().mean() > 0.7


def test_contrast_weakens_the_ink_and_paper_becomes_grey(digits: torch.Tensor) -> None:
    assert (room.contrast(digits) <= 1).all()
    assert room.contrast(digits).mean() < digits.mean()
    ground = room.paper(torch.zeros(100, 28, 28))
    assert ground.mean() > 0.05
    assert ground.amax() <= 0.8


def test_movement_keeps_the_digit_in_the_picture(digits: torch.Tensor) -> None:
    moved = room.move(digits)
    ink = moved.sum((1, 2)) / digits.sum((1, 2))
    assert ink.min() > 0.35
    assert ink.max() < 2
    assert float(ink.mean()) == pytest.approx(1, abs=0.1)


def test_an_edge_covers_a_side_and_removes_no_ink(
    digits: torch.Tensor,
) -> None:
    torch.manual_seed(0)
    shown = edge(digits)
    assert (shown >= digits - 1e-6).all()
    assert torch.equal(shown[:, 10:18, 10:18], digits[:, 10:18, 10:18])
    rim = torch.cat([shown[:, 0], shown[:, -1], shown[:, :, 0], shown[:, :, -1]], dim=1)
    assert (rim.amax(dim=1) > 0.2).float().mean() > 0.7
