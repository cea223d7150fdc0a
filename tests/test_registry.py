"""Registries: filled by decorators or by a package, and what the package itself registers."""

import sys
from pathlib import Path

import pytest

from lenetscope.data.augmentations import AUGMENTATIONS
from lenetscope.data.sources import DATASETS, KNOWN
from lenetscope.errors import RecipeError, UsageError
from lenetscope.models import MODELS
from lenetscope.registry import Registry
from lenetscope.training.choices import LOSSES, OPTIMIZERS, SCHEDULES


def test_what_is_registered_is_found_and_cannot_be_registered_twice() -> None:
    registry: Registry[int] = Registry("number")
    registry.register("one")(1)
    assert registry.get("one") == 1
    assert registry.names() == ["one"]
    with pytest.raises(UsageError, match="there is already a number 'one'"):
        registry.register("one")(2)
    with pytest.raises(UsageError, match="unknown number 'won'; did you mean 'one'") as caught:
        registry.get("won")
    assert not isinstance(caught.value, RecipeError)


def test_a_file_of_a_package_registers_its_name_when_it_is_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, elsewhere = tmp_path / "shapes", tmp_path / "elsewhere.py"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from lenetscope.registry import Registry\nSHAPES = Registry('shape', __name__)\n"
        "SHAPES.defer('far', 'elsewhere')\n"
    )
    line = "from shapes import SHAPES\nSHAPES.register({0!r})({0!r}.upper())\n"
    (package / "round_square.py").write_text(line.format("round-square"))
    (package / "_helpers.py").write_text("raise AssertionError")
    elsewhere.write_text(line.format("far"))
    monkeypatch.syspath_prepend(tmp_path)
    from shapes import SHAPES

    assert SHAPES.names() == ["far", "round-square"]
    assert not {"shapes.round_square", "elsewhere"} & set(sys.modules)
    assert [SHAPES.get(name) for name in SHAPES.names()] == ["FAR", "ROUND-SQUARE"]
    with pytest.raises(UsageError, match="Known: 'far' or 'round-square'"):
        SHAPES.get("helpers")
    (package / "cube.py").write_text("")
    with pytest.raises(UsageError, match="shapes.cube registers no shape 'cube'"):
        SHAPES.get("cube")


def test_what_a_user_names_is_imported_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_things.py").write_text("seven = 7\n")
    (tmp_path / "own_broken.py").write_text("1 / 0\n")
    (tmp_path / "own_needs.py").write_text("import own_missing\n")
    registry: Registry[int] = Registry("number", open=True)
    before = list(sys.path)
    assert registry.get("own_things:seven") == 7
    for name, said in {
        "own_things:eight": "own_things has no 'eight'",
        "own_thing:seven": "there is no module 'own_thing' in",
        "own_broken:x": "importing own_broken failed: ZeroDivisionError",
        "own_needs:x": "importing own_needs failed: No module named 'own_missing'",
        ":x": "'module:name'",
    }.items():
        with pytest.raises(UsageError, match=said):
            registry.get(name)
    assert sys.path == before
    closed: Registry[int] = Registry("number")
    with pytest.raises(UsageError, match="unknown number"):
        closed.get("own_things:seven")


def shipped(registry: Registry) -> list[str]:
    """The names that the package itself registers, not those of other tests."""
    entries = {name: registry.get(name) for name in registry.names()}
    functions = {name: getattr(entry, "func", entry) for name, entry in entries.items()}
    return [n for n, f in functions.items() if f is None or f.__module__.startswith("lenetscope.")]


def test_what_the_package_registers() -> None:
    assert shipped(AUGMENTATIONS) == ["affine", "lines", "none", "shift"]
    assert shipped(DATASETS) == sorted(["mnist", "mnist-lines", *KNOWN])
    assert shipped(MODELS) == ["lean", "lenet", "lenet5", "mlp", "reader", "resnet"]
    assert shipped(LOSSES) == ["cross-entropy", "ctc"]
    assert shipped(OPTIMIZERS) == ["adam", "adamw", "muon", "sgd"]
    assert shipped(SCHEDULES) == ["constant", "cosine", "one-cycle"]


@pytest.mark.parametrize("name", [None, 3, ["mnist"], ""])
def test_a_name_that_is_no_name(name: object) -> None:
    with pytest.raises(UsageError, match="unknown data set.* Known: .*'emnist-balanced'"):
        DATASETS.get(name)
