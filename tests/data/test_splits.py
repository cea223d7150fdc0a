"""The parts of a data set, and how they are described to the user."""

from pathlib import Path

import pytest

import report_runs  # noqa: F401  # registers the dataset "strange"
from lenetscope.data.splits import load
from lenetscope.errors import UsageError
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
