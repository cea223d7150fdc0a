"""From a trained network to files that work elsewhere: one file of ``formats/`` per format.

Pixels go in and probabilities come out of every format, because a preprocessing that stays behind gives
no error, only worse answers. What was written is opened again and compared with PyTorch before it is
kept: see `lenetscope.export.proof`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lenetscope.registry import Registry

if TYPE_CHECKING:  # late, so that names can be listed without torch
    from lenetscope.data.splits import Splits
    from lenetscope.export.exportable import Exportable
    from lenetscope.export.predictor import Predictor

ACCURACY_LOST = 0.001
"""Fraction of all test images: a tenth of a point is less than two seeds of one recipe differ by."""


class Limits(NamedTuple):
    """How far probabilities may be from PyTorch's.

    Attributes:
        largest: of all differences.
        mean: of all differences.
    """

    largest: float
    mean: float


FLOAT32 = Limits(largest=1e-4, mean=1e-5)
"""For formats that compute in float32: sums in another order moved the probabilities of the reference
network by at most 1.3e-6 (10,000 images); a network with larger logits moves them further. A mistake,
such as a mean that is not subtracted, moves them by more than 0.1."""


@dataclass(frozen=True)
class Format:
    """A format that a trained network can be exported to.

    Attributes:
        summary: what it is for, in one line.
        file: name of the file that is opened; other files may lie beside it.
        write: writes this file, whose folder exists and is empty.
        open: opens the file, with so many threads (0 for as many as it takes by itself).
        limits: how far the file's probabilities may be from PyTorch's.
        measure: returns a paragraph for the card, and facts for machines, about a file that was proved.
        usage: how to use it, for the card.
    """

    summary: str
    file: str
    write: "Callable[[Exportable, Splits, Path], None]"
    open: "Callable[[Path, int], Predictor]"
    limits: Limits = FLOAT32
    measure: "Callable[[Exportable, Splits, Path], tuple[str, dict[str, Any]]] | None" = None
    usage: str = ""


FORMATS: Registry[Format] = Registry("format", f"{__name__}.formats")
