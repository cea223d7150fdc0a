"""The figure of misclassified images."""

import numpy as np
import pytest

from lenetscope.errors import UsageError
from lenetscope.evaluation.mistakes import Mistake, Nearest
from lenetscope.plots import style
from lenetscope.questions.mistakes import plot_mistakes

CLASSES = ["cat", "dog", "cow"]


def mistakes(count: int, near: int = 3, first: int = 70) -> list[Mistake]:
    """Return cats that are predicted as dogs, the first with a doubtful label."""
    nearest = Nearest(tuple(range(near)), (1.0,) * near, tuple(k % 3 for k in range(near)))
    chances = [(0.0001, 0.9999)] + [(0.25, 0.7)] * (count - 1)
    return [
        Mistake(first + i, 0, 1, own, other, 1.0, nearest, 1, 1, i == 0)
        for i, (own, other) in enumerate(chances[:count])
    ]


def images(count: int, channels: int = 1) -> np.ndarray:
    """Return as many images, each as bright as its index says."""
    return np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones(
        (1, channels, 4, 4), np.uint8
    )


def brightness(ax: object) -> float:
    return round(255 * float(np.asarray(ax.images[0].get_array()).flat[0]))


def test_a_page_shows_mistakes_and_their_neighbours() -> None:
    figure = plot_mistakes(mistakes(5), images(80), CLASSES, train_pixels=images(9) + 9)
    texts = {text.get_text(): text for text in figure.texts}
    assert "mistakes 1 to 5 of 5" in texts
    assert "no. 70:  cat (<0.1 %) → dog (>99.9 %)" in texts
    assert "no. 71:  cat (25.0 %) → dog (70.0 %)" in texts
    assert texts["the label cat may be wrong"].get_color() == style.WRONG
    assert len(figure.axes) == 5 * 4
    assert [brightness(ax) for ax in figure.axes[:5]] == [70, 9, 10, 11, 71]
    labels = [ax.xaxis.label for ax in figure.axes[1:4]]
    assert [label.get_text() for label in labels] == CLASSES
    assert [label.get_color() for label in labels] == [style.INK, style.WRONG, style.INK]
    assert [label.get_fontweight() for label in labels] == ["bold", "normal", "normal"]
    figure.draw_without_rendering()


def test_the_last_page_and_colour_images() -> None:
    figure = plot_mistakes(mistakes(14), images(90, channels=3), CLASSES, page=1)
    assert [ax.images[0].get_array().shape for ax in figure.axes] == [(4, 4, 3)] * 2
    assert figure.texts[0].get_text() == "mistakes 13 to 14 of 14"
    assert brightness(figure.axes[0]) == 82
    figure.draw_without_rendering()


def test_nothing_stands_outside_the_page_or_on_something_else() -> None:
    found, pixels = mistakes(12, near=5, first=9988), np.zeros((10_000, 1, 4, 4), np.uint8)
    figure = plot_mistakes(found, pixels, CLASSES, train_pixels=images(9))
    figure.draw_without_rendering()
    page = figure.bbox
    boxes = [text.get_window_extent() for text in figure.texts]
    boxes += [ax.get_tightbbox() for ax in figure.axes]
    for number, box in enumerate(boxes):
        assert page.x0 <= box.x0
        assert box.x1 <= page.x1
        assert page.y0 <= box.y0
        assert box.y1 <= page.y1
        assert not any(box.overlaps(other) for other in boxes[:number])


def test_pages() -> None:
    assert plot_mistakes([], images(3), CLASSES).texts[0].get_text() == "no mistakes"
    with pytest.raises(UsageError, match="there is no page 1: pages go from 0 to 0"):
        plot_mistakes(mistakes(5), images(80), CLASSES, page=1)
