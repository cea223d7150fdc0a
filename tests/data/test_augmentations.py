"""Augmentation: batched, and what it does to one image is what it does to that image in a batch."""

from pathlib import Path

import pytest
import torch
from torchvision.transforms.v2 import functional as reference

from lenetscope import Architecture, Recipe
from lenetscope.data.augmentations import AUGMENTATIONS, random_affine, random_shift, shift
from lenetscope.data.preprocess import Preprocess
from lenetscope.data.splits import load
from lenetscope.errors import UsageError


@pytest.fixture(scope="module")
def digits() -> torch.Tensor:
    return load(Recipe.load("reference")).test.images[:200]


def test_a_batch_is_shifted_as_torchvision_shifts_image_by_image(digits: torch.Tensor) -> None:
    down, right = torch.randint(-5, 6, (2, len(digits)), generator=torch.Generator().manual_seed(1))
    moved = shift(digits, down, right)
    assert moved.dtype == torch.uint8
    for number, image in enumerate(digits):
        offset = [int(right[number]), int(down[number])]
        assert torch.equal(moved[number], reference.affine(image, 0.0, offset, 1.0, [0.0, 0.0]))


def test_colour_images_are_shifted_whole() -> None:
    images = torch.arange(2 * 3 * 4 * 5, dtype=torch.uint8).reshape(2, 3, 4, 5)
    moved = shift(images, torch.tensor([1, 0]), torch.tensor([0, -2]))
    assert torch.equal(moved[0, :, 1:], images[0, :, :-1])
    assert not moved[0, :, 0].any()
    assert torch.equal(moved[1, :, :, :3], images[1, :, :, 2:])


def test_random_shifts_stay_within_their_bound_and_reach_it(digits: torch.Tensor) -> None:
    dots = torch.zeros(500, 1, 28, 28, dtype=torch.uint8)
    dots[:, 0, 14, 14] = 255
    where = random_shift(dots, pixels=2)[:, 0].nonzero()[:, 1:]
    assert len(where) == 500
    assert {tuple(row) for row in (where - 14).tolist()} == {
        (y, x) for y in range(-2, 3) for x in range(-2, 3)
    }


def test_affine_without_any_change_is_the_image_and_otherwise_keeps_its_brightness(
    digits: torch.Tensor,
) -> None:
    still = random_affine(digits, degrees=0, pixels=0, scale=0, shear=0)
    assert (still.int() - digits.int()).abs().max() <= 1
    changed = random_affine(digits)
    assert changed.shape == digits.shape
    assert changed.dtype == torch.uint8
    ink = changed.float().sum() / digits.float().sum()
    assert 0.9 < ink < 1.1
    assert (changed != digits).flatten(1).any(dim=1).all()


def test_affine_rotates_about_the_centre() -> None:
    bar = torch.zeros(1, 1, 28, 28, dtype=torch.uint8)
    bar[0, 0, 4:24, 13:15] = 255
    torch.manual_seed(3)
    for _ in range(20):
        turned = random_affine(bar, degrees=45, pixels=0, scale=0, shear=0)[0, 0].float()
        mass = turned / turned.sum()
        middle = [float((mass.sum(dim=axis) * torch.arange(28)).sum()) for axis in (0, 1)]
        assert middle == pytest.approx([13.5, 13.5], abs=0.1)


@pytest.mark.parametrize("name", [name for name in AUGMENTATIONS.names() if name != "lines"])
def test_training_images_are_augmented_and_no_others(name: str, idx_folder: Path) -> None:
    recipe = Recipe.load("reference", data=idx_folder, augmentation=name, batch_size=60, device="cpu")
    arch = Architecture.from_recipe(recipe)
    splits, preprocess = load(recipe), Preprocess(recipe.mean, recipe.std)
    images, labels = next(iter(arch.train_loader))
    order = torch.randperm(60, generator=torch.Generator().manual_seed(recipe.seed))
    assert torch.equal(labels, splits.train.labels[order])
    assert torch.equal(images, preprocess(splits.train.images[order])) == (name == "none")
    valid, _ = next(iter(arch.val_loader))
    assert torch.equal(valid, preprocess(splits.valid.images))


def test_an_augmentation_may_change_labels_too(idx_folder: Path) -> None:
    recipe = Recipe.load("reader", data=idx_folder, holdout=0, batch_size=60, device="cpu")
    arch = Architecture.from_recipe(recipe)
    lines, characters = next(iter(arch.train_loader))
    assert len(lines) == len(characters)
    assert characters.ndim == 2


def test_an_unknown_augmentation_is_reported() -> None:
    with pytest.raises(UsageError, match="unknown augmentation 'shfit'"):
        AUGMENTATIONS.get("shfit")
