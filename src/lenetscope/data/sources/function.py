"""Data that a function of the user's own returns: datasets as PyTorch has them."""

import hashlib
import io
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch

from lenetscope.data.dataset import LabelledImages, RawDataset
from lenetscope.data.pixels import Form, natural, of_anything, stack
from lenetscope.data.sources.table import numbered
from lenetscope.errors import DataError, LenetscopeError
from lenetscope.table import counted


def read_function(name: str, function: Any, form: Form) -> RawDataset:
    """Call a function and read the datasets that it returns.

    Args:
        name: ``module:function``, for messages.
        function: returns a dataset of (image, label), or a tuple (train, test) of two. An image is a
            picture, an array or a tensor; a label is a name or a number, which counts the names in the
            dataset's ``classes`` if it has them, as torchvision's have.
        form: of all images.

    Raises:
        DataError: if it is no function, raises, or returns something else.
    """
    if not callable(function):
        raise DataError(f"'{name}' must be a function, not {type(function).__name__}.")
    with _named(f"'{name}'"):
        found = function()
    parts = found if isinstance(found, tuple) else (found,)
    if not 1 <= len(parts) <= 2 or not all(_is_dataset(part) for part in parts):
        kinds = ", ".join(type(part).__name__ for part in parts)
        raise DataError(
            f"'{name}' must return a dataset of (image, label), or a tuple (train, test) of two, not "
            f"{'a tuple of ' * isinstance(found, tuple)}{kinds}."
        )
    images: list[tuple[str, torch.Tensor]] = []
    labels: list[list[str]] = []
    for part, title in zip(parts, ("train", "test"), strict=False):
        read = [_item(part, place, f"'{name}', {title}[{place}]") for place in range(len(part))]
        if not read:
            raise DataError(f"'{name}' returns a dataset without images to {title} on.")
        images += [(place, image) for place, image, _ in read]
        labels.append([label for *_, label in read])
    listed = getattr(parts[0], "classes", None)
    classes = list(map(str, listed)) if listed else sorted(set(labels[0]), key=natural)
    if len(set(classes)) < len(classes):
        raise DataError(f"'{name}' has two classes of the same name: {', '.join(classes)}.")
    sink = io.BytesIO()
    shape = stack(lambda: images, form, sink)
    pixels = torch.frombuffer(sink.getbuffer(), dtype=torch.uint8).reshape(shape)
    numbers = [numbered(each, classes, f"'{name}'") for each in labels]
    ends = [0, len(labels[0]), len(images)][: len(labels) + 1]
    found = [
        LabelledImages(pixels[start:end], torch.tensor(each))
        for (start, end), each in zip(pairwise(ends), numbers, strict=True)
    ]
    whole = hashlib.md5(pixels.numpy().data, usedforsecurity=False)
    whole.update(repr((classes, numbers)).encode())
    test = found[1] if len(found) > 1 else None
    return RawDataset(found[0], test, tuple(classes), {name: whole.hexdigest()}, name, None)


def _is_dataset(part: Any) -> bool:
    lengths = hasattr(part, "__getitem__") and hasattr(part, "__len__")
    return lengths and not isinstance(part, (torch.Tensor, str, dict))


def _item(part: Any, place: int, name: str) -> tuple[str, torch.Tensor, str]:
    """Return the name of an image, its pixels and the name of its class."""
    with _named(name):
        item = part[place]
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        raise DataError(f"{name} must be (image, label), not {type(item).__name__}.")
    image, label = item
    if getattr(label, "ndim", None) == 0:  # of an array or tensor
        label = label.item()
    classes = getattr(part, "classes", None)
    if isinstance(label, int) and classes:
        if not 0 <= label < len(classes):
            raise DataError(
                f"{name} has the label {label}, but 'classes' has {counted(len(classes), 'name')}."
            )
        label = classes[label]
    if not isinstance(label, (int, str)):
        raise DataError(f"{name} has a label that is neither a number nor text: {label!r}.")
    return name, of_anything(image, name), str(label)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Turn what the user's code raises into an error that names it, with file and line."""
    try:
        yield
    except LenetscopeError:
        raise
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise DataError(
            f"{name} raises {type(error).__name__}: {error} ({last.filename}, line {last.lineno})."
        ) from error
