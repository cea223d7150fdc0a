"""What the page may ask: one request, one file.

A file's name is its request's: ``answers/weights.py`` answers ``POST /api/weights``. It holds what
the request may contain, the function that computes the answer, and at its end its registration in
`ANSWERS`. A new file is all that a new request needs.
"""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lenetscope.playground.lab import Lab
from lenetscope.registry import Registry
from lenetscope.schema import Check, optional, refuse, text, whole

Found = dict[str, Any] | bytes
"""Plain values, sent as JSON, or bytes as they are."""


@dataclass(frozen=True)
class Answer:
    """How one request is answered.

    Attributes:
        name: of the request.
        summary: what it answers, in one line.
        fields: what the request may contain: of each field its check; see `lenetscope.schema`. All may
            be absent but those of ``required``.
        compute: is given what is open, and the fields that were sent, checked. Errors that are a
            `LenetscopeError` are told to the page.
        required: names of fields.
        quick: whether it computes nothing, and is answered while others compute.
    """

    name: str
    summary: str
    fields: dict[str, Check]
    compute: Callable[[Lab, dict[str, Any]], Found]
    required: tuple[str, ...] = ()
    quick: bool = False

    def register(self) -> None:
        """Add the answer to `ANSWERS`.

        Raises:
            UsageError: if its name is taken.
        """
        ANSWERS.register(self.name)(self)


ANSWERS: Registry[Answer] = Registry("request", __name__)


def decoded(value: Any, where: str) -> bytes:
    """Check base64, and return its bytes."""
    try:
        return base64.b64decode(text(value, where), validate=True)
    except (binascii.Error, ValueError):
        refuse(where, "base64", value)


RUN: dict[str, Check] = {"run": optional(text), "epoch": optional(whole(0))}
"""Fields that choose a run that is open, and one of its epochs."""
