"""The scikit-learn classifier: its contract, and that it trains as the package trains."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from conftest import bars, same_weights
from lenetscope import Architecture, Recipe
from lenetscope.classifier import LenetscopeClassifier
from lenetscope.data.sources.idx import read_images
from lenetscope.errors import DataError, RecipeError, UsageError


def make(**options: Any) -> LenetscopeClassifier:
    """Return a classifier that trains in a moment."""
    quick = {"model": "mlp", "epochs": 2, "lr": 0.1, "batch_size": 16, "random_state": 0}
    return LenetscopeClassifier(device="cpu", threads=1, **quick | options)


def images(count: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return images with bars, (N, 28, 28) uint8, and the names of their classes."""
    pixels, labels = bars(count, seed)
    return pixels.astype(np.uint8), np.array(["top", "middle", "low"])[labels]


@pytest.mark.slow
def test_it_is_an_estimator_of_scikit_learn() -> None:
    results = check_estimator(LenetscopeClassifier(device="cpu", threads=1), on_skip=None)
    assert sum(result["status"] == "passed" for result in results) > 50
    assert not [result for result in results if result["status"] in ("failed", "xfail")]


def test_pixels_are_trained_on_as_by_the_recipe_itself(idx_folder: Path) -> None:
    """The same weights, bit for bit, as `Architecture.from_recipe` on the same images."""
    pixels = read_images(idx_folder / "train-images-idx3-ubyte").numpy()  # (60, 1, 28, 28)
    labels = bars(60, 1)[1]
    found = make(model="auto").fit(pixels, labels)
    arch = Architecture.from_recipe(found.recipe_, data=idx_folder)
    arch.train(progress=False)
    assert found.recipe_.model == "lenet"
    assert same_weights(found.architecture_.model, arch.model)
    np.testing.assert_array_equal(found.predict_proba(pixels), arch.predict_proba(pixels))


def test_labels_of_any_kind_and_probabilities() -> None:
    pixels, names = images(60)
    classifier = make(epochs=5).fit(pixels, names)
    assert classifier.classes_.tolist() == ["low", "middle", "top"]
    others, true = images(30, seed=2)
    assert classifier.score(others, true) == 1
    probabilities = classifier.predict_proba(others)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    assert classifier.classes_[probabilities.argmax(axis=1)].tolist() == true.tolist()
    # what holds pixels may have another shape and type; it is treated as in training
    np.testing.assert_array_equal(
        classifier.predict_proba(others.reshape(30, -1).astype(float)), probabilities
    )
    assert classifier.n_features_in_ == 784


def test_the_same_random_state_gives_the_same_weights_and_another_gives_others() -> None:
    pixels, names = images(30)
    first, again, other = (make(random_state=seed).fit(pixels, names) for seed in (3, 3, 4))
    assert same_weights(first.architecture_.model, again.architecture_.model)
    assert not same_weights(first.architecture_.model, other.architecture_.model)
    drawn = make(random_state=np.random.RandomState(3)).fit(pixels, names)
    assert same_weights(first.architecture_.model, drawn.architecture_.model)


def test_it_is_pickled_with_its_weights_and_without_its_data() -> None:
    pixels, names = images(600)
    classifier = make(epochs=1).fit(pixels, names)
    saved = pickle.dumps(classifier)
    np.testing.assert_array_equal(
        pickle.loads(saved).predict_proba(pixels), classifier.predict_proba(pixels)
    )
    assert len(saved) < pixels.nbytes + 101_770 * 4 * 2  # weights and momentum; no images
    assert not hasattr(clone(classifier), "classes_")


def test_it_is_searched_for_in_a_pipeline() -> None:
    X, y = load_digits(return_X_y=True)  # noqa: N806
    whole = make_pipeline(PCA(20, random_state=0), make(epochs=1))
    grid = {"lenetscopeclassifier__lr": [1e-6, 0.1], "lenetscopeclassifier__epochs": np.array([1, 2])}
    search = GridSearchCV(whole, grid, cv=2).fit(X[:200], y[:200])
    assert search.best_params_["lenetscopeclassifier__lr"] == 0.1
    assert search.best_estimator_[-1].image_shape_ == (1, 1, 20)
    assert search.score(X[200:400], y[200:400]) > 0.5


@pytest.mark.parametrize(
    ("shape", "image_shape", "expected", "network"),
    [
        ((6, 3), None, (1, 1, 3), "mlp"),
        ((6, 16), None, (1, 1, 16), "mlp"),  # a table of 16 columns, more likely than 4x4 pixels
        ((6, 64), None, (1, 8, 8), "lenet"),
        ((6, 64), (1, 1, 64), (1, 1, 64), "mlp"),
        ((6, 65), None, (1, 1, 65), "mlp"),
        ((6, 48), (3, 4, 4), (3, 4, 4), "lenet"),
        ((6, 5, 9), None, (1, 5, 9), "lenet"),
        ((6, 3, 9), None, (1, 3, 9), "mlp"),  # too low for the network
        ((6, 2, 8, 8), None, (2, 8, 8), "lenet"),
    ],
)
def test_the_shape_of_the_images_and_the_network(
    shape: tuple[int, ...], image_shape: Any, expected: tuple[int, ...], network: str
) -> None:
    numbers = np.random.default_rng(0).normal(size=shape)
    classifier = make(model="auto", epochs=1, image_shape=image_shape).fit(numbers, [0, 1] * 3)
    assert classifier.image_shape_ == expected
    assert classifier.recipe_.model == network
    assert classifier.predict(numbers).shape == (6,)


def test_a_table_is_standardised_per_column_and_images_per_channel() -> None:
    table = np.array([[1.0, 1e9, 5.0], [3.0, 1e9 + 2, 5.0], [1.0, 1e9, 5.0], [3.0, 1e9 + 2, 5.0]])
    scale = make(epochs=1).fit(table, [0, 1, 0, 1]).architecture_.preprocess
    rows = scale(torch.from_numpy(table)[:, None, None])[:, 0, 0]
    assert rows.tolist() == [[-1, -1, 0], [1, 1, 0]] * 2
    dark, bright = np.zeros((1, 2, 3)), np.full((1, 2, 3), 10.0)
    colours = np.stack([np.concatenate([dark, 2 * bright]), np.concatenate([bright, dark])])
    scale = make(epochs=1).fit(colours, [0, 1]).architecture_.preprocess  # (2, 2, 2, 3)
    assert scale(torch.from_numpy(colours))[:, :, 0, 0].tolist() == [[-1, 1], [1, -1]]


def test_a_recipe_that_holds_images_out_does_so_here() -> None:
    pixels, names = images(60)
    recipe = Recipe.load("reference", holdout=20, patience=1, epochs=50)
    classifier = make(recipe=recipe, epochs=None, batch_size=40).fit(pixels, names)
    history = classifier.architecture_.history
    assert history[0]["valid_accuracy"] * 20 == pytest.approx(round(history[0]["valid_accuracy"] * 20))
    assert len(history) < 50  # early stopping
    assert make().fit(pixels, names).architecture_.history[0]["valid_loss"] is None


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"epochs": 0}, RecipeError, "'epochs' must be at least 1"),
        ({"recipe": "referense"}, RecipeError, "did you mean 'reference'"),
        ({"model": "lenett"}, UsageError, "did you mean 'lenet'"),
        ({"model": "lean", "image_shape": (1, 1, 784)}, UsageError, "LeanNet needs images of at least"),
        ({"image_shape": (1, 28, 27)}, UsageError, r"a product of 784.*not \(1, 28, 27\)"),
        ({"recipe": Recipe.load("reference", holdout=60)}, UsageError, "holds 60 samples out"),
        ({"recipe": Recipe.load("fast", mean=[0, 0], std=[1, 1])}, UsageError, "of 2 channels"),
    ],
)
def test_what_does_not_fit_is_told(options: dict[str, Any], error: type, message: str) -> None:
    pixels, names = images(60)
    with pytest.raises(error, match=message):
        make(**options).fit(pixels.reshape(60, -1), names)


def test_an_augmentation_needs_pixels_and_a_classifier_two_classes() -> None:
    pixels, names = images(30)
    with pytest.raises(UsageError, match="'shift' changes pixels"):
        make(augmentation="shift").fit(pixels / 255, names)
    make(augmentation="shift").fit(pixels, names)
    with pytest.raises(DataError, match="all of one class, 'low'"):
        make().fit(pixels, ["low"] * 30)
