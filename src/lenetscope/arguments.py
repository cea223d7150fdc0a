"""Checks of what people hand over: each raises one line that says what is allowed and what to do."""

import inspect
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import Dataset, IterableDataset

from lenetscope.errors import DataError, UsageError

MAX_SEED = 2**32 - 1
"""The largest seed that NumPy takes."""


class Checked:
    """An attribute whose values are checked when they are assigned.

    Args:
        check: returns what is kept, or raises.
    """

    def __init__(self, check: Callable[[Any], Any]) -> None:
        self._check = check

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"_{name}"

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        return self if owner is None else getattr(owner, self._name)

    def __set__(self, owner: Any, value: Any) -> None:
        setattr(owner, self._name, self._check(value))


def require_whole(what: str, value: Any, least: int, most: int | None = None) -> int:
    """Return a whole number from ``least`` to ``most``; NumPy's are taken, True is not."""
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < least or (most is not None and number > most):
        limits = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise UsageError(f"{what} must be a whole number {limits}, not {shown(value)}.")
    return number


def require_number(what: str, value: Any, *, above: float = -math.inf, most: float = math.inf) -> float:
    """Return a number above ``above`` and at most ``most``; NaN and True are not taken."""
    try:
        number = math.nan if isinstance(value, (bool, str)) else float(value)
    except (TypeError, ValueError, RuntimeError):
        number = math.nan
    if not above < number <= most:
        low = f" above {above:g}" if above > -math.inf else ""
        high = f" and at most {most:g}" if most < math.inf else ""
        raise UsageError(f"{what} must be a number{low}{high}, not {shown(value)}.")
    return number


def require_callable(what: str, value: Any, given: str) -> Any:
    """Return a function; ``given`` says of what, such as ``"(layer, inputs, outputs)"``."""
    if isinstance(value, type) or not callable(value):
        raise UsageError(f"{what} must be a function of {given}, not {shown(value)}.")
    return value


def require_model(model: Any) -> nn.Module:
    """Return a module, which is not a class."""
    if isinstance(model, nn.Module):
        return model
    mend = f" Make one: {model.__name__}()." if isinstance(model, type) else ""
    raise UsageError(f"the model must be a torch.nn.Module, not {shown(model)}.{mend}")


def require_loss(loss_fn: Any) -> Any:
    """Return a loss that can be called with (outputs, labels)."""
    if isinstance(loss_fn, type) or not callable(loss_fn):
        name = loss_fn.__name__ if isinstance(loss_fn, type) else "CrossEntropyLoss"
        raise UsageError(
            f"the loss must be a function of (outputs, labels), such as nn.{name}(), not "
            f"{shown(loss_fn)}."
        )
    try:
        signature = inspect.signature(loss_fn.forward if isinstance(loss_fn, nn.Module) else loss_fn)
    except (TypeError, ValueError):  # compiled code has none
        return loss_fn
    try:
        signature.bind(None, None)
    except TypeError:
        name = getattr(loss_fn, "__name__", type(loss_fn).__name__)
        takes = ", ".join(signature.parameters)
        raise UsageError(
            f"the loss is called with (outputs, labels), and {name} takes ({takes}): wrap it in a "
            "function of these two."
        ) from None
    return loss_fn


def require_optimizer(optimizer: Any, model: nn.Module, loss_fn: Any) -> Optimizer:
    """Return an optimizer, all of whose parameters are the model's, or those of a loss that learns."""
    if not any(True for _ in model.parameters()):
        raise UsageError("the model has no parameters: there is nothing to train.")
    if not isinstance(optimizer, Optimizer):
        name = optimizer.__name__ if isinstance(optimizer, type) else "SGD"
        raise UsageError(
            f"the optimizer must be one of torch.optim made for this model, such as "
            f"{name}(model.parameters(), lr=0.01), not {shown(optimizer)}."
        )
    loss = inspect.unwrap(loss_fn)
    owners = [model, loss] if isinstance(loss, nn.Module) else [model]
    known = {id(parameter) for owner in owners for parameter in owner.parameters()}
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    if foreign := sum(parameter not in known for parameter in held):
        raise UsageError(
            f"{foreign} of the optimizer's {len(held)} parameters are not this model's: make it from "
            f"the model as it is now, as in {type(optimizer).__name__}(model.parameters(), …)."
        )
    return optimizer


def require_scheduler(scheduler: Any, optimizer: Optimizer) -> Any:
    """Return a scheduler of this optimizer, or None."""
    if scheduler is None:
        return None
    if isinstance(scheduler, type) or not hasattr(scheduler, "optimizer"):
        name = scheduler.__name__ if isinstance(scheduler, type) else "StepLR"
        raise UsageError(
            "the scheduler must be one of torch.optim.lr_scheduler, such as "
            f"{name}(arch.optimizer, …), not {shown(scheduler)}."
        )
    if scheduler.optimizer is not optimizer:
        raise UsageError("the scheduler was made for another optimizer: make it for arch.optimizer.")
    return scheduler


def require_list(what: str, values: Any) -> list[Any]:
    """Return a list of the values, which are not the letters of a text; ``what`` says of what."""
    try:
        if not isinstance(values, str):
            return list(values)
    except TypeError:
        pass
    raise UsageError(f"{what}, not {shown(values)}.")


def require_names(classes: Any) -> tuple[str, ...] | None:
    """Return the names of two classes or more, each another; None for None."""
    if classes is None:
        return None
    names = tuple(map(str, require_list("classes must be a list of names", classes)))
    if len(names) < 2:
        raise UsageError(f"classes must be the names of at least two classes, not {list(names)}.")
    if twice := [a for a, b in pairwise(sorted(names)) if a == b]:
        raise UsageError(f"each class needs a name of its own, and '{twice[0]}' is given twice.")
    return names


def require_one_name_each(names: Sequence[str] | None, classes: int) -> None:
    """Compare the number of names with the number of classes among a model's outputs."""
    if names is not None and len(names) != classes:
        raise UsageError(
            f"classes has {len(names)} names, and the model tells {classes} classes apart: give one "
            "name for each, in the order of its outputs."
        )


def require_loader(loader: Any) -> Any:
    """Return something that can be iterated over for batches."""
    if isinstance(loader, Dataset) and not isinstance(loader, IterableDataset):
        raise UsageError(
            "a Dataset gives single samples, and a loader gives batches: wrap it, as in "
            "DataLoader(dataset, batch_size=64, shuffle=True)."
        )
    wrong = isinstance(loader, (str, bytes, dict, type, np.ndarray, Tensor))
    if wrong or not (isinstance(loader, Iterable) or hasattr(loader, "__getitem__")):
        raise UsageError(
            "a loader gives batches (inputs, labels), as torch's DataLoader or a list of batches does; "
            f"{shown(loader)} does not."
        )
    return loader


def require_passes(loader: Any) -> int | None:
    """Return the number of batches, if known, of a loader that can be iterated over once per epoch."""
    if isinstance(require_loader(loader), Iterator):
        raise UsageError(
            "a loader that is an iterator is used up after one epoch: give a DataLoader, or a list of "
            "batches."
        )
    try:
        batches = len(loader)
    except TypeError:
        return None
    if not batches:
        raise DataError("the loader has no batches: its dataset is empty, or smaller than a batch.")
    return batches


def require_length(loader: Any) -> int:
    """Return the number of batches per epoch, of at least 1."""
    if (batches := require_passes(loader)) is None:
        raise UsageError(
            "the training loader has no length, the number of batches per epoch: give a DataLoader of "
            "a dataset that has one (__len__), or a list of batches."
        )
    return batches


def pairs(batches: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """Yield the batches of a loader.

    Raises:
        UsageError: if it is not a loader.
        DataError: if a batch is not a pair (inputs, labels), or is empty.
    """
    for batch in require_loader(batches):
        pair = batch if isinstance(batch, (tuple, list)) and len(batch) == 2 else ()
        if not pair or not all(hasattr(part, "to") for part in pair):
            raise DataError(
                "a batch must be two tensors, (inputs, labels), with one row per sample; the loader "
                f"gives {shown(batch)}."
            )
        if isinstance(pair[1], Tensor) and (not pair[1].ndim or not len(pair[1])):
            raise DataError(f"a batch must have at least one sample, not {shown(batch)}.")
        yield pair[0], pair[1]


def as_tensor(what: str, x: Any) -> Tensor:
    """Return an array, or nested lists of numbers, as a tensor of real numbers."""
    try:
        # copied where torch cannot share it: other byte orders, negative strides, read-only memory
        native = np.array(x, dtype=x.dtype.newbyteorder("=")) if isinstance(x, np.ndarray) else x
        given = torch.as_tensor(native)
    except (TypeError, ValueError, RuntimeError):
        raise DataError(f"{what} must be an array of numbers (N, …), not {shown(x)}.") from None
    if given.is_complex():
        raise DataError(f"{what} must be real numbers, not {shown(given)}.")
    return given


def as_numbers(what: str, x: Any) -> Tensor:
    """Return an array, or nested lists of numbers, as a tensor (N, …) of at least one sample."""
    given = as_tensor(what, x)
    if not given.ndim or not given.numel():
        raise DataError(f"{what} must be (N, …), one sample or more, not {shown(given)}.")
    return given


def as_inputs(
    x: Any, image_shape: tuple[int, ...] | None, preprocess: Callable[[Tensor], Tensor] | None
) -> Tensor:
    """Return arrays or nested lists as a model takes them, floats (N, …).

    Args:
        x: (N, …).
        image_shape: … where it is known; then all numbers must be finite.
        preprocess: what makes floats of uint8 images; None where there is no such function.

    Raises:
        UsageError: if it is a path, or there is nothing to preprocess uint8 with.
        DataError: if it is not numbers of this shape, or there are none.
    """
    if isinstance(x, (str, Path)):
        raise UsageError(
            f"inputs are arrays (N, …), and '{x}' is a path. lenetscope.read(path) reads the number in "
            "a picture; the command lenetscope predict shows a picture to the network of a run."
        )
    inputs = as_numbers("inputs", x)
    if image_shape and tuple(inputs.shape[1:]) != image_shape:
        raise DataError(f"images must be (N, {', '.join(map(str, image_shape))}), not {shown(inputs)}.")
    if inputs.dtype == torch.uint8:
        if preprocess is None:
            raise UsageError(
                "uint8 images are preprocessed as a recipe says, and this model is not of a recipe: "
                "preprocess them as in training; or give x.float() to a model that takes 0 to 255."
            )
        return preprocess(inputs)
    if image_shape and not bool(inputs.isfinite().all()):
        raise DataError("images must be finite: some pixels are infinite or NaN.")
    return inputs.float()


def as_path(value: Any) -> Path:
    """Return a path that was given as text or as a path."""
    if not isinstance(value, (str, PathLike)) or not str(value):
        raise UsageError(f"a path must be text or a pathlib.Path, not {shown(value)}.")
    return Path(value)


def main_output(outputs: Any) -> Tensor | None:
    """Return the tensor to evaluate: ``outputs`` itself, its ``logits``, or its first element.

    Networks with auxiliary classifiers, such as Inception, return several in training mode; others
    return a dictionary, of which ``"logits"`` is taken, or the only tensor that there is.
    """
    if isinstance(outputs, Tensor):
        return outputs
    if isinstance(outputs, dict):
        tensors = [value for value in outputs.values() if isinstance(value, Tensor)]
        only = tensors[0] if len(tensors) == 1 else None
        return outputs["logits"] if isinstance(outputs.get("logits"), Tensor) else only
    if isinstance(getattr(outputs, "logits", None), Tensor):
        return outputs.logits  # type: ignore[no-any-return]
    if isinstance(outputs, (tuple, list)) and outputs and isinstance(outputs[0], Tensor):
        return outputs[0]
    return None


def shown(value: Any) -> str:
    """Return a value for a message: briefly, and an array by its shape."""
    if isinstance(value, (Tensor, np.ndarray)):
        return f"{tuple(value.shape)} of {str(value.dtype).removeprefix('torch.')}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, (str, int, float, bool, type(None), Path)):
        return repr(str(value) if isinstance(value, Path) else value)[:60]
    if isinstance(value, (tuple, list)) and any(isinstance(v, (Tensor, np.ndarray)) for v in value):
        return f"a {type(value).__name__} of {', '.join(map(shown, value[:4]))}"
    size = f" of {len(value)}" if isinstance(value, (list, tuple, dict)) else ""
    return f"a {type(value).__name__}{size}"
