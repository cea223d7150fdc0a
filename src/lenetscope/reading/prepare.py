"""Makes the 28x28 image of one digit from its ink, and records the mask after each step."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from lenetscope.reading.box import to_image
from lenetscope.reading.components import Piece
from lenetscope.reading.cutout import cut_out
from lenetscope.reading.sheet import Sheet
from lenetscope.reading.slant import shear_to_undo, slant_of
from lenetscope.reading.stroke import with_usual_width

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Prepared:
    """A digit prepared for the network.

    Attributes:
        image: (28, 28) uint8.
        steps: name of each step and the picture after it, in [0, 1].
    """

    image: Array
    steps: tuple[tuple[str, Array], ...]


def prepare(sheet: Sheet, piece: Piece, skip: frozenset[str] = frozenset()) -> Prepared:
    """Make an image of one digit like those that the network was trained on.

    Args:
        sheet: that contains it.
        piece: its ink.
        skip: names of steps to skip: "slant", "stroke width".
    """
    mask = cut_out(sheet.ink, sheet.clean, piece)
    steps: list[tuple[str, Array]] = [("cut out", mask.astype(np.float32))]
    if "slant" not in skip and (shear := shear_to_undo(slant_of(mask))):
        mask = sheared(mask, shear)
    steps.append(("slant", mask.astype(np.float32)))
    ink = mask.astype(np.float32) if "stroke width" in skip else with_usual_width(mask)
    steps.append(("stroke width", ink))
    image = to_image(ink)
    steps.append(("box and centre", image.astype(np.float32) / 255))
    return Prepared(image, tuple(steps))


def sheared(mask: Array, shear: float) -> Array:
    """Shift each row sideways, so that a digit with a slant of ``shear`` columns per row is upright."""
    height = len(mask)
    extra = int(np.ceil(abs(shear) * height / 2)) + 1
    wide = Image.fromarray(np.pad(mask, ((0, 0), (extra, extra))).astype(np.float32))
    moved = wide.transform(
        wide.size,
        Image.Transform.AFFINE,
        (1, shear, -shear * height / 2, 0, 1, 0),
        Image.Resampling.BILINEAR,
    )
    return np.asarray(moved) > 0.5
