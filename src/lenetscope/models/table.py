"""The registry of networks, and how a recipe's network is built."""

from collections.abc import Callable

import torch
from torch import nn

from lenetscope.models.lean import LeanNet
from lenetscope.models.lenet import LeNet
from lenetscope.models.mlp import MLP
from lenetscope.models.reader import ReaderNet
from lenetscope.recipe import Recipe
from lenetscope.registry import Registry

MODELS: Registry[Callable[..., nn.Module]] = Registry("model")
MODELS.register("lenet")(LeNet)
MODELS.register("lean")(LeanNet)
MODELS.register("mlp")(MLP)
MODELS.register("reader")(ReaderNet)


def build(recipe: Recipe, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Build the recipe's network, its initial weights decided by the recipe's seed alone.

    Args:
        recipe: names the network and its dropout.
        image_shape: (C, H, W) of the images.
        classes: how many there are.

    Raises:
        RecipeError: if the network is unknown.
        UsageError: if the images are too small for it.
    """
    make = MODELS.get(recipe.model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = make(image_shape=image_shape, classes=classes, dropout=recipe.dropout)
    if recipe.memory_format == "contiguous":
        return model
    # the same function; pooling and convolution are faster where a pixel's channels lie together
    return model.to(memory_format=torch.channels_last)


def memory_format(model: nn.Module) -> str:
    """Return how the weights of the convolutions lie: ``"channels_last"`` or ``"contiguous"``."""
    filters = [p for p in model.parameters() if p.ndim == 4]
    last = filters and all(p.is_contiguous(memory_format=torch.channels_last) for p in filters)
    return "channels_last" if last else "contiguous"
