"""Finds the part of a picture that is written on, and the pieces of ink in it.

The whole picture is analysed at reduced size, which is enough to find the illumination, the paper and
the ink. If the digits are small there, the region around them is analysed again at a higher resolution.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from lenetscope.reading.components import Piece, find_pieces, without_clutter
from lenetscope.reading.grey import to_grey
from lenetscope.reading.illumination import flatten
from lenetscope.reading.ink import find_ink
from lenetscope.reading.lines import join_fragments
from lenetscope.reading.polarity import CONFIDENT, Polarity, find_polarity
from lenetscope.reading.rulings import without_rulings

Array = npt.NDArray[Any]

LONGEST = 384
"""Longest side, in pixels, that the whole picture is reduced to."""
SMALLEST = 120
"""Longest side, in pixels, that a smaller picture is enlarged to."""
DETAIL = 640
"""Longest side, in pixels, of the region around small digits."""
SMALL, LARGE = 100, 150
"""Height, in pixels, below which digits are analysed again, and that they are then enlarged to."""


@dataclass(frozen=True)
class Sheet:
    """The part of a picture that is written on.

    Attributes:
        grey: (H, W) in [0, 1].
        polarity: whether ink is light or dark.
        ink: (H, W), at most 1, around 0 for paper.
        mask: (H, W) bool, whether a pixel is ink, including ruled lines.
        clean: the same without ruled lines.
        pieces: of ink that digits are made of.
        to_picture: (2, 3) affine map from (column, row, 1) to x and y in the picture.
    """

    grey: Array
    polarity: Polarity
    ink: Array
    mask: Array
    clean: Array
    pieces: list[Piece]
    to_picture: Array

    @property
    def left_out(self) -> float:
        """Fraction of the ink, ruled lines apart, that was removed as clutter."""
        kept = sum(int(piece.mask.sum()) for piece in self.pieces)
        return 1 - kept / max(int(self.clean.sum()), kept, 1)

    def box_in_picture(self, piece: Piece) -> tuple[float, float, float, float]:
        """Return left, top, right, bottom of a piece in pixels of the picture."""
        corners = np.array(
            [(x, y, 1.0) for x in (piece.left, piece.right) for y in (piece.top, piece.bottom)]
        )
        x, y = self.to_picture @ corners.T
        return float(x.min()), float(y.min()), float(x.max()), float(y.max())


def find_sheets(
    picture: Image.Image, skip: frozenset[str] = frozenset(), narrow: bool = False
) -> list[Sheet]:
    """Return the sheet of a picture; two if light and dark ink are about as likely; none if blank.

    Args:
        picture: of mode L or RGB.
        skip: names of steps to skip.
        narrow: whether to look for hairlines only, which a deep shadow may hide.
    """
    width, height = picture.size
    whole = (0.0, 0.0, float(width), float(height))
    scale = min(1.0, LONGEST / max(width, height))
    if max(width, height) < SMALLEST:
        scale = float(np.ceil(SMALLEST / max(width, height)))
    grey = _grey_of(picture, whole, scale)
    sheets = []
    polarities = find_polarity(grey, narrow)
    enough = 0.0 if "both polarities" in skip else CONFIDENT
    for polarity in polarities[: 1 if polarities[0].evidence >= enough else 2]:
        sheet = look(grey, polarity, _placement(0.0, 0.0, scale), skip=skip)
        if sheet is not None:
            closer = sheet if "closer look" in skip else _closer(picture, sheet, scale, skip, narrow)
            sheets.append(closer)
    return sheets


def look(
    grey: Array,
    polarity: Polarity,
    to_picture: Array,
    ink: Array | None = None,
    skip: frozenset[str] = frozenset(),
) -> Sheet | None:
    """Return the sheet with its ink and pieces, None if there are none."""
    if ink is None and "illumination" in skip:
        side = 1 - grey if polarity.light else grey
        ink = 1 - side / max(float(np.percentile(side, 75)), 0.05)
    elif ink is None:
        ink = flatten(grey, polarity.window, polarity.light)
    found = find_ink(ink)
    if found is None:
        return None
    clean = found.mask if "lines of paper" in skip else without_rulings(found.mask, found.weak)
    pieces = find_pieces(clean, ink)
    if "clutter" not in skip:
        pieces = without_clutter(pieces, (grey.shape[0], grey.shape[1]))
    if "joining" not in skip:
        pieces = join_fragments(pieces)
    return Sheet(grey, polarity, ink, found.mask, clean, pieces, to_picture) if pieces else None


def turned(sheet: Sheet, slope: float) -> Sheet | None:
    """Return a sheet rotated so that a line of this slope is level, None if there is no ink then."""
    angle = float(np.degrees(np.arctan(slope)))
    fill = float(np.median(sheet.grey))
    grey = ndimage.rotate(sheet.grey, angle, order=1, reshape=True, mode="constant", cval=fill)
    inside = ndimage.rotate(np.ones_like(sheet.grey), angle, order=1, reshape=True)
    # there is no ink outside of the picture
    ink = ndimage.rotate(sheet.ink, angle, order=1, reshape=True) * (inside > 0.98)
    turn = np.radians(angle)
    cosine, sine = np.cos(turn), np.sin(turn)
    rotation = np.array([[cosine, -sine], [sine, cosine]])
    before, after = np.array(sheet.grey.shape[::-1]) / 2, np.array(grey.shape[::-1]) / 2
    to_sheet = np.column_stack([rotation, before - rotation @ after])  # (2, 3)
    affine = sheet.to_picture @ np.vstack([to_sheet, [0, 0, 1]])
    return look(grey, sheet.polarity, affine, ink)


def _closer(
    picture: Image.Image, sheet: Sheet, scale: float, skip: frozenset[str], narrow: bool
) -> Sheet:
    """Analyse the region around small digits again, at a higher resolution."""
    tall = max(max(piece.height, piece.width) for piece in sheet.pieces)
    if tall >= SMALL:
        return sheet
    margin = 0.8 * tall / scale
    boxes = [sheet.box_in_picture(piece) for piece in sheet.pieces]
    box = (
        max(0.0, min(b[0] for b in boxes) - margin),
        max(0.0, min(b[1] for b in boxes) - margin),
        min(float(picture.width), max(b[2] for b in boxes) + margin),
        min(float(picture.height), max(b[3] for b in boxes) + margin),
    )
    closer = min(scale * LARGE / tall, DETAIL / max(box[2] - box[0], box[3] - box[1]))
    if closer < 1.2 * scale:
        return sheet
    grey = _grey_of(picture, box, closer)
    light = sheet.polarity.light
    polarity = next(side for side in find_polarity(grey, narrow) if side.light == light)
    again = look(grey, polarity, _placement(box[0], box[1], closer), skip=skip)
    return again or sheet


def _grey_of(picture: Image.Image, box: tuple[float, float, float, float], scale: float) -> Array:
    size = (max(1, round((box[2] - box[0]) * scale)), max(1, round((box[3] - box[1]) * scale)))
    if scale < 1:
        part = picture.resize(size, Image.Resampling.BILINEAR, box=box, reducing_gap=1.1)
    elif scale > 1 or size != picture.size:
        part = picture.resize(size, Image.Resampling.BICUBIC, box=box)
    else:
        part = picture
    return to_grey(np.asarray(part))


def _placement(left: float, top: float, scale: float) -> Array:
    return np.array([[1 / scale, 0.0, left], [0.0, 1 / scale, top]])
