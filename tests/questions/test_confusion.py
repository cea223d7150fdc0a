"""The confusion matrix, drawn."""

import numpy as np
import pytest

from lenetscope.questions.confusion import plot_confusion


def test_cells_show_counts_and_colours_errors() -> None:
    matrix = np.array([[8, 2, 0], [0, 5, 0], [0, 0, 0]])
    figure = plot_confusion(matrix, ["cat", "dog", "cow"])
    ax = figure.axes[0]
    places = {text.get_text(): text.get_position() for text in ax.texts}
    assert places == {"8": (0, 0), "2": (1, 0), "5": (1, 1)}
    assert ax.images[0].get_array().tolist() == [[0, 20, 0], [0, 0, 0], [0, 0, 0]]
    assert ax.get_title() == "2 errors in 15 images"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["cat", "dog", "cow"]
    figure.draw_without_rendering()


@pytest.mark.parametrize("classes", [2, 40])
def test_few_and_many_classes_with_long_names(classes: int) -> None:
    figure = plot_confusion(np.eye(classes, dtype=int), [f"class {k}" for k in range(classes)])
    assert len(figure.axes[0].texts) == (classes if classes <= 30 else 0)
    assert figure.axes[0].get_xticklabels()[0].get_rotation() == 45
    figure.draw_without_rendering()
