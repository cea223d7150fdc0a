"""What the JSON files of a run folder hold, and how they are read: checked, or refused in one line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lenetscope.errors import RunError
from lenetscope.schema import (
    Check,
    SchemaError,
    anything,
    list_of,
    mapping_of,
    number,
    optional,
    record,
    text,
    whole,
)
from lenetscope.training.state import ROW_CHECK

CONFIG = record(
    {
        "model": text,
        "image_shape": list_of(whole(1, 2**16), 3),
        "classes": list_of(text, least=2),
        "mean": list_of(number()),
        "std": list_of(number()),
    }
)
ENVIRONMENT = record(
    {},
    {
        "command": list_of(text),
        "packages": mapping_of(text),
        "threads": whole(),
        "data_dir": optional(text),
        "data": mapping_of(text),
        "resumed": list_of(record({}, {"epochs": whole(1)})),
        "lr_changes": list_of(record({"epoch": whole(), "step": whole(), "lr": number(0)})),
    },
)
HISTORY = list_of(ROW_CHECK)
UPDATES = list_of(
    record(
        {
            "epoch": whole(1),
            "steps": list_of(whole(1)),
            "ratios": mapping_of(list_of(optional(number(0)))),
        }
    )
)
SCORES = record(
    {
        "n": whole(1),
        "errors": whole(),
        "accuracy": number(0, 1),
        "loss": number(finite=False),
        "classes": list_of(text),
        "confusion": list_of(list_of(whole())),
    }
)
"""What the files hold that is read again; they may hold more."""


def read_object(path: Path, check: Check = anything) -> dict[str, Any]:
    """Return the object that a file holds.

    Raises:
        RunError: if it cannot be read, or the check finds something wrong.
    """
    (value,) = _read_all(path, lambda text: [text])
    if not isinstance(value, dict):
        raise damaged(path, "it must hold a JSON object")
    require(path, check, value)
    return value


def read_rows(path: Path, check: Check) -> list[dict[str, Any]]:
    """Return the objects that the lines of a file hold, none if there is no file; see `read_object`."""
    return require(path, check, _read_all(path, str.splitlines), "row") if exists(path) else []


def require(path: Path, check: Check, value: Any, where: str = "") -> Any:
    """Return a value of a file if the check finds nothing wrong; what it does not know is kept.

    Raises:
        RunError: if it does.
    """
    try:
        check(value, where)
    except SchemaError as error:
        raise damaged(path, error) from error
    return value


def damaged(path: Path, why: object) -> RunError:
    """Return the error that a file of a run holds what no training writes."""
    return RunError(f"{path} is damaged: {why}. Put back what training wrote there, or train again.")


def require_readable(path: Path) -> None:
    """Open a file, because what else reads it may not tell why it cannot.

    Raises:
        RunError: if the system refuses it.
    """
    try:
        path.open("rb").close()
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}.") from error


def exists(path: Path) -> bool:
    """Tell whether there is such a file or folder.

    Raises:
        RunError: if the system does not tell: no permission, or a name that is too long.
    """
    try:
        return path.exists()
    except OSError as error:
        raise RunError(f"cannot open {path}: {error.strerror}.") from error


def _read_all(path: Path, split: Callable[[str], list[str]]) -> list[Any]:
    try:
        return [json.loads(text) for text in split(path.read_text("utf-8"))]
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"cannot read {path}: {error}.") from error
