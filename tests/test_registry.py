import pytest

from lenetscope.datasets import AUGMENTATIONS, DATASETS
from lenetscope.errors import RecipeError, UsageError
from lenetscope.insight import METHODS
from lenetscope.inspection import QUESTIONS
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


def shipped(registry: Registry) -> list[str]:
    """The names that the package itself files, not those of other tests."""
    ours = {name: registry.get(name) for name in registry.names()}
    return [n for n, e in ours.items() if e is None or e.__module__.startswith("lenetscope.")]


def test_all_registries() -> None:
    assert shipped(AUGMENTATIONS) == ["none", "shift", "affine", "handwriting"]
    assert shipped(DATASETS) == ["mnist", "idx", "mnist-and-others"]
    assert shipped(MODELS) == ["lenet", "lean", "mlp", "reader"]
    assert shipped(LOSSES) == ["cross-entropy"]
    assert shipped(OPTIMIZERS) == ["sgd", "adam", "adamw"]
    assert shipped(SCHEDULES) == ["constant", "cosine", "one-cycle", "two-cycles"]
    assert METHODS.names() == ["saliency", "integrated-gradients", "grad-cam", "occlusion"]
    assert QUESTIONS.names() == [
        "confusion", "mistakes", "calibration", "attribution", "embedding", "filters", "maps",
        "activations", "excitation", "preference", "ablation", "curves", "health", "time",
    ]  # fmt: skip
