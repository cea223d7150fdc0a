"""What layers put out, seen as it comes and not kept.

In: a model, images, names of layers and a function. Out: nothing: the function has been handed each
output of each layer, batch by batch, and keeps what it needs. So any number of images fits in memory.
A layer that runs several times in one pass is indexed by call, as in `capture`: ``relu``, ``relu:1``.
"""

import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lenetscope.errors import DataError, LayerError, UsageError, unknown
from lenetscope.tracking import Track, untracked
from lenetscope.untouched import device_of, untouched

See = Callable[[str, Tensor], None]


class Found(NamedTuple):
    """One layer, and which of its calls in a pass is meant, counted from 0."""

    name: str
    layer: nn.Module
    call: int

    @property
    def key(self) -> str:
        """What `capture` calls it: ``relu``, and ``relu:1`` for the second call."""
        return self.name if self.call == 0 else f"{self.name}:{self.call}"


def find_layer(model: nn.Module, layer: str) -> Found:
    """Return one layer by exact name, or one call of it by ``name:call``.

    >>> find_layer(nn.Sequential(nn.ReLU()), "0:2").call
    2

    Raises:
        LayerError: if the model has no layer of that name; the nearest is suggested.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    modules.pop("", None)
    if layer in modules:
        return Found(layer, modules[layer], 0)
    name, _, call = str(layer).rpartition(":")
    if name in modules and call.isdecimal():
        return Found(name, modules[name], int(call))
    raise LayerError(unknown("layer", str(layer), modules))


def stream(
    model: nn.Module,
    images: Tensor,
    layers: Mapping[str, nn.Module],
    see: See,
    *,
    batch_size: int = 250,
    track: Track = untracked,
) -> None:
    """Run images through a model in evaluation mode, and hand on what some layers put out.

    Args:
        model: of one input; it is as before when this returns or raises.
        images: (N, …), as the model takes them, on any device.
        layers: by name, see `find_layers` and `find_layer`.
        see: is called with a layer's name (and call) and what it put out, (n, …), at once, before a
            later layer may overwrite it. It must copy what it keeps.
        batch_size: how many images go through at once.
        track: is handed the batches and shows how far one has come.

    Raises:
        UsageError: if the model needs other inputs than images.
        DataError: if there are no images.
        LayerError: if a layer puts out something other than numbers.
    """
    check(model, images)
    device = device_of(model)
    with watched(model, layers, see), torch.no_grad():
        for batch in track(torch.split(images, batch_size)):
            # a copy, because the first layer may work in place
            model(batch.to(device, copy=True))


def stream_one(
    model: nn.Module,
    images: Tensor,
    layer: str,
    see: Callable[[Tensor], None],
    *,
    batch_size: int = 250,
    track: Track = untracked,
) -> None:
    """Do as `stream` for one layer, or one call of it: ``relu:1`` is the second call of ``relu``.

    Raises:
        LayerError: also if the layer runs fewer times than that.
    """
    found = find_layer(model, layer)
    seen: Counter[str] = Counter()

    def pick(key: str, values: Tensor) -> None:
        seen[key] += 1
        if key == found.key:
            see(values)

    stream(model, images, {found.name: found.layer}, pick, batch_size=batch_size, track=track)
    if not seen[found.key]:
        raise never_ran(layer, len(seen))


def never_ran(layer: str, calls: int) -> LayerError:
    """Say that a call of a layer was asked for that does not take place."""
    if calls == 0:
        return LayerError(f"layer '{layer}' does not run when the model is given images.")
    return LayerError(f"there is no '{layer}': the layer runs {calls} times in a pass, counted from 0.")


@contextmanager
def watched(model: nn.Module, layers: Mapping[str, nn.Module], see: See) -> Iterator[None]:
    """Hand on what layers put out while the block runs, in evaluation mode."""
    calls: Counter[str] = Counter()

    def restart(_model: nn.Module, _inputs: Any) -> None:
        calls.clear()

    def hook(name: str) -> Any:
        def record(_layer: nn.Module, _inputs: Any, outputs: Any) -> None:
            call, calls[name] = calls[name], calls[name] + 1
            see(name if call == 0 else f"{name}:{call}", values_of(name, outputs))

        return record

    with ExitStack() as block:
        block.enter_context(untouched(model))
        model.eval()
        block.callback(model.register_forward_pre_hook(restart).remove)
        for name, layer in layers.items():
            block.callback(layer.register_forward_hook(hook(name)).remove)
        yield


def values_of(layer: str, outputs: Any) -> Tensor:
    """Return the tensor that a layer put out, or the first of several.

    Raises:
        LayerError: if there is none, or it holds complex numbers, or is of one number only.
    """
    values = outputs[0] if isinstance(outputs, (tuple, list)) and outputs else outputs
    if not isinstance(values, Tensor):
        raise LayerError(
            f"layer '{layer}' puts out {type(values).__name__}, not a tensor; ask for a layer "
            "inside it."
        )
    if values.is_complex() or values.ndim == 0:
        what = "complex numbers" if values.is_complex() else "one number for all images"
        raise LayerError(f"layer '{layer}' puts out {what}: ask for another layer.")
    return values


def check(model: nn.Module, images: Tensor) -> None:
    """Refuse a model that needs more than images, and images that are none.

    Raises:
        UsageError: if ``forward`` has several arguments that must be given.
        DataError: if there are no images.
    """
    if not isinstance(images, Tensor) or images.ndim < 2 or not len(images):
        shape = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
        raise DataError(f"images must be a tensor (N, …) with N of at least 1, not {shape}.")
    needed = _required(model)
    if len(needed) > 1:
        raise UsageError(
            f"the model takes {len(needed)} inputs ({', '.join(needed)}), and is given images alone: "
            "wrap it in a module whose forward takes images and adds the rest."
        )


def check_units(layer: str, values: Tensor) -> None:
    """Refuse a layer whose outputs have no dimension of units.

    Raises:
        LayerError: if they are not (N, units, …).
    """
    if values.ndim < 2:
        raise LayerError(f"layer '{layer}' puts out one number an image: it has no units to compare.")


def _required(model: nn.Module) -> Sequence[str]:
    try:
        parameters = inspect.signature(model.forward).parameters.values()
    except (TypeError, ValueError):  # compiled code does not tell
        return []
    given = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in parameters if p.default is p.empty and p.kind not in given]
