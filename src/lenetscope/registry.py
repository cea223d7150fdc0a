"""Named things that can be chosen by a recipe, and extended by a user.

In: a name and a function or class. Out: the same, found again by its name. Registries are the only
globals of the package: filled at import, refusing duplicates.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from lenetscope.errors import RecipeError, UsageError, unknown

T = TypeVar("T")


class Registry(Generic[T]):
    """A table from names to things of one kind.

    >>> shapes: Registry[type] = Registry("shape")
    >>> @shapes.register("square")
    ... class Square: ...
    >>> shapes.get("square") is Square
    True
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that files what it decorates under ``name``.

        Raises:
            UsageError: if the name is taken.
        """

        def file(entry: T) -> T:
            if name in self._entries:
                raise UsageError(f"there is a {self.kind} '{name}' already; choose another name.")
            self._entries[name] = entry
            return entry

        return file

    def get(self, name: str) -> T:
        """Return what is filed under ``name``.

        Raises:
            RecipeError: if nothing is; the message names the nearest known name.
        """
        if name not in self._entries:
            raise RecipeError(unknown(self.kind, name, self.names()))
        return self._entries[name]

    def names(self) -> list[str]:
        """Return all names, in the order in which they were filed."""
        return list(self._entries)
