"""Hooks that go away again, and the layers they are attached to.

In: a model and names of layers. Out: modules by name, and handles that are removed together.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from types import TracebackType
from typing import Any, Self

from torch import nn
from torch.utils.hooks import RemovableHandle

from lenetscope.errors import LayerError, unknown


def find_layers(model: nn.Module, names: str | Iterable[str] | None = None) -> dict[str, nn.Module]:
    """Return layers by name; an alias of a shared layer counts as a name.

    >>> model = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Sequential(nn.Linear(2, 2)))
    >>> list(find_layers(model, "2.*"))
    ['2.0']
    >>> list(find_layers(model))
    ['0', '1', '2.0']

    Args:
        model: any module.
        names: exact names, or patterns with ``*``, ``?`` and ``[…]`` as a shell knows them (a star
            matches dots, too); None for all that have no layers inside.

    Raises:
        LayerError: if the model has no layer of one of the names; the nearest is suggested.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    modules.pop("", None)
    if names is None:
        return {name: module for name, module in modules.items() if not any(module.children())}
    found: dict[str, nn.Module] = {}
    for name in [names] if isinstance(names, str) else list(names):
        matching = [name] if name in modules else [m for m in modules if fnmatchcase(m, str(name))]
        if not matching:
            raise LayerError(unknown("layer", str(name), modules))
        found |= {each: modules[each] for each in matching}
    return found


class Hooks:
    """Handles of hooks, removed by `remove` or at the end of a ``with`` block."""

    def __init__(self) -> None:
        self._handles: list[RemovableHandle] = []

    def remove(self) -> None:
        """Take every hook off the model; what was recorded stays."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()


class CustomHooks(Hooks):
    """Call a function of one's own at each forward pass of some layers.

    Args:
        model: any module.
        layers: names or patterns, see `find_layers`.
        hook_fn: of (layer, inputs, outputs), as `torch.nn.Module.register_forward_hook` takes it.

    Raises:
        LayerError: if the model has no such layer.
    """

    def __init__(self, model: nn.Module, layers: str | Iterable[str], hook_fn: Any) -> None:
        super().__init__()
        for layer in find_layers(model, layers).values():
            self._handles.append(layer.register_forward_hook(hook_fn))
