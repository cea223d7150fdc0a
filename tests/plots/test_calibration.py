"""Reliability diagrams and coverage."""

import numpy as np
import pytest

from lenetscope.errors import DataError
from lenetscope.evaluation.coverage import coverage_curve
from lenetscope.evaluation.reliability import reliability
from lenetscope.plots.calibration import coverage as draw_coverage
from lenetscope.plots.calibration import reliability as draw_reliability

SURE = np.array([0.55, 0.6, 0.9, 0.95, 0.95])
SHARES, LABELS = np.stack([SURE, 1 - SURE], axis=1), np.array([0, 1, 0, 0, 0])


def test_points_stand_where_confidence_and_accuracy_are() -> None:
    bins = reliability(SHARES, LABELS, bins=5).columns()
    figure = draw_reliability({"before": bins, "after": bins})
    above, second, below, _ = figure.axes
    (points,) = above.containers
    x, y = points.lines[0].get_data()
    assert x == pytest.approx([57.5, 100 * SURE[2:].mean()])
    assert y == pytest.approx([50, 100])
    tops = [bar.get_y() + bar.get_height() for bar in below.patches]
    assert tops == pytest.approx([2, 3])
    assert [bar.get_x() for bar in below.patches] == pytest.approx([40, 80])
    assert [t.get_text() for t in below.texts] == ["3 of 5"]
    assert (above.get_title(), second.get_title()) == ("before", "after")
    figure.draw_without_rendering()


def test_narrow_bins_can_be_drawn() -> None:
    alike = reliability(np.full((4, 2), 0.5), np.zeros(4, dtype=int), equal_mass=True).columns()
    draw_reliability({"x": alike}, figsize=(3, 3)).draw_without_rendering()


def test_the_curve_begins_before_the_first_error() -> None:
    sure = np.linspace(0.99, 0.6, 100)
    curve = coverage_curve(np.stack([sure, 1 - sure], axis=1), np.array([0] * 85 + [1, 0, 0] * 5))
    marks = [(1.0, 0.95, "all"), (0.85, 1.0, "no error")]
    figure = draw_coverage(curve.coverages, curve.accuracies, curve.intervals, marks)
    (ax,) = figure.axes
    assert ax.get_xlim() == (70, 100)
    assert ax.get_title() == "95.00 % right when all are answered; no error in the surest 85.0 %"
    assert ax.lines[0].get_data()[0] == pytest.approx(100 * curve.coverages)
    assert ax.lines[0].get_data()[1] == pytest.approx(100 * curve.accuracies)
    low, high = ax.get_ylim()
    assert low < 94
    assert high > 100
    assert [text.get_text() for text in ax.texts] == ["no error", "all"]  # so that no lines cross
    figure.draw_without_rendering()


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1], [1, 0, 0]])
def test_few_images_all_right_or_all_wrong(labels: list[int]) -> None:
    curve = coverage_curve(SHARES[2:], np.array(labels))
    draw_coverage(curve.coverages, curve.accuracies, curve.intervals).draw_without_rendering()


def test_nothing_is_not_drawn() -> None:
    bins = reliability(SHARES, LABELS).columns()
    with pytest.raises(DataError, match="no bin holds an image"):
        draw_reliability({})
    with pytest.raises(DataError, match="no bin holds an image"):
        draw_reliability({"x": bins | {"n": np.zeros(15)}})
    del bins["high"]
    with pytest.raises(DataError, match="the bins of 'x' have no column high"):
        draw_reliability({"x": bins})
    with pytest.raises(DataError, match=r"\(0,\)"):
        draw_coverage(np.zeros(0), np.zeros(0), np.zeros((0, 2)))
    with pytest.raises(DataError, match=r"\(3,\), \(2,\) and \(3, 2\)"):
        draw_coverage(np.zeros(3), np.zeros(2), np.zeros((3, 2)))
