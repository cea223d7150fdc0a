"""Batches, splits and preprocessing."""

import copy
from pathlib import Path

import pytest
import torch
from torchvision.datasets import MNIST
from torchvision.transforms import v2

from lenetscope import Recipe
from lenetscope.data import dataset
from lenetscope.data.dataset import LabelledImages, Rows
from lenetscope.data.loader import BatchLoader
from lenetscope.data.preprocess import Preprocess
from lenetscope.data.sources import idx
from lenetscope.data.sources.mnist import mnist_folder
from lenetscope.data.splits import load
from lenetscope.errors import RecipeError, UsageError


def test_a_batch_is_preprocessed_value_for_value_as_image_by_image() -> None:
    reference = v2.Compose(
        [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize((0.5,), (0.5,))]
    )
    per_image = MNIST(mnist_folder().parents[1], train=False, download=False, transform=reference)
    loader = BatchLoader(load(Recipe.load("reference")).test, 1000, Preprocess((0.5,), (0.5,)))
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
def test_every_pixel_value_is_preprocessed_as_torchvision_does(channels: int) -> None:
    mean, std = (0.1307, 0.5, 0.44)[:channels], (0.3081, 0.25, 0.2)[:channels]
    reference = v2.Compose(
        [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)]
    )
    preprocess = Preprocess(mean, std)
    pixels = torch.arange(256, dtype=torch.uint8).repeat(channels).reshape(channels, 16, 16)
    before = pixels.clone()
    assert torch.equal(preprocess(pixels), reference(pixels))
    assert torch.equal(pixels, before)
    assert torch.equal(preprocess(pixels[None])[0], reference(pixels))


def numbered(count: int) -> LabelledImages:
    return LabelledImages(torch.zeros(count, 1, 2, 2, dtype=torch.uint8), torch.arange(count))


def drawn(loader: BatchLoader) -> list[int]:
    return [int(label) for _, labels in loader for label in labels]


def test_each_image_comes_once_per_pass_and_the_order_changes() -> None:
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


def test_an_augmentation_is_given_images_with_their_labels_and_may_change_both() -> None:
    def pairs(images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        assert (images[:, 0, 0, 0] == labels).all()
        half = len(labels) // 2
        both = torch.cat([images[:half], images[half : 2 * half]], dim=3)
        return both, labels[: 2 * half].reshape(2, half).T

    images = torch.arange(23, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2).contiguous()
    data = LabelledImages(images, torch.arange(23))
    seen = torch.Generator().manual_seed(1)
    loader = BatchLoader(data, 5, lambda x: x.float() + 0.5, seen, pairs)
    sizes, order = [], []
    for lines, labels in loader:
        assert lines.shape[1:] == (1, 2, 4)
        assert torch.equal(lines[:, 0, 0, ::2] - 0.5, labels.float())  # preprocessed afterwards
        sizes.append(len(lines))
        order += labels.T.flatten().tolist()
    assert sizes == [2, 2, 2, 2, 1]
    plain = drawn(BatchLoader(data, 5, lambda x: x, torch.Generator().manual_seed(1)))
    assert order == [label for k, label in enumerate(plain) if k not in (4, 9, 14, 19, 22)]
    assert drawn(BatchLoader(data, 5, lambda x: x, None, pairs)) == list(
        range(23)
    )  # in order: unchanged


def noisy(images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return images + torch.randint(100, images.shape, dtype=torch.uint8), labels


def test_batches_are_the_same_for_any_number_of_workers() -> None:
    def loader(workers: int) -> BatchLoader:
        order = torch.Generator().manual_seed(1)
        return BatchLoader(numbered(23), 5, lambda x: x.float(), order, noisy, workers)

    one, two, later = loader(1), loader(2), loader(2)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    passes = [list(one), list(one)]
    next(iter(two))  # a pass that is not finished
    two.generator.set_state(loader(2).generator.get_state())
    others = [list(two)]
    later.generator.set_state(two.generator.get_state())  # as a resumed training does
    others.append(list(copy.deepcopy(later)))
    assert torch.equal(before, torch.get_rng_state())
    for batches, same in zip(passes, others, strict=True):
        assert len(batches) == len(same) == len(one) == 5
        for (images, labels), (same_images, same_labels) in zip(batches, same, strict=True):
            assert torch.equal(images, same_images)
            assert torch.equal(labels, same_labels)
    first, second = (torch.cat([images for images, _ in batches]) for batches in passes)
    assert not torch.equal(first, second)
    assert len(first.unique()) > 50  # other random numbers in each image


def test_held_out_images_are_in_neither_part_twice(idx_folder: Path) -> None:
    recipe = Recipe.load("reference", data=idx_folder, holdout=13)
    whole = load(recipe.replace(holdout=0))
    parts = load(recipe)
    assert (len(parts.train.labels), len(parts.valid.labels), len(parts.test.labels)) == (47, 13, 23)
    together = torch.cat([parts.train.images, parts.valid.images]).flatten(1)
    assert len(torch.unique(together, dim=0)) == len(torch.unique(whole.train.images.flatten(1), dim=0))
    assert whole.valid is whole.test
    other = load(recipe.replace(seed=1))
    assert not torch.equal(other.valid.images, parts.valid.images)
    with pytest.raises(RecipeError, match="'holdout' must be below 60"):
        load(recipe.replace(holdout=60))


def test_files_too_large_for_the_memory_are_mapped_and_give_the_same_batches(
    idx_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe.load("reference", data=idx_folder, holdout=13)
    files = {path: path.read_bytes() for path in idx_folder.iterdir()}
    read = load(recipe)
    for module in (idx, dataset):
        monkeypatch.setattr(module, "MAP_ABOVE", 100)
    mapped = load(recipe)
    assert isinstance(read.train.images, torch.Tensor)
    assert isinstance(mapped.train.images, Rows)
    assert mapped.train.images.shape == read.train.images.shape == (47, 1, 28, 28)
    assert torch.equal(mapped.valid.images[:], read.valid.images)
    assert torch.equal(mapped.test.images, read.test.images)
    for seed in (None, 1):  # in order and shuffled
        batches = []
        for data in (mapped.train, read.train):
            generator = None if seed is None else torch.Generator().manual_seed(seed)
            batches.append(list(BatchLoader(data, 16, lambda x: x, generator)))
        for (images, labels), (same_images, same_labels) in zip(*batches, strict=True):
            assert torch.equal(images, same_images)
            assert torch.equal(labels, same_labels)
    mapped.test.images[0] = 7  # a change in memory stays there
    assert files == {path: path.read_bytes() for path in idx_folder.iterdir()}


def test_an_unknown_dataset_and_wrong_channels_are_reported(idx_folder: Path) -> None:
    with pytest.raises(UsageError, match="unknown data set 'mnits'; did you mean 'mnist'"):
        load(Recipe.load("reference", data="mnits"))
    with pytest.raises(RecipeError, match="must have 1 or 1 number"):
        load(Recipe.load("reference", data=idx_folder, mean=[0.5, 0.5], std=[1, 1]))
