"""Reliability diagrams."""

import numpy as np
import pytest

from lenetscope.evaluation.reliability import reliability
from lenetscope.questions.calibration import plot_reliability

CONFIDENCE = np.array([0.55, 0.6, 0.9, 0.95, 0.95])
PROBABILITIES, LABELS = np.stack([CONFIDENCE, 1 - CONFIDENCE], axis=1), np.array([0, 1, 0, 0, 0])


def test_points_stand_where_confidence_and_accuracy_are() -> None:
    result = reliability(PROBABILITIES, LABELS, bins=5)
    figure = plot_reliability({"before": result, "after": result})
    above, second, below, _ = figure.axes
    (points,) = above.containers
    x, y = points.lines[0].get_data()
    assert x == pytest.approx([57.5, 100 * CONFIDENCE[2:].mean()])
    assert y == pytest.approx([50, 100])
    low, high = points.lines[2][0].get_segments()[0][:, 1]  # the 95 % interval of one of two
    assert (low, high) == pytest.approx((9.45, 90.55), abs=0.01)
    assert not below.patches  # a bar has no length on a logarithmic scale
    lines = [segment.tolist() for segment in below.collections[0].get_segments()]
    assert np.allclose(lines, [[[40, 2], [60, 2]], [[80, 3], [100, 3]]])
    assert [t.get_text() for t in below.texts] == ["3 of 5"]
    assert (above.get_title(), second.get_title()) == ("before", "after")
    figure.draw_without_rendering()


def test_narrow_bins_can_be_drawn() -> None:
    alike = reliability(np.full((4, 2), 0.5), np.zeros(4, dtype=int), equal_mass=True)
    plot_reliability({"x": alike}, figsize=(3, 3)).draw_without_rendering()
