import pytest

from lenetscope.datasets import AUGMENTATIONS, DATASETS
from lenetscope.errors import RecipeError, UsageError
from lenetscope.models import MODELS
from lenetscope.registry import Registry
from lenetscope.training.choices import LOSSES, OPTIMIZERS, SCHEDULES


def test_what_is_registered_is_found_and_cannot_be_registered_twice() -> None:
    registry: Registry[int] = Registry("number")
    registry.register("one")(1)
    assert registry.get("one") == 1
    assert registry.names() == ["one"]
    with pytest.raises(UsageError, match="there is a number 'one' already"):
        registry.register("one")(2)
    with pytest.raises(RecipeError, match="unknown number 'won'; did you mean 'one'"):
        registry.get("won")


def test_all_registries() -> None:
    assert AUGMENTATIONS.names() == ["none", "shift", "affine", "handwriting"]
    assert DATASETS.names() == ["mnist", "idx", "mnist-and-others"]
    assert MODELS.names() == ["lenet", "lean", "mlp", "reader"]
    assert LOSSES.names() == ["cross-entropy"]
    assert OPTIMIZERS.names() == ["sgd", "adam", "adamw"]
    assert SCHEDULES.names() == ["constant", "cosine", "one-cycle", "two-cycles"]
