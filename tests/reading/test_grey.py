"""Colours become grey such that ink differs from paper."""

import numpy as np
from PIL import Image

from lenetscope.reading.grey import to_grey


def test_grey_is_luma_unless_only_the_colours_differ() -> None:
    pixels = np.full((40, 40, 3), 255, dtype=np.uint8)
    pixels[10:20, 10:20] = (255, 0, 0)
    assert to_grey(Image.fromarray(pixels)).getpixel((15, 15)) == round(0.299 * 255)
    # green on a red of the same luma
    pixels[:] = (200, 0, 0)
    pixels[10:20, 10:20] = (0, 102, 0)
    grey = np.asarray(to_grey(Image.fromarray(pixels)), dtype=float)
    assert abs(grey[15, 15] - grey[0, 0]) > 230
    for plain in (np.full((5, 5), 51, dtype=np.uint8), np.full((1, 1, 3), 51, dtype=np.uint8)):
        assert np.unique(to_grey(Image.fromarray(plain))).tolist() == [51]


def test_dark_ink_stays_dark() -> None:
    pixels = np.full((60, 60, 3), (200, 60, 60), dtype=np.uint8)
    pixels[20:30, 20:30] = (20, 108, 90)  # a little darker, and of another colour
    grey = np.asarray(to_grey(Image.fromarray(pixels)), dtype=int)
    assert grey[25, 25] < grey[0, 0] - 200
