"""Networks that a recipe can name: one per file, under the file's name.

A network is a class that takes ``image_shape`` (C, H, W), ``classes`` (how many) and ``dropout``, and
whose instances return logits (N, K) for images (N, C, H, W).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from lenetscope.recipe import Recipe
from lenetscope.registry import Registry

if TYPE_CHECKING:  # late, so that names can be listed without torch
    from torch import nn

MODELS: "Registry[Callable[..., nn.Module]]" = Registry("model", __name__, open=True)


def build(recipe: Recipe, image_shape: tuple[int, int, int], classes: int) -> "nn.Module":
    """Build the recipe's network; its initial weights depend on the recipe's seed alone.

    Args:
        recipe: names the network and its dropout.
        image_shape: (C, H, W) of the images.
        classes: how many there are.

    Raises:
        UsageError: if the network is unknown, or the images are too small for it.
    """
    import torch

    network = MODELS.get(recipe.model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = network(image_shape=image_shape, classes=classes, dropout=recipe.dropout)
    if recipe.memory_format == "contiguous":
        return model
    # the same results; pooling and convolution are faster with the channels of a pixel side by side
    return model.to(memory_format=torch.channels_last)


def memory_format(model: "nn.Module") -> str:
    """Return the memory layout of the convolutions: ``"channels_last"`` or ``"contiguous"``."""
    import torch

    filters = [p for p in model.parameters() if p.ndim == 4]
    last = filters and all(p.is_contiguous(memory_format=torch.channels_last) for p in filters)
    return "channels_last" if last else "contiguous"
