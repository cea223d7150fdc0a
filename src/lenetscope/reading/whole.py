"""Pictures that one digit fills, judged as they are.

In: a picture. Out: a digit, if the picture is hardly larger than what the network takes, or ink and
paper share its border. In a small picture little can be mended, and much be spoilt: a network that was
trained on blurred, noisy and shifted digits sees more in the pixels than in a mask made of them. And
where a digit fills the frame, its paper lies in pieces that look like ink.
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
"""Ratio of the sides up to which one digit may fill a picture."""
RIM = 0.12
"""Share of the border that is ink at least, and paper at least, of a picture that a digit fills."""
FLAT = 10
"""Difference between the darkest and the lightest pixel, of 255, below which nothing is written."""
PAPER = 0.75
"""Share of the border from which on it is the paper of a small picture."""
NO_DOUBT = 0.22
"""Cost, in nats, below which the answer to a small picture is taken: a digit, and which one, 4 to 1."""
TWO_TONES = 0.9
"""Share of the variance of its greys that lies between its dark and its light side."""
WIDEST = 8.0
"""Width of a stroke where it is the widest, in pixels of a box of 20; where strokes meet it is more."""
FINE = 160
"""Pixels that the longest side is brought to before the ink is brought to the network's box."""


def read_small(picture: Image.Image, judge: Judge) -> tuple[Found | None, bool]:
    """Judge a small picture and its negative.

    One of 28x28 is taken for what the network was trained on; if there is a doubt, and of any other
    size, the ink is brought to the network's box.

    Args:
        picture: of mode L or RGB.
        judge: to ask.

    Returns:
        The digit, None if the picture is not small; and whether that settles it: it is made as MNIST's
        are, or the judge has no doubt.
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
    """Judge a picture, and its negative, as one digit that fills the frame.

    Args:
        picture: of mode L or RGB.
        judge: to ask.

    Returns:
        The better of both, None if it cannot be: it is not of two tones that share its border, or
        neither is made of strokes.
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
    """Return a picture as it is, its negative, or both if its border does not tell which is paper."""
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
    """Return which share of the variance of greys lies between the sides of Otsu's threshold."""
    above = values > threshold_otsu(values)
    share = float(above.mean())
    if share in (0.0, 1.0):
        return 0.0
    apart = float(values[above].mean() - values[~above].mean())
    return share * (1 - share) * apart**2 / float(values.var())


def _is_stroke(mask: Array) -> bool:
    """Tell strokes from shapes, such as a shadow."""
    depth = float(ndimage.distance_transform_edt(np.pad(mask, 1)).max())
    return bool(2 * depth * BOX / max(mask.shape) <= WIDEST)


def _rim(mask: Array) -> float:
    """Return the share of a picture's border that one of its sides has."""
    return float(np.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]]).mean())


def _judged(images: list[Array], picture: Image.Image, judge: Judge) -> list[Found]:
    probabilities, digitness = judge.judge(torch.from_numpy(np.stack(images))[:, None])
    width, height = picture.size
    whole = Piece(0, 0, height, width, np.ones((height, width), dtype=bool), 1.0)
    return [
        Found(whole, Prepared(image, ()), p.numpy(), float(d))
        for image, p, d in zip(images, probabilities, digitness, strict=True)
    ]
