"""Classifies pictures that show a single digit as a whole, without looking for ink.

That is done for small pictures, where the steps of reading lose more than they gain: the network was
trained on blurred, noisy and shifted digits. It is also tried for pictures whose border is partly ink:
where a digit fills the frame, the pieces of paper between its strokes may be mistaken for ink.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from scipy import ndimage
from skimage.filters import threshold_otsu

from lenetscope.reading.box import BOX, SIDE, is_like_mnist, to_image
from lenetscope.reading.components import Piece
from lenetscope.reading.judge import Judge
from lenetscope.reading.prepare import Prepared
from lenetscope.reading.segmentation import Found
from lenetscope.reading.stroke import with_usual_width

Array = npt.NDArray[Any]

SMALL = 32
"""Longest side in pixels up to which a picture is small."""
OBLONG = 4
"""Ratio of the sides up to which a picture may show a single digit."""
RIM = 0.12
"""Fraction of the border that must be ink, and that must be paper, where a digit fills the frame."""
FLAT = 10
"""Difference between the darkest and the lightest pixel, of 255, below which a picture is blank."""
PAPER = 0.75
"""Fraction of the border above which a tone is the paper of a small picture."""
NO_DOUBT = 0.22
"""Cost, in nats, below which the prediction for a small picture is accepted: odds of 4 to 1."""
TWO_TONES = 0.9
"""Fraction of the variance of its greys that must lie between its dark and its light tone."""
WIDEST = 8.0
"""Largest width of a stroke, in pixels of the 20x20 box; strokes are wider where they meet."""
FINE = 160
"""Longest side, in pixels, that a picture is resized to before its ink is scaled to the box."""


def read_small(picture: Image.Image, judge: Judge) -> tuple[Found | None, bool]:
    """Classify a small picture and its negative.

    A picture of 28x28 is classified as it is. If it is of another size, or the prediction is doubtful,
    its ink is scaled to the network's box.

    Args:
        picture: of mode L or RGB.
        judge: classifies it.

    Returns:
        The digit, None if the picture is not small; and whether the result is final, because the
        picture is like MNIST's or the prediction is not doubtful.
    """
    if max(picture.size) > SMALL or max(picture.size) > OBLONG * min(picture.size):
        return None, False
    pixels = np.asarray(picture.convert("L"))
    if np.ptp(pixels) < FLAT:
        return None, False
    ways: list[Found] = []
    if picture.size == (SIDE, SIDE):
        for image in (pixels, 255 - pixels):
            if is_like_mnist(image):
                return _judged([image], picture, judge)[0], True
        ways = _judged(_likely_sides(pixels, 255), picture, judge)
    if not ways or min(way.cost for way in ways) >= NO_DOUBT:
        sides = _likely_sides(_stretched(picture), 1)
        ways += _judged([to_image(side) for side in sides], picture, judge)
    best = min(ways, key=lambda way: way.cost)
    return best, best.cost < NO_DOUBT


def read_filling(picture: Image.Image, judge: Judge) -> Found | None:
    """Classify a picture and its negative as one digit that fills the frame.

    Args:
        picture: of mode L or RGB.
        judge: classifies them.

    Returns:
        The better of both; None if the picture does not have two tones that both reach its border, or
        neither tone consists of strokes.
    """
    if max(picture.size) > OBLONG * min(picture.size):
        return None
    values = _stretched(picture)
    sides = (values > 0.5, values < 0.5)
    if _two_tones(values) < TWO_TONES or any(_rim(side) < RIM for side in sides):
        return None
    images = [to_image(with_usual_width(side)) for side in sides if _is_stroke(side)]
    return min(_judged(images, picture, judge), key=lambda way: way.cost) if images else None


def _likely_sides(values: Array, white: int) -> list[Array]:
    """Return a picture, its negative, or both if its border does not show which tone is paper."""
    light = _rim(values > (float(values.min()) + float(values.max())) / 2)
    if light <= 1 - PAPER:
        return [values]
    return [white - values] if light >= PAPER else [values, white - values]


def _stretched(picture: Image.Image) -> Array:
    """Return the grey of a picture, its longest side `FINE` pixels long, from 0 to 1."""
    scale = FINE / max(picture.size)
    size = (max(1, round(scale * picture.width)), max(1, round(scale * picture.height)))
    kind = Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.BOX
    reduced = picture.resize(size, kind, reducing_gap=2.0)
    values = np.asarray(reduced.convert("L"), dtype=np.float32)
    low, high = np.percentile(values[::2, ::2], [1, 99])
    stretched: Array = np.clip((values - low) / max(float(high - low), 1.0), 0, 1)
    return stretched


def _two_tones(values: Array) -> float:
    """Return the fraction of the variance of greys between the two sides of Otsu's threshold."""
    above = values > threshold_otsu(values)
    fraction = float(above.mean())
    if fraction in (0.0, 1.0):
        return 0.0
    apart = float(values[above].mean() - values[~above].mean())
    return fraction * (1 - fraction) * apart**2 / float(values.var())


def _is_stroke(mask: Array) -> bool:
    """Return whether a mask consists of strokes, not of wider shapes such as a shadow."""
    depth = float(ndimage.distance_transform_edt(np.pad(mask, 1)).max())
    return bool(2 * depth * BOX / max(mask.shape) <= WIDEST)


def _rim(mask: Array) -> float:
    """Return the fraction of a picture's border that a mask covers."""
    return float(np.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]]).mean())


def _judged(images: list[Array], picture: Image.Image, judge: Judge) -> list[Found]:
    probabilities, digitness = judge.judge(torch.from_numpy(np.stack(images))[:, None])
    width, height = picture.size
    whole = Piece(0, 0, height, width, np.ones((height, width), dtype=bool), 1.0)
    return [
        Found(whole, Prepared(image, ()), p.numpy(), float(d))
        for image, p, d in zip(images, probabilities, digitness, strict=True)
    ]
