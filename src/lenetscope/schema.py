"""What a value that was read from a file must be: checked whole, before any of it is used.

A check takes a value and the name that messages give it, and returns the value. The checks of lists and
records are made of the checks of what they hold, so that a table of fields says what a file may hold.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import torch
from torch import Tensor

Check = Callable[[Any, str], Any]

LARGEST = 2**53
"""Whole numbers up to this one are exact in JSON and in float64."""


class SchemaError(ValueError):
    """A value that is not what it must be: says where it stands, what is allowed and what it is."""


def refuse(where: str, allowed: str, value: Any) -> NoReturn:
    """Raise the error that ``value`` is not what is allowed."""
    raise SchemaError(f"{where or 'it'} must be {allowed}, not {described(value)}")


def described(value: Any) -> str:
    """Describe a value in a few words: a short one as it is, a tensor by what must agree.

    >>> described([1, 2]), described(torch.zeros(2, 3)), described("x" * 99)[:9]
    ('a list of 2', 'a tensor [2, 3] of float32', "'xxxxxxxx")
    """
    if isinstance(value, Tensor):
        if value.is_nested:
            return "a nested tensor"
        kind = " meta" if value.is_meta else f" {value.layout}".replace(" torch.strided", "")
        return f"a{kind} tensor {list(value.shape)} of {value.dtype}".replace("torch.", "")
    if isinstance(value, (list, tuple, dict)):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, int) and abs(value) > LARGEST:
        return "a number beyond 2**53"
    text = repr(value) if isinstance(value, (str, int, float, type(None))) else type(value).__name__
    return text if len(text) < 60 else f"{text[:60]}…"


def whole(least: int = 0, most: int = LARGEST) -> Check:
    """Return the check of a whole number in a range."""

    def check(value: Any, where: str) -> int:
        if type(value) is not int or not least <= value <= most:
            upper = f" to {most}" if most < LARGEST else " up"
            refuse(where, f"a whole number from {least}{upper}", value)
        return value

    return check


def number(least: float = -math.inf, most: float = math.inf, *, finite: bool = True) -> Check:
    """Return the check of a number in a range, which NaN is in if infinity is on both ends of it."""
    bounds = [f"from {least:g}"] * (least > -math.inf) + [f"to {most:g}"] * (most < math.inf)
    allowed = " ".join(["a finite number" if finite else "a number", *bounds])

    def check(value: Any, where: str) -> float:
        plain = type(value) is float or (type(value) is int and abs(value) <= LARGEST)
        if not plain or (finite and not math.isfinite(value)) or value < least or value > most:
            refuse(where, allowed, value)
        return value  # type: ignore[no-any-return]

    return check


def text(value: Any, where: str) -> str:
    """Check a text that can be printed, and be a path."""
    if not isinstance(value, str) or "\0" in value or value != value.encode(errors="replace").decode():
        refuse(where, "a text", value)
    return value


def anything(value: Any, _where: str) -> Any:
    """Check nothing."""
    return value


def equal(mine: Any) -> Check:
    """Return the check that a value is that one, of the same type."""

    def check(value: Any, where: str) -> Any:
        if type(value) is not type(mine) or value != mine:
            refuse(where, described(mine), value)
        return value

    return check


def optional(check: Check) -> Check:
    """Return the check of a value that may be None."""
    return lambda value, where: None if value is None else check(value, where)


def list_of(check: Check, length: int | None = None, *, least: int = 0) -> Check:
    """Return the check of a list or tuple; its items are named by their place, from 0."""
    size = f" of {length}" if length is not None else f" of at least {least}" if least else ""

    def check_list(value: Any, where: str) -> list[Any]:
        if type(value) not in (list, tuple) or not (
            len(value) >= least if length is None else len(value) == length
        ):
            refuse(where, f"a list{size}", value)
        return [check(item, f"{where}[{place}]") for place, item in enumerate(value)]

    return check_list


def items(*checks: Check) -> Check:
    """Return the check of a list or tuple of so many items, each with its own check."""
    whole_list = list_of(anything, len(checks))

    def check(value: Any, where: str) -> Any:
        pairs = enumerate(zip(checks, whole_list(value, where), strict=True))
        return type(value)(each(item, f"{where}[{place}]") for place, (each, item) in pairs)

    return check


def mapping_of(check: Check, key: Check = text) -> Check:
    """Return the check of a dict, of which every key and every value is checked alike."""

    def check_mapping(value: Any, where: str) -> dict[Any, Any]:
        if not isinstance(value, dict):
            refuse(where, "an object with names", value)
        # the methods of dict itself: a pickle can give an OrderedDict others
        return {key(k, f"a name in {where}"): check(v, f"{where}.{k}") for k, v in dict.items(value)}

    return check_mapping


def record(fields: Mapping[str, Check], more: Mapping[str, Check] | None = None) -> Check:
    """Return the check of a dict with these fields, and ``more`` that may be absent.

    What else it holds is left out.
    """
    known = {**fields, **(more or {})}

    def check(value: Any, where: str) -> dict[str, Any]:
        found: dict[str, Any] = mapping_of(anything)(value, where)
        prefix = f"{where}." if where else ""
        for name in fields:
            if name not in found:
                raise SchemaError(f"{prefix}{name} is missing")
        return {name: each(found[name], prefix + name) for name, each in known.items() if name in found}

    return check


def tensor_like(mine: Tensor) -> Check:
    """Return the check of a tensor of the same shape, dtype and layout, which returns a copy.

    Its memory is laid out as that of ``mine``; if that has none, the tensor is returned as it is.
    """
    allowed = described(mine).replace("a meta tensor", "a tensor")

    def check(value: Any, where: str) -> Tensor:
        if described(value) != allowed:
            refuse(where, allowed, value)
        return (
            value if mine.is_meta else torch.empty_like(mine, requires_grad=False).copy_(value.detach())
        )

    return check


def like(mine: Any, numbers: Callable[[float], Check], named: Mapping[str, Check]) -> Check:
    """Return the check that a value is built as ``mine`` is: same types, names, lengths and texts.

    Args:
        mine: numbers, texts, tensors, and lists and dicts of such.
        numbers: makes the check of a number, given that of ``mine``.
        named: the checks of what has these names in dicts, whatever ``mine`` holds there.
    """

    def inner(value: Any) -> Check:
        return like(value, numbers, named)

    if isinstance(mine, Tensor):
        return tensor_like(mine)
    if isinstance(mine, (list, tuple)):
        return items(*map(inner, mine))
    if isinstance(mine, dict):
        if not all(isinstance(name, str) for name in mine):  # the keys are data, as in a Counter
            counts = mapping_of(whole(), key=whole())
            return lambda value, where: type(mine)(counts(value, where))
        return record({name: named.get(name) or inner(value) for name, value in mine.items()})
    if mine is None or isinstance(mine, bool):
        return lambda value, where: value if value is None else _switch(value, where)
    return numbers(mine) if type(mine) in (int, float) else equal(mine)


def _switch(value: Any, where: str) -> bool:
    return value if isinstance(value, bool) else refuse(where, "true or false", value)
