"""Registries of named things that a recipe or a command can choose and that users can extend.

A registry is filled by decorators. It may also be given a package in which each file registers one
thing under the file's own name: ``models/lenet.py`` registers ``"lenet"``. Such a file is imported
when its name is looked up, so that names can be listed without importing torch.

Where a registry allows it, ``module:name`` is a thing of the user's own, found as Python finds modules,
or in the current folder.
"""

import pkgutil
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Generic, TypeVar

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
        open: whether ``module:name`` is looked up, too.
    """

    def __init__(self, kind: str, package: str | None = None, *, open: bool = False) -> None:
        self.kind = kind
        self.open = open
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
            UsageError: if the name is unknown, with the nearest known one; or if an import fails or
                lacks the name.
        """
        if not isinstance(name, str):
            raise UsageError(unknown(self.kind, name, self.names()))
        if self.open and ":" in name:
            found: T = imported(name)
            return found
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


def imported(path: str) -> Any:
    """Import what a user names as ``module:name``, from the current folder or where Python looks.

    >>> imported("math:pi")
    3.141592653589793

    Raises:
        UsageError: if there is no such module, or no such name in it, or if importing it raises.
    """
    module, _, name = path.partition(":")
    if not module or not name:
        raise UsageError(f"'{path}' is not of the form 'module:name'.")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            raise UsageError(
                f"'{path}': there is no module '{module}' in {here} or among the installed ones."
            ) from error
        raise UsageError(f"'{path}': importing {module} failed: {error}.") from error
    except Exception as error:  # the module is the user's, and may raise anything
        raise UsageError(
            f"'{path}': importing {module} failed: {type(error).__name__}: {error}."
        ) from error
    finally:
        sys.path.remove(here)
    if not hasattr(found, name):
        raise UsageError(f"'{path}': {module} has no '{name}'.")
    return getattr(found, name)
