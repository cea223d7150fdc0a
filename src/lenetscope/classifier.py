"""A scikit-learn classifier that trains a recipe on arrays, for pipelines and searches.

The training is that of `Architecture`; here arrays become images, and labels of any kind the numbers
of classes.
"""

import math
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from lenetscope import building
from lenetscope.architecture import Architecture
from lenetscope.data.dataset import LabelledImages
from lenetscope.data.splits import Splits
from lenetscope.errors import DataError, UsageError
from lenetscope.models import MODELS, build
from lenetscope.observe import BATCH_SIZE
from lenetscope.recipe import Recipe

Array = npt.NDArray[Any]

SMALLEST_SIDE = 8
"""Pixels; as many features as a smaller square has are taken for a table."""

FIELDS = (
    *("model", "augmentation", "dropout", "label_smoothing", "optimizer", "lr", "momentum"),
    *("weight_decay", "schedule", "batch_size", "epochs", "device", "threads"),
)
"""Fields of the recipe that are parameters of the classifier."""


class LenetscopeClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Train a recipe on arrays, with the interface of scikit-learn.

    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)  # 1,797 images of 8x8 in 64 columns
    >>> classifier = LenetscopeClassifier(lr=0.05, epochs=5, random_state=0)
    >>> classifier.fit(X[:1500], y[:1500]).score(X[1500:], y[1500:]) > 0.85
    True

    ``X`` is an array of images, (N, H, W) or (N, C, H, W), or of one row per sample, (N, F). Rows are
    grey images if ``image_shape`` says so or F is the square of at least 8, as in the example; else
    they are a table, whose columns have no neighbours, and become images of one row, (1, 1, F). So does
    a table of 64 columns with ``image_shape=(1, 1, 64)``.

    Pixels of type uint8 lie between 0 and 255 and are preprocessed as the recipe says. All other
    numbers are standardised, with means and standard deviations of the training data: images per
    channel, tables per column. What `predict` is given is treated as what `fit` was given.

    Args:
        recipe: name, TOML file or value. Its data set is not read. Where it holds images out for
            validation, so many samples are held out here.
        model: a network's name; ``"auto"`` is the recipe's for images that are large enough for it, and
            ``"mlp"``, which has no convolution, for smaller ones and for tables.
        image_shape: (C, H, W) of the images that the rows of ``X`` hold.
        random_state: seed, or NumPy's generator, of initial weights, order and dropout.
        augmentation, dropout, label_smoothing, optimizer, lr, momentum, weight_decay, schedule,
            batch_size, epochs, device, threads: fields of the recipe; None leaves the recipe's.
        verbose: show progress, see `Architecture.train`.

    Attributes:
        classes_: (K,) the labels, sorted.
        n_features_in_: numbers per sample.
        image_shape_: (C, H, W) of the network's input.
        recipe_: what was trained, with all fields.
        architecture_: the trained `Architecture`, to look inside.
    """

    def __init__(
        self,
        recipe: str | Path | Recipe = "reference",
        *,
        model: str = "auto",
        image_shape: tuple[int, int, int] | None = None,
        random_state: Any = None,
        augmentation: str | None = None,
        dropout: float | None = None,
        label_smoothing: float | None = None,
        optimizer: str | None = None,
        lr: float | None = None,
        momentum: float | None = None,
        weight_decay: float | None = None,
        schedule: str | None = None,
        batch_size: int | None = None,
        epochs: int | None = None,
        device: str | None = None,
        threads: int | None = None,
        verbose: bool = False,
    ) -> None:
        self.recipe = recipe
        self.model = model
        self.image_shape = image_shape
        self.random_state = random_state
        self.augmentation = augmentation
        self.dropout = dropout
        self.label_smoothing = label_smoothing
        self.optimizer = optimizer
        self.lr = lr
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.batch_size = batch_size
        self.epochs = epochs
        self.device = device
        self.threads = threads
        self.verbose = verbose

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803
        """Train on samples ``X`` and their labels ``y`` (N,), from the beginning.

        Raises:
            ValueError: if the arrays are not numbers and labels of at least two classes; this includes
                `DataError`, `UsageError` for networks and images that do not fit, and `RecipeError`.
        """
        shape = np.shape(X)[1:] if hasattr(X, "shape") else ()
        X, y = validate_data(self, _rows(X), y, dtype="numeric")  # noqa: N806
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError(
                f"the labels are all of one class, {str(self.classes_[0])!r}: two are needed."
            )
        self.image_shape_ = self._shape(shape)
        images = self._images(X)
        recipe = self._recipe(images.dtype == torch.uint8)
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(recipe.seed))
        if recipe.holdout >= len(images):
            raise UsageError(
                f"the recipe holds {recipe.holdout} samples out for validation, and there are "
                f"{len(images)}: give more samples, or a recipe with holdout=0."
            )
        data = LabelledImages(images, torch.from_numpy(labels))
        parts = [order[recipe.holdout :].sort().values, order[: recipe.holdout].sort().values]
        train, valid = (LabelledImages(data.images[part], data.labels[part]) for part in parts)
        names = tuple(map(str, self.classes_.tolist()))
        splits = Splits(
            train=train, valid=valid, test=valid, classes=names, checksums={}, name="X", where=None
        )
        scale = None if images.dtype == torch.uint8 else Standardize(images[parts[0]], self._is_table)
        arch = building.from_splits(Architecture, recipe, splits, scale)
        if not recipe.holdout:
            arch.val_loader = None
        arch.train(progress=self.verbose)
        arch.set_loaders(None)  # the data are the caller's, and no part of a saved classifier
        arch.test_loader, arch.splits, arch.tracker = None, None, None
        self.recipe_, self.architecture_ = recipe, arch
        return self

    def predict_proba(self, X: Any) -> Array:  # noqa: N803
        """Return the probability of each class, (N, K), in the order of ``classes_``."""
        check_is_fitted(self)
        X = validate_data(self, _rows(X), dtype="numeric", reset=False)  # noqa: N806
        preprocess = self.architecture_.preprocess
        assert preprocess is not None
        batches = torch.split(self._images(X), BATCH_SIZE)
        return np.concatenate([self.architecture_.predict_proba(preprocess(each)) for each in batches])

    def predict(self, X: Any) -> Array:  # noqa: N803
        """Return the most probable class of each sample, (N,)."""
        best = self.predict_proba(X).argmax(axis=1)
        found: Array = self.classes_[best]
        return found

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn may expect of the classifier."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    @property
    def _is_table(self) -> bool:
        """Whether samples are rows of a table."""
        return self.image_shape_[:2] == (1, 1)

    def _shape(self, given: tuple[int, ...]) -> tuple[int, int, int]:
        """Return the shape of an image, for samples that were given in some shape."""
        features: int = self.n_features_in_
        side = math.isqrt(features)
        if self.image_shape is not None:
            if len(self.image_shape) != 3 or math.prod(self.image_shape) != features:
                raise UsageError(
                    f"image_shape must be (C, H, W) with a product of {features}, the numbers per "
                    f"sample, not {self.image_shape}."
                )
            channels, height, width = map(int, self.image_shape)
            return channels, height, width
        if len(given) == 3:
            return given[0], given[1], given[2]
        if len(given) == 2:
            return 1, given[0], given[1]
        if side >= SMALLEST_SIDE and side**2 == features:
            return 1, side, side
        return 1, 1, features

    def _images(self, rows: Array) -> Tensor:
        """Return a copy of rows as images (N, C, H, W): uint8 where they are pixels, else floats."""
        kind = np.float64 if self._is_table else np.uint8 if rows.dtype == np.uint8 else np.float32
        return torch.from_numpy(rows.astype(kind)).reshape(-1, *self.image_shape_)

    def _recipe(self, are_pixels: bool) -> Recipe:
        """Return the recipe with the classifier's own parameters, checked."""
        given = {name: getattr(self, name) for name in FIELDS}
        given = {k: v.item() if isinstance(v, np.generic) else v for k, v in given.items()}
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        wanted = Recipe.load(self.recipe)
        channels = self.image_shape_[0]
        if len(wanted.mean) == 1:
            given |= {"mean": wanted.mean * channels, "std": wanted.std * channels}
        elif are_pixels and len(wanted.mean) != channels:
            raise UsageError(
                f"the recipe's 'mean' is of {len(wanted.mean)} channels, the images have {channels}."
            )
        given["model"] = self._network(wanted) if self.model == "auto" else self.model
        recipe = wanted.replace(**{k: v for k, v in given.items() if v is not None}, seed=seed)
        if recipe.augmentation != "none" and not are_pixels:
            raise UsageError(
                f"the augmentation '{recipe.augmentation}' changes pixels: give images as uint8, from "
                "0 to 255, or augmentation='none'."
            )
        return recipe

    def _network(self, recipe: Recipe) -> str:
        """Return the recipe's network if the images are large enough for it, else ``"mlp"``."""
        MODELS.get(recipe.model)  # raises where there is none of that name
        try:
            with torch.device("meta"):
                build(recipe, self.image_shape_, len(self.classes_))
        except UsageError:
            return "mlp"
        return "mlp" if self._is_table else recipe.model


class Standardize:
    """Give the training data's numbers the mean 0 and the standard deviation 1.

    >>> scale = Standardize(torch.tensor([[[[1.0, 7.0]]], [[[3.0, 7.0]]]]), per_column=True)
    >>> scale(torch.tensor([[[[5.0, 8.0]]]]))
    tensor([[[[3., 1.]]]])

    Args:
        numbers: (N, C, H, W) of the training data; where all are the same, they are only shifted.
        per_column: whether each pixel has its own mean and standard deviation, or each channel.
    """

    def __init__(self, numbers: Tensor, per_column: bool) -> None:
        exact, dimensions = numbers.double(), (0,) if per_column else (0, 2, 3)
        self.mean = exact.mean(dim=dimensions, keepdim=True)
        std = exact.std(dim=dimensions, keepdim=True, correction=0)
        self.std = torch.where(std > 0, std, 1.0)

    def __call__(self, numbers: Tensor) -> Tensor:
        """Return the numbers standardised, as float32 of the same shape."""
        return ((numbers.double() - self.mean) / self.std).float()


def _rows(X: Any) -> Any:  # noqa: N803
    """Return images (N, …) as rows (N, F); whatever is not images is left to scikit-learn."""
    shape: tuple[int, ...] = tuple(getattr(X, "shape", ()))
    return np.asarray(X).reshape(shape[0], -1) if len(shape) in (3, 4) and shape[0] else X
