"""Accuracy over coverage, drawn."""

import numpy as np
import pytest

from lenetscope.evaluation.coverage import coverage_curve
from lenetscope.questions.coverage import plot_coverage


def test_the_curve_begins_before_the_first_error() -> None:
    sure = np.linspace(0.99, 0.6, 100)
    curve = coverage_curve(np.stack([sure, 1 - sure], axis=1), np.array([0] * 85 + [1, 0, 0] * 5))
    figure = plot_coverage(curve, curve.at_coverage(1), curve.at_coverage(0.85))
    (ax,) = figure.axes
    assert ax.get_xlim() == (70, 100)
    assert (
        ax.get_title()
        == "95.00 % accuracy if all 100 images are accepted\nno error in the most confident 85.0 %"
    )
    assert ax.lines[0].get_data()[0] == pytest.approx(100 * curve.coverages)
    assert ax.lines[0].get_data()[1] == pytest.approx(100 * curve.accuracies)
    low, high = ax.get_ylim()
    assert low < 94
    assert high > 100
    # from top to bottom, so that no lines cross
    assert [text.get_text() for text in ax.texts] == [
        "85.0 % accepted, accuracy 100.00 %",
        "100.0 % accepted, accuracy 95.00 %",
    ]
    figure.draw_without_rendering()


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1], [1, 0, 0]])
def test_few_images_all_correct_or_all_misclassified(labels: list[int]) -> None:
    sure = np.array([0.9, 0.95, 0.95])
    curve = coverage_curve(np.stack([sure, 1 - sure], axis=1), np.array(labels))
    figure = plot_coverage(curve, curve.at_coverage(1))
    figure.draw_without_rendering()
    # what three images leave open can be seen
    assert figure.axes[0].get_ylim()[0] < 100 * curve.intervals[-1, 0]
    assert ("no error" in figure.axes[0].get_title()) == (labels == [1, 0, 0])
