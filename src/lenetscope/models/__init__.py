"""Networks that a recipe can name: one per file, under the file's name.

A network is a class, or a function, that takes ``image_shape`` (C, H, W), ``classes`` (how many) and
``dropout``, or some of these, and returns a module that gives logits (N, K) for images (N, C, H, W).
"""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lenetscope.errors import LenetscopeError, UsageError
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
        UsageError: if the network is unknown, cannot be made for such images, or does not return logits
            for them.
    """
    import torch

    network = MODELS.get(recipe.model)
    given = {"image_shape": image_shape, "classes": classes, "dropout": recipe.dropout}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = _made(recipe.model, network, given)
        if not any(tensor.is_meta for tensor in model.state_dict().values()):
            _try(recipe.model, model, image_shape, classes)
    if recipe.memory_format == "contiguous":
        return model
    # the same results; pooling and convolution are faster with the channels of a pixel side by side
    return model.to(memory_format=torch.channels_last)


def _made(name: str, network: Any, given: dict[str, Any]) -> "nn.Module":
    """Call what a recipe names with what it takes of ``given``."""
    from torch import nn

    if not callable(network) or isinstance(network, nn.Module):
        raise UsageError(
            f"model '{name}' is a {type(network).__name__}; name a class, or a function that returns a "
            "torch.nn.Module."
        )
    try:
        parameters = inspect.signature(network).parameters.values()
    except (TypeError, ValueError):  # written in C: it has no signature
        parameters = ()  # type: ignore[assignment]
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        takes = {p.name for p in parameters if p.kind is not p.POSITIONAL_ONLY}
        given = {key: value for key, value in given.items() if key in takes}
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    for p in parameters:
        if p.default is p.empty and p.kind not in variadic and p.name not in given:
            raise UsageError(
                f"model '{name}' needs '{p.name}', and only image_shape, classes and dropout can be "
                "given: give it a default."
            )
    try:
        model = network(**given)
    except LenetscopeError:
        raise
    except Exception as error:  # the network may be the user's, and raise anything
        values = ", ".join(f"{key}={value}" for key, value in given.items())
        raise UsageError(
            f"model '{name}' cannot be made with {values or 'no arguments'}: {_words(error)}."
        ) from error
    if not isinstance(model, nn.Module):
        raise UsageError(f"model '{name}' returns a {type(model).__name__}, not a torch.nn.Module.")
    return model


def _try(name: str, model: "nn.Module", image_shape: tuple[int, int, int], classes: int) -> None:
    """Give the model two images, and make sure that it returns logits for them."""
    import torch

    from lenetscope.arguments import main_output, shown
    from lenetscope.failures import reason
    from lenetscope.restore import device_of, eval_mode

    try:
        with eval_mode(model), torch.no_grad():
            found = model(torch.zeros(2, *image_shape, device=device_of(model)))
    except LenetscopeError:
        raise
    except Exception as error:
        raise UsageError(f"model '{name}' does not fit the images: {reason(model, error)}") from error
    logits = main_output(found)
    if logits is None or logits.shape != (2, classes):
        what = shown(found if logits is None else logits)
        raise UsageError(
            f"model '{name}' returns {what} for 2 images; it must return logits, one per image and "
            f"class: (2, {classes})."
        )


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(".: ")


def memory_format(model: "nn.Module") -> str:
    """Return the memory layout of the convolutions: ``"channels_last"`` or ``"contiguous"``."""
    import torch

    filters = [p for p in model.parameters() if p.ndim == 4]
    last = filters and all(p.is_contiguous(memory_format=torch.channels_last) for p in filters)
    return "channels_last" if last else "contiguous"
