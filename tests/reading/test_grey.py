"""Colours become grey such that ink differs from paper."""

import numpy as np
import pytest

from lenetscope.reading.grey import to_grey


def test_grey_is_luma_unless_only_the_colours_differ() -> None:
    pixels = np.full((40, 40, 3), 255, dtype=np.uint8)
    pixels[10:20, 10:20] = (255, 0, 0)
    assert to_grey(pixels)[15, 15] == pytest.approx(0.299)
    # green on a red of the same luma
    pixels[:] = (200, 0, 0)
    pixels[10:20, 10:20] = (0, 102, 0)
    grey = to_grey(pixels)
    assert abs(grey[15, 15] - grey[0, 0]) > 0.9
    assert to_grey(np.full((5, 5), 51, dtype=np.uint8)) == pytest.approx(0.2)
    assert to_grey(np.full((1, 1, 3), 51, dtype=np.uint8)) == pytest.approx(0.2)
