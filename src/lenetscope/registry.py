"""Registries of named things that a recipe or a command can choose and that users can extend.

A registry is filled by decorators. It may also be given a package in which each file registers one
thing under the file's own name: ``models/lenet.py`` registers ``"lenet"``. Such a file is imported
when its name is looked up, so that names can be listed without importing torch.
"""

import pkgutil
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Generic, TypeVar

from lenetscope.errors import UsageError, unknown

T = TypeVar("T")
Entry = TypeVar("Entry")


class Registry(Generic[T]):
    """A mapping from names to things of one kind.

    >>> shapes: Registry[type] = Registry("shape")
    >>> @shapes.register("square")
    ... class Square: ...
    >>> shapes.get("square") is Square
    True

    Args:
        kind: what is registered, for error messages.
        package: name of a package whose files each register one thing.
    """

    def __init__(self, kind: str, package: str | None = None) -> None:
        self.kind = kind
        self._package = package
        self._entries: dict[str, T] = {}
        self._modules: dict[str, str] = {}

    def register(self, name: str) -> Callable[[Entry], Entry]:
        """Return a decorator that registers what it decorates as ``name``.

        Raises:
            UsageError: if the name is taken.
        """

        def add(entry: Entry) -> Entry:
            if name in self._entries:
                raise UsageError(f"there is already a {self.kind} '{name}'; choose another name.")
            self._entries[name] = entry  # type: ignore[assignment]  # decorators keep their type
            return entry

        return add

    def defer(self, name: str, module: str) -> None:
        """Declare that importing ``module`` registers ``name``."""
        self._modules[name] = module

    def get(self, name: str) -> T:
        """Return what is registered as ``name``.

        Raises:
            UsageError: if the name is unknown; the message suggests the nearest known one.
        """
        if not isinstance(name, str):
            raise UsageError(unknown(self.kind, name, self.names()))
        module = self._all_modules().get(name)
        if name not in self._entries and module:
            import_module(module)
            if name not in self._entries:
                raise UsageError(f"{module} registers no {self.kind} '{name}'.")
        if name not in self._entries:
            raise UsageError(unknown(self.kind, name, self.names()))
        return self._entries[name]

    def names(self) -> list[str]:
        """Return all names, in alphabetical order."""
        return sorted({*self._entries, *self._all_modules()})

    def _all_modules(self) -> dict[str, str]:
        """Return, by name, the modules whose import registers it."""
        found = dict(self._modules)
        spec = find_spec(self._package) if self._package else None
        for module in pkgutil.iter_modules(spec.submodule_search_locations if spec else ()):
            if not module.name.startswith("_"):
                found[module.name.replace("_", "-")] = f"{self._package}.{module.name}"
        return found
