"""Drawing in the playground."""

import math
from collections.abc import Callable

import pytest

from visitors import Visitor

pytestmark = pytest.mark.slow

Places = list[tuple[float, float]]


def arc(x: float, y: float, width: float, height: float, start: float, end: float) -> Places:
    """Return places on an ellipse; angles in degrees, clockwise from the right."""
    angles = [math.radians(start + (end - start) * i / 8) for i in range(9)]
    return [(x + width * math.cos(a), y + height * math.sin(a)) for a in angles]


DIGITS: dict[str, list[Places]] = {
    "0": [arc(0.5, 0.5, 0.2, 0.32, 0, 360)],
    "1": [[(0.5, 0.15), (0.48, 0.85)]],
    "2": [[*arc(0.5, 0.34, 0.2, 0.18, -170, 40), (0.3, 0.82), (0.72, 0.82)]],
    "3": [[*arc(0.48, 0.33, 0.18, 0.17, -150, 90), *arc(0.48, 0.67, 0.21, 0.18, -90, 150)]],
    "4": [[(0.42, 0.15), (0.28, 0.55), (0.72, 0.55)], [(0.64, 0.2), (0.6, 0.88)]],
    "5": [[(0.68, 0.18), (0.38, 0.18), (0.36, 0.46), *arc(0.5, 0.62, 0.19, 0.2, -120, 140)]],
    "6": [[(0.6, 0.14), (0.4, 0.4), (0.34, 0.62), *arc(0.5, 0.66, 0.16, 0.17, 180, -180)]],
    "7": [[(0.3, 0.2), (0.7, 0.2), (0.4, 0.85)]],
    "8": [[*arc(0.5, 0.32, 0.15, 0.16, 90, -270), *arc(0.5, 0.67, 0.18, 0.19, -90, 270)]],
    "9": [[*arc(0.5, 0.34, 0.16, 0.17, 0, -360), (0.62, 0.85)]],
}


def test_each_drawn_digit_is_predicted(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    for digit, strokes in DIGITS.items():
        visitor.page.locator("#clear").click()
        visitor.draw(*strokes)
        visitor.until(f"document.getElementById('prediction').textContent.startsWith('{digit}, with')")
        best = visitor.value(
            "page.outputs.probabilities.indexOf(Math.max(...page.outputs.probabilities))"
        )
        assert best == int(digit)
