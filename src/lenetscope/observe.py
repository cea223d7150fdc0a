"""Looking inside a model while it runs: the one place that registers hooks.

`observe` calls a function at each call of some layers and leaves no trace: at the end of its block the
hooks are gone, and modes, gradients and random streams are as they were, also when something raised.
Recording, ablation, attribution and every other question about layers stand on it. A layer that runs
several times in one pass is told apart by call: ``relu``, ``relu:1``, ``relu:2``.
"""

import inspect
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self, get_args

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from lenetscope import arguments
from lenetscope.errors import DataError, LayerError, UsageError, listed, unknown
from lenetscope.failures import explained
from lenetscope.progress import Progress, no_progress
from lenetscope.restore import device_of, restored

BATCH_SIZE = 250
"""Images per batch where nothing is learned: few enough for their maps to stay in the caches."""

Mode = Literal["as is", "eval"]
When = Literal["after", "before"]
Layers = str | Iterable[str] | None


@dataclass(frozen=True)
class Call:
    """One call of one layer.

    Attributes:
        key: name of the layer, followed by ``:1`` at its second call in a pass, ``:2`` at its third.
        name: name of the layer, as in ``model.named_modules()``.
        layer: the module itself.
        inputs: what it was given, by position and then by name.
        outputs: what it returned; None before it has run.
    """

    key: str
    name: str
    layer: nn.Module
    inputs: tuple[Any, ...]
    outputs: Any = None

    @property
    def tensor(self) -> Tensor:
        """The tensor that the layer returned, or the first of several.

        Raises:
            LayerError: if there is none.
        """
        return first_tensor(self.key, self.outputs)


Callback = Callable[[Call], Any]
"""Is called at each call of an observed layer; what it returns, if not None, replaces the outputs."""


def find_layers(model: nn.Module, names: Layers = None) -> dict[str, nn.Module]:
    """Return layers by name; an alias of a shared layer counts as a name.

    >>> model = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Sequential(nn.Linear(2, 2)))
    >>> list(find_layers(model, "2.*"))
    ['2.0']
    >>> list(find_layers(model))
    ['0', '1', '2.0']

    Args:
        model: any module, compiled or not.
        names: exact names, names with a call such as ``"relu:1"``, or patterns with ``*``, ``?`` and
            ``[…]`` as in a shell (a star matches dots, too); None for all layers without layers inside.

    Raises:
        LayerError: if the model has no layer of one of the names; the nearest is suggested.
    """
    whole = _uncompiled(model)
    if names is None:
        return {name: m for name, m in whole.named_modules() if name and not any(m.children())}
    modules = dict(whole.named_modules(remove_duplicate=False))
    modules.pop("", None)
    found: dict[str, nn.Module] = {}
    for each in listed_layers(names):
        name, _, call = each.rpartition(":")
        if each in modules:
            found[each] = modules[each]
        elif name in modules and call.isdecimal():
            found[name if int(call) == 0 else f"{name}:{int(call)}"] = modules[name]
        elif matching := [m for m in modules if fnmatchcase(m, each)]:
            found |= {m: modules[m] for m in matching}
        else:
            raise LayerError(unknown("layer", each, modules))
    return found


def listed_layers(names: str | Iterable[str]) -> list[str]:
    """Return names of layers as a list; a text is one name."""
    if isinstance(names, str):
        return [names]
    return list(map(str, arguments.require_list("layers must be a name or a list of names", names)))


def find_layer(model: nn.Module, name: str) -> tuple[str, nn.Module]:
    """Return the key and the module of one layer, or of one call of it; no patterns.

    Raises:
        LayerError: if the model has no layer of that name; the nearest is suggested.
    """
    found = find_layers(model, [name])
    if len(found) > 1 or next(iter(found)).partition(":")[0] != str(name).partition(":")[0]:
        raise LayerError(unknown("layer", str(name), find_layers(model)))
    return next(iter(found.items()))


def observe(
    model: nn.Module,
    layers: Layers,
    callback: Callback,
    *,
    mode: Mode = "as is",
    when: When = "after",
) -> "Observer":
    """Call a function at each call of some layers, for the length of a ``with`` block.

    >>> model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    >>> with observe(model, None, lambda call: print(call.key, tuple(call.tensor.shape))):
    ...     _ = model(torch.zeros(5, 3))
    0 (5, 2)
    1 (5, 2)

    At the end of the block, however it ends, the hooks are gone, and modes, gradients of parameters and
    random streams are as they were at its beginning. Inside it a compiled model runs uncompiled,
    because compiled code calls no hooks. Without a block, hooks stay until `Observer.remove`.

    Args:
        model: any module, in any mode, on any device, also under autocast or compiled.
        layers: see `find_layers`. ``"relu"`` stands for all calls of ``relu``, ``"relu:1"`` for one.
        callback: is given a `Call`. Later layers may overwrite its tensors in place: copy what is kept.
        mode: ``"eval"`` to put the model into evaluation mode for the block; ``"as is"`` to leave it.
        when: ``"after"`` a layer has run, or ``"before"``, when inputs are still as they were given.

    Raises:
        LayerError: if the model has no such layer.
        UsageError: if ``mode`` or ``when`` is none of the above.
    """
    return Observer(model, layers, callback, mode=mode, when=when)


class Observer:
    """Hooks that are removed together; see `observe`.

    Attributes:
        layers: the observed layers, by key.
        calls: how often each layer was called in the last pass, by name.
    """

    def __init__(
        self, model: nn.Module, layers: Layers, callback: Callback, *, mode: Mode, when: When
    ) -> None:
        require_one_of("mode", mode, get_args(Mode))
        require_one_of("when", when, get_args(When))
        arguments.require_callable("the callback", callback, "a Call")
        self.layers = find_layers(model, layers)
        self._model, self._callback, self._mode = model, callback, mode
        self.calls: Counter[str] = Counter()
        self._block = ExitStack()
        self._handles = [_uncompiled(model).register_forward_pre_hook(_Hook(self._restart))]
        for name, layer in {key.partition(":")[0]: layer for key, layer in self.layers.items()}.items():
            hook = _Hook(self._see, name)
            if when == "before":
                self._handles.append(layer.register_forward_pre_hook(hook, with_kwargs=True))
            else:
                self._handles.append(layer.register_forward_hook(hook, with_kwargs=True))

    def remove(self) -> None:
        """Remove every hook from the model."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def __enter__(self) -> Self:
        if "torch._dynamo" in sys.modules:  # slow to import, and without it nothing is compiled
            self._block.enter_context(torch.compiler.set_stance("force_eager"))
        self._block.enter_context(restored(self._model))
        if self._mode == "eval":
            self._model.eval()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()
        self._block.close()

    def _restart(self, *_given: Any) -> None:
        self.calls.clear()

    def _see(self, name: str, layer: nn.Module, inputs: Any, named: Any, outputs: Any = None) -> Any:
        number, self.calls[name] = self.calls[name], self.calls[name] + 1
        key = name if number == 0 else f"{name}:{number}"
        if name in self.layers or key in self.layers:
            return self._callback(Call(key, name, layer, (*inputs, *named.values()), outputs))
        return None


class _Hook:
    """A hook that stays behind when its model is copied or pickled: a copy is not observed."""

    __torch_unserializable__ = True  # torch drops hooks on parameters, and would warn

    def __init__(self, function: Callable[..., Any], *given: Any) -> None:
        self._function, self._given = function, given

    def __call__(self, *given: Any) -> Any:
        return self._function(*self._given, *given)

    def __reduce__(self) -> tuple[Any, ...]:
        return (partial, (_nothing,))


def _nothing(*_given: Any) -> None:
    """Do nothing, in place of a hook that was not copied."""


def hook_gradients(
    parameters: Iterable[nn.Parameter], function: Callable[[Tensor], Tensor | None]
) -> list[RemovableHandle]:
    """Call a function with the gradient of each parameter that learns, at each backward pass.

    Args:
        parameters: those that need no gradient are left out.
        function: is given a gradient; what it returns, if not None, replaces it.
    """
    return [on_gradient(p, function) for p in parameters if p.requires_grad]


def on_gradient(values: Tensor, function: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
    """Call a function with the gradient that comes back to a tensor."""
    return values.register_hook(_Hook(function))  # type: ignore[no-untyped-call, no-any-return]


def is_observed(model: nn.Module) -> bool:
    """Tell whether `observe` has hooks on a model now."""
    hooks = (
        hook
        for module in model.modules()
        for hook in (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
    )
    return any(isinstance(hook, _Hook) for hook in hooks)


def layer_outputs(
    model: nn.Module,
    images: Tensor,
    layers: Layers,
    see: Callback,
    *,
    batch_size: int = BATCH_SIZE,
    progress: Progress = no_progress,
) -> None:
    """Run images through a model in evaluation mode, without gradients, and observe some layers.

    Args:
        model: of one input.
        images: (N, …), as the model takes them, on any device.
        layers: see `find_layers`.
        see: is given a `Call` for each batch and each call of a layer.
        batch_size: images per batch.
        progress: is handed the batches.

    Raises:
        LayerError: if there is no such layer, or a call of it that was asked for did not take place.
        DataError, UsageError: see `require_images`.
    """
    seen: set[str] = set()

    def callback(call: Call) -> None:
        seen.add(call.key)
        see(call)

    with observe(model, layers, callback, mode="eval") as observer, torch.no_grad():
        for batch in batches(model, images, batch_size, progress):
            with explained(model):
                model(batch)
    for key in observer.layers if layers is not None else ():
        if key not in seen:
            calls = observer.calls[key.partition(":")[0]]
            ran = f" It runs {calls} times, counted from 0." if calls else ""
            raise LayerError(f"layer '{key}' does not run when the model is given images.{ran}")


def batches(
    model: nn.Module,
    images: Tensor,
    batch_size: int = BATCH_SIZE,
    progress: Progress = no_progress,
) -> Iterator[Tensor]:
    """Yield images in batches on the model's device, copied, because the first layer may work in place.

    Raises:
        DataError, UsageError: see `require_images`.
    """
    require_images(model, images)
    arguments.require_whole("batch_size", batch_size, 1)
    for batch in progress(torch.split(images, batch_size)):
        yield batch.to(device_of(model), copy=True)


def require_images(model: nn.Module, images: Tensor, dimensions: int | None = None) -> None:
    """Check that a model takes images alone, and that these are images.

    Args:
        model: any module.
        images: (N, …) with N of at least 1.
        dimensions: 4 where images must be float (N, C, H, W) with finite values.

    Raises:
        UsageError: if ``forward`` has several arguments without defaults.
        DataError: if the images are not as described.
    """
    shape = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
    if not isinstance(images, Tensor) or images.ndim < 2 or not len(images):
        raise DataError(f"images must be a tensor (N, …) with N of at least 1, not {shape}.")
    if dimensions is not None and (images.ndim != dimensions or not images.is_floating_point()):
        raise DataError(
            "images must be floats (N, C, H, W), preprocessed as the model takes them, not "
            f"{images.dtype} {shape}."
        )
    if dimensions is not None and not bool(images.isfinite().all()):
        raise DataError("images must be finite: some pixels are infinite or NaN.")
    try:
        parameters = inspect.signature(_uncompiled(model).forward).parameters.values()
    except (TypeError, ValueError):  # scripted code has no signature
        return
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [p.name for p in parameters if p.default is p.empty and p.kind not in variadic]
    if len(needed) > 1:
        raise UsageError(
            f"the model takes {len(needed)} inputs ({', '.join(needed)}), and only images can be "
            "given: wrap it in a module whose forward takes images and adds the rest."
        )


def require_units(call: Call) -> Tensor:
    """Return a layer's outputs (N, units, …).

    Raises:
        LayerError: if they are not real numbers with a dimension of units.
    """
    values = call.tensor
    if values.ndim < 2 or values.is_complex():
        raise LayerError(
            f"layer '{call.key}' returns {values.dtype} {tuple(values.shape)}; choose a layer that "
            "returns real numbers (N, units, …)."
        )
    return values


def require_one_of(what: str, given: object, allowed: Collection[str]) -> None:
    """Raise `UsageError` unless ``given`` is one of the values allowed."""
    if not isinstance(given, str) or given not in allowed:
        raise UsageError(f"{what} {arguments.shown(given)} is not one of {listed(allowed)}.")


def first_tensor(layer: str, outputs: Any) -> Tensor:
    """Return the tensor that a layer returned, or the first of several.

    Raises:
        LayerError: if there is none.
    """
    values = outputs[0] if isinstance(outputs, (tuple, list)) and outputs else outputs
    if not isinstance(values, Tensor):
        raise LayerError(
            f"layer '{layer}' returns {type(values).__name__}, not a tensor; choose a layer inside it."
        )
    return values


def _uncompiled(model: nn.Module) -> nn.Module:
    """Return the module that ``torch.compile`` wrapped, or the model itself."""
    inner: nn.Module = getattr(arguments.require_model(model), "_orig_mod", model)
    return inner
