"""Batches, splits and preprocessing."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.datasets import MNIST
from torchvision.transforms import v2

from conftest import same_weights
from lenetscope import Architecture, Recipe
from lenetscope.datasets import BatchLoader, LabelledImages, Preprocess, Rows, idx, load, splits
from lenetscope.datasets.mnist import lay_out_mnist
from lenetscope.errors import RecipeError, UsageError


def test_a_batch_is_preprocessed_value_for_value_as_image_by_image() -> None:
    reference = v2.Compose(
        [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize((0.5,), (0.5,))]
    )
    per_image = MNIST(lay_out_mnist(), train=False, download=False, transform=reference)
    loader = BatchLoader(load(Recipe.load("seed")).test, 1000, Preprocess((0.5,), (0.5,)))
    row = 0
    for images, labels in loader:
        assert type(images) is torch.Tensor
        for number in range(0, 1000, 7):
            expected, label = per_image[row + number]
            assert torch.equal(images[number], expected)
            assert labels[number] == label
        row += 1000
    assert row == 10_000


@pytest.mark.parametrize("channels", [1, 3])
def test_every_pixel_value_and_every_kind_of_image_is_preprocessed_as_torchvision_does(
    channels: int,
) -> None:
    mean, std = (0.1307, 0.5, 0.44)[:channels], (0.3081, 0.25, 0.2)[:channels]
    reference = v2.Compose(
        [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)]
    )
    preprocess = Preprocess(mean, std)
    pixels = torch.arange(256, dtype=torch.uint8).repeat(channels).reshape(channels, 16, 16)
    picture = v2.functional.to_pil_image(pixels)
    for image in (pixels, picture, np.array(picture), pixels.float() / 255, pixels.double()):
        before = image.clone() if isinstance(image, torch.Tensor) else None
        found = preprocess(image)
        assert type(found) is torch.Tensor
        assert torch.equal(found, reference(image))
        assert before is None or torch.equal(image, before)
    assert torch.equal(preprocess(pixels[None])[0], reference(pixels))


def numbered(count: int) -> LabelledImages:
    return LabelledImages(torch.zeros(count, 1, 2, 2, dtype=torch.uint8), torch.arange(count))


def drawn(loader: BatchLoader) -> list[int]:
    return [int(label) for _, labels in loader for label in labels]


def test_each_image_comes_once_a_pass_and_the_order_changes() -> None:
    loader = BatchLoader(numbered(23), 5, lambda x: x, torch.Generator().manual_seed(1))
    first, second = drawn(loader), drawn(loader)
    assert sorted(first) == sorted(second) == list(range(23))
    assert first != second
    assert len(loader) == 5
    again = BatchLoader(numbered(23), 5, lambda x: x, torch.Generator().manual_seed(1))
    assert drawn(again) == first
    assert [len(labels) for _, labels in loader] == [5, 5, 5, 5, 3]


def test_without_a_generator_the_order_is_that_of_the_data() -> None:
    assert drawn(BatchLoader(numbered(7), 3, lambda x: x)) == list(range(7))
    with pytest.raises(UsageError, match="'batch_size' must be at least 1"):
        BatchLoader(numbered(7), 0, lambda x: x)


def test_held_out_images_are_in_neither_part_twice(idx_folder: Path) -> None:
    recipe = Recipe.load("seed", dataset="idx", holdout=13)
    whole = load(recipe.replace(holdout=0), idx_folder)
    parts = load(recipe, idx_folder)
    assert (len(parts.train.labels), len(parts.valid.labels), len(parts.test.labels)) == (47, 13, 23)
    together = torch.cat([parts.train.images, parts.valid.images]).flatten(1)
    assert len(torch.unique(together, dim=0)) == len(torch.unique(whole.train.images.flatten(1), dim=0))
    assert whole.valid is whole.test
    other = load(recipe.replace(seed=1), idx_folder)
    assert not torch.equal(other.valid.images, parts.valid.images)
    with pytest.raises(RecipeError, match="'holdout' must be below 60"):
        load(recipe.replace(holdout=60), idx_folder)


def test_files_too_large_for_the_memory_are_mapped_and_train_the_same(
    idx_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe.load(
        "seed", dataset="idx", holdout=13, epochs=1, batch_size=16, model="mlp", device="cpu"
    )
    files = {path: path.read_bytes() for path in idx_folder.iterdir()}

    def trained() -> Architecture:
        arch = Architecture.from_recipe(recipe, data_dir=idx_folder)
        arch.train(progress=False)
        return arch

    read = trained()
    for module in (idx, splits):
        monkeypatch.setattr(module, "MAP_ABOVE", 100)
    mapped = trained()
    assert isinstance(read.splits.train.images, torch.Tensor)
    assert isinstance(mapped.splits.train.images, Rows)
    assert mapped.splits.train.images.shape == read.splits.train.images.shape == (47, 1, 28, 28)
    assert torch.equal(mapped.splits.valid.images[:], read.splits.valid.images)
    assert same_weights(mapped.model, read.model)
    assert mapped.evaluate().errors == read.evaluate().errors
    mapped.splits.test.images[0] = 7  # a change in memory stays there
    assert files == {path: path.read_bytes() for path in idx_folder.iterdir()}


def test_unknown_datasets_and_wrong_channels_are_told(idx_folder: Path) -> None:
    with pytest.raises(RecipeError, match="unknown dataset 'mnits'; did you mean 'mnist'"):
        load(Recipe.load("seed", dataset="mnits"))
    with pytest.raises(RecipeError, match="must have 1 number"):
        load(Recipe.load("seed", dataset="idx", mean=[0.5, 0.5], std=[1, 1]), idx_folder)
