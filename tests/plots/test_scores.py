"""The confusion matrix."""

import numpy as np

from lenetscope import plots


def test_the_confusion_matrix_shows_counts_and_colours_errors() -> None:
    matrix = np.array([[8, 2], [0, 5]])
    figure = plots.confusion(matrix, ["cat", "doggy"])
    assert [t.get_text() for t in figure.axes[0].texts] == ["8", "2", "5"]
    assert figure.axes[0].images[0].get_array().tolist() == [[0, 20], [0, 0]]
    assert figure.axes[0].get_title() == "2 errors in 15 images"
    plots.confusion(np.eye(40, dtype=int), [str(k) for k in range(40)]).draw_without_rendering()
