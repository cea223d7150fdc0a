"""Recipes: the reference values, what is refused and how, and that what is written is read back."""

import dataclasses
import tomllib
from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lenetscope.errors import LenetscopeError, RecipeError, StorageError
from lenetscope.recipe import Group, Recipe, names, source
from lenetscope.registry import Registry


def test_the_reference_recipe_to_the_letter() -> None:
    assert tomllib.loads(source("reference")).keys() | {"name"} == {
        f.name for f in dataclasses.fields(Recipe)
    }
    assert Recipe.load("reference").as_dict() == {
        "name": "reference",
        "summary": "the reference network and settings, 15 epochs",
        "data": "mnist",
        "image_size": 0,
        "channels": 0,
        "holdout": 0,
        "mean": [0.5],
        "std": [0.5],
        "augmentation": "none",
        "model": "lenet",
        "dropout": 0.5,
        "loss": "cross-entropy",
        "label_smoothing": 0.0,
        "optimizer": "sgd",
        "lr": 0.01,
        "momentum": 0.9,
        "beta2": 0.999,
        "weight_decay": 0.0,
        "schedule": "constant",
        "warmup": 0.0,
        "clip_grad_norm": 0.0,
        "batch_size": 64,
        "epochs": 15,
        "patience": 0,
        "keep": "last",
        "seed": 0,
        "device": "auto",
        "precision": "32-true",
        "memory_format": "auto",
        "threads": 0,
        "workers": 0,
        "compile": False,
        "strategy": "auto",
        "logger": "none",
    }


@pytest.mark.slow
def test_the_fast_recipe_reaches_99_percent_in_one_epoch() -> None:
    from lenetscope import Architecture

    arch = Architecture.from_recipe("fast", device="cpu", seed=77)
    arch.train(progress=False)
    assert arch.total_epochs == 1
    assert arch.evaluate().accuracy >= 0.99


@pytest.mark.parametrize("name", names())
def test_every_shipped_recipe_loads_and_says_what_it_is_for(name: str) -> None:
    recipe = Recipe.load(name)
    assert recipe.summary
    assert source(name).startswith(f"# {name}: ")
    for item in dataclasses.fields(Recipe):
        if item.metadata["registry"]:
            assert getattr(recipe, item.name) in registry_of(item).names()


def registry_of(item: "dataclasses.Field") -> Registry:
    module, _, name = item.metadata["registry"].partition(":")
    return getattr(import_module(f"lenetscope.{module}"), name)


def test_every_setting_belongs_to_a_group_and_says_what_it_is() -> None:
    for item in dataclasses.fields(Recipe):
        assert (item.metadata["group"] is None) == (item.name in ("name", "summary"))
        assert item.metadata["group"] in (None, *get_args(Group))
        assert item.metadata["help"]


def test_a_file_states_only_what_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('lr = 1\nprecision = "bf16"\nmean = [0.1307]\nstd = 0.3081\n')
    recipe = Recipe.load(path, epochs=2)
    assert recipe == Recipe.load("reference").replace(
        name="mine", summary="", lr=1.0, precision="bf16-mixed", mean=[0.1307], std=[0.3081], epochs=2
    )
    assert isinstance(recipe.lr, float)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"epoch": 3}, "unknown recipe key 'epoch'; did you mean 'epochs'?"),
        ({"batch_size": 0}, "'batch_size' must be at least 1, not 0."),
        ({"batch_size": 2.5}, "'batch_size' must be a whole number, not 2.5."),
        ({"batch_size": True}, "'batch_size' must be a whole number, not True."),
        ({"lr": 0}, "'lr' must be above 0, not 0."),
        ({"lr": "fast"}, "'lr' must be a number, not 'fast'."),
        ({"lr": float("nan")}, "'lr' must be a finite number, not nan."),
        ({"lr": 10**400}, "'lr' must be a finite number"),
        ({"dropout": 1.5}, "'dropout' must be at least 0 and at most 1, not 1.5."),
        ({"device": "gpu"}, "unknown device 'gpu'; did you mean 'cpu'?"),
        ({"precision": "8"}, "unknown precision '8'"),
        ({"model": 5}, "'model' must be text, not 5."),
        ({"name": "../out"}, "'name' is the name of a folder, which '../out' cannot be."),
        ({"mean": []}, "'mean' must have a number for each channel."),
        ({"mean": [0.5, 0.5]}, "'mean' and 'std' must have the same number of values."),
        ({"std": [0.0]}, "'std' must be above 0"),
        ({"seed": -1}, "'seed' must be at least 0"),
        ({"warmup": -0.5}, "'warmup' must be at least 0, not -0.5."),
        ({"clip_grad_norm": -1}, "'clip_grad_norm' must be at least 0, not -1."),
        ({"patience": 1.5}, "'patience' must be a whole number, not 1.5."),
        ({"keep": "first"}, "unknown keep 'first'"),
        ({"logger": "comet"}, "unknown logger 'comet'"),
        ({"patience": 3}, "patience would choose by the test images: hold some training images out"),
        ({"keep": "best"}, "keep would choose by the test images: hold some training images out"),
    ],
)
def test_what_is_not_allowed_is_reported(overrides: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.load("reference", **overrides)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_recipes_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(
        RecipeError, match="unknown recipe 'reference1'; did you mean 'reference'.*Or give a path"
    ):
        Recipe.load("reference1")
    with pytest.raises(RecipeError, match="there is no recipe file"):
        Recipe.load(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("lr = = 3")
    with pytest.raises(RecipeError, match="is not valid TOML"):
        Recipe.load(tmp_path / "bad.toml")
    (tmp_path / "bin.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="is not valid TOML.*utf-8"):
        Recipe.load(tmp_path / "bin.toml")
    (tmp_path / "dir.toml").mkdir()
    with pytest.raises(StorageError, match="Is a directory"):
        Recipe.load(tmp_path / "dir.toml")


allowed = st.fixed_dictionaries(
    {},
    optional={
        "name": st.text(min_size=1, alphabet=st.characters(exclude_characters='/\\:"\n\0. ',
                                                            exclude_categories=["Cs"])),
        "summary": st.text(),
        "holdout": st.integers(0, 10**9),
        "mean": st.lists(st.floats(-10, 10), min_size=1, max_size=1),
        "std": st.lists(st.floats(1e-9, 10), min_size=1, max_size=1),
        "dropout": st.floats(0, 1),
        "lr": st.floats(1e-12, 1e6),
        "momentum": st.floats(0, 1),
        "weight_decay": st.floats(0, 1e6),
        "batch_size": st.integers(1, 10**9),
        "epochs": st.integers(1, 10**9),
        "seed": st.integers(0, 2**32 - 1),
        "device": st.sampled_from(["auto", "cpu", "cuda", "mps"]),
        "precision": st.sampled_from(["32-true", "bf16-mixed", "16-mixed", "64-true"]),
    },
)  # fmt: skip


@given(allowed)
def test_a_recipe_written_as_toml_is_read_back_equal(overrides: dict[str, object]) -> None:
    recipe = Recipe.load("reference", **overrides)
    assert Recipe(**tomllib.loads(recipe.to_toml())) == recipe


anything = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(),
    st.lists(st.one_of(st.floats(), st.text(), st.none()), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)  # fmt: skip


@given(st.sampled_from([f.name for f in dataclasses.fields(Recipe)]), anything)
def test_any_value_is_accepted_or_refused_in_one_line(key: str, value: object) -> None:
    try:
        recipe = Recipe.load("reference", **{key: value})
    except RecipeError as error:
        assert "\n" not in str(error).replace(repr(value), "")
    else:
        assert Recipe(**tomllib.loads(recipe.to_toml())) == recipe


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_file_is_a_recipe_or_a_clear_error(tmp_path_factory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("recipes") / "any.toml"
    path.write_bytes(content)
    try:
        Recipe.load(path)
    except LenetscopeError as error:
        assert str(error)
