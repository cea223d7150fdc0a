"""The parts of a data set, and how they are described to the user."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import report_runs  # noqa: F401  # registers the dataset "strange"
from lenetscope.data import splits
from lenetscope.data.dataset import LabelledImages, RawDataset
from lenetscope.data.sources import is_path
from lenetscope.data.splits import completed, load
from lenetscope.errors import DataError, RecipeError, UsageError
from lenetscope.recipe import Recipe


def test_the_description_says_name_folder_counts_size_and_classes(idx_folder: Path) -> None:
    recipe = Recipe.load("reference", data=idx_folder, holdout=10)
    assert load(recipe).describe() == (
        f"{idx_folder.name} ({idx_folder}): 50 training, 10 validation and 23 test images of 28x28, "
        "3 classes: 0, 1, 2"
    )
    assert (
        load(recipe.replace(holdout=0))
        .describe()
        .startswith(f"{idx_folder.name} ({idx_folder}): 60 training and 23 test images")
    )
    assert load(Recipe.load("reference")).describe().endswith("10 classes: 0, 1, … 9")


def test_a_folder_for_data_that_is_not_read_from_one(idx_folder: Path) -> None:
    recipe = Recipe.load("reference", data="strange", mean=[0.5] * 3, std=[0.5] * 3)
    assert (
        load(recipe)
        .describe()
        .startswith("strange: 260 training and 104 test images of 20x16 in 3 chan")
    )
    with pytest.raises(UsageError, match="'strange' is not read from a folder: give no --data-dir"):
        load(recipe, idx_folder)


@pytest.mark.parametrize("folder", ["", 3, ["a"], b"a"])
def test_a_folder_that_is_no_path(folder: object) -> None:
    with pytest.raises(UsageError, match=r"a path must be text or a pathlib\.Path, not"):
        load(Recipe.load("reference"), folder)


def labelled(counts: list[int]) -> LabelledImages:
    """Return shuffled labels, so many of each, with images that tell their place."""
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(9))]
    return LabelledImages(torch.arange(len(labels)).reshape(-1, 1, 1, 1), labels)


def source(monkeypatch: pytest.MonkeyPatch, train: LabelledImages, **more: object) -> None:
    """Have the recipe's data be these."""
    classes = tuple(map(str, range(int(train.labels.max()) + 1)))
    raw = RawDataset(train, None, classes, {}, "x", None)
    monkeypatch.setattr(splits, "read", lambda *_: replace(raw, **more))


@pytest.mark.parametrize("counts", [[10, 10], [7, 50, 2, 23], [5] * 10, [3, 2]])
def test_without_a_test_part_a_fifth_of_each_class_is_split_off(
    monkeypatch: pytest.MonkeyPatch, counts: list[int]
) -> None:
    data = labelled(counts)
    source(monkeypatch, data)
    recipe = Recipe.load("reference", data="x")
    found = load(recipe)
    in_test = torch.bincount(found.test.labels, minlength=len(counts)).tolist()
    assert len(found.test.labels) == sum(counts) // 5
    # from each class a fifth, to within one image
    assert all(abs(taken - count / 5) <= 1 for taken, count in zip(in_test, counts, strict=True))
    both = torch.cat([found.train.images, found.test.images]).flatten().tolist()
    assert sorted(both) == list(range(sum(counts)))
    for part in (found.train, found.test):
        places = part.images.flatten()
        assert torch.equal(part.labels, data.labels[places])
        assert torch.equal(places, places.sort().values)
    assert torch.equal(load(recipe).test.images, found.test.images)
    if sum(counts) > 10:
        assert not torch.equal(load(recipe.replace(seed=1)).test.images, found.test.images)


def test_a_holdout_of_own_data_is_of_each_class_and_takes_the_last_image_of_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source(monkeypatch, labelled([40, 20, 1]), test=labelled([1, 1, 1]))
    found = load(Recipe.load("reference", data="x", holdout=12))
    assert torch.bincount(found.valid.labels, minlength=3).tolist() == [8, 4, 0]
    found = load(Recipe.load("reference", data="x", holdout=58))
    assert torch.bincount(found.train.labels).tolist() == [1, 1, 1]


def test_the_holdout_of_mnist_is_as_it_always_was() -> None:
    recipe = Recipe.load("reference", holdout=5000, seed=3)
    order = torch.randperm(60_000, generator=torch.Generator().manual_seed(3))
    whole, found = load(recipe.replace(holdout=0)).train, load(recipe)
    assert torch.equal(found.valid.labels, whole.labels[order[:5000].sort().values])
    assert torch.equal(found.train.images[7], whole.images[order[5000:].sort().values[7]])


def test_data_are_brought_to_the_recipes_form_and_one_number_is_for_each_channel(
    idx_folder: Path,
) -> None:
    recipe = Recipe.load("reference", data=idx_folder, image_size=20, channels=3, mean=0.3, std=0.2)
    found = load(recipe)
    assert found.train.images.shape == (60, 3, 20, 20)
    assert found.test.images.shape == (23, 3, 20, 20)
    done = completed(recipe, found)
    assert (done.mean, done.std) == ((0.3,) * 3, (0.2,) * 3)
    assert done == recipe.replace(mean=[0.3] * 3, std=[0.2] * 3)
    plain = Recipe.load("reference")
    assert completed(plain, load(plain)) == plain
    with pytest.raises(RecipeError, match="'channels' must be 0, 1 or 3, not 2"):
        recipe.replace(channels=2)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("mnist", False),
        ("mnits", False),
        ("", False),
        ("./mnist", True),
        ("a.csv", True),
        ("data/digits", True),
        ("C:\\data", True),
        ("module:function", False),
        ("package.module:function", False),
        ("data/x:y", True),
        ("x" * 300, True),
    ],
)
def test_what_is_a_path(data: str, expected: bool) -> None:
    assert is_path(data) is expected


def test_a_place_without_data(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    for place, message in (
        (tmp_path / "none", "none does not exist"),
        (tmp_path / "notes.txt", "notes.txt is a file, not a folder. --data reads"),
        (tmp_path, "holds notes.txt. --data reads a folder"),
        ("x" * 300, "File name too long"),
    ):
        with pytest.raises(DataError, match=message) as error:
            load(Recipe.load("reference", data=place))
        assert "\n" not in str(error.value)
