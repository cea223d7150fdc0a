"""The gallery of wrong answers."""

import numpy as np
import pytest

from lenetscope.errors import DataError, UsageError
from lenetscope.plots import style
from lenetscope.plots.mistakes import mistake_pages, mistakes


def some(count: int, channels: int = 1) -> dict:
    return {
        "images": np.arange(count, dtype=np.uint8)[:, None, None, None]
        * np.ones((1, channels, 4, 4), np.uint8),
        "true": np.zeros(count, dtype=int),
        "predicted": np.ones(count, dtype=int),
        "probabilities": np.array([[0.0001, 0.9999]] + [[0.25, 0.7]] * (count - 1))[:count],
        "classes": ["cat", "dog", "cow"],
    }


def test_a_page_shows_its_mistakes_and_their_neighbours() -> None:
    given = some(5)
    near = np.full((5, 3, 1, 4, 4), 9, dtype=np.uint8)
    labels = np.tile([0, 1, 2], (5, 1))
    doubted = np.array([True, False, False, False, False])
    figure = mistakes(
        **given,
        indices=np.arange(70, 75),
        near_images=near,
        near_labels=labels,
        doubted=doubted,
        per_page=3,
    )
    texts = {text.get_text(): text for text in figure.texts}
    assert "mistakes 1 to 3 of 5" in texts
    assert "no. 70:  cat (< 0.1 %) → dog (> 99.9 %)" in texts
    assert "no. 71:  cat (25.0 %) → dog (70.0 %)" in texts
    assert texts["the label cat may be wrong"].get_color() == style.WRONG
    assert len(figure.axes) == 3 * 4
    assert [ax.images[0].get_array().flat[0] for ax in figure.axes[:5]] == [0, 9, 9, 9, 1]
    cat, dog, cow = (ax.xaxis.label for ax in figure.axes[1:4])
    assert [label.get_text() for label in (cat, dog, cow)] == ["cat", "dog", "cow"]
    assert [label.get_color() for label in (cat, dog, cow)] == [style.INK, style.WRONG, style.INK]
    assert [label.get_fontweight() for label in (cat, dog, cow)] == ["bold", "normal", "normal"]
    figure.draw_without_rendering()


def test_the_last_page_and_colour_images() -> None:
    figure = mistakes(**some(5, channels=3), page=1, per_page=3)
    assert [ax.images[0].get_array().shape for ax in figure.axes] == [(4, 4, 3)] * 2
    assert figure.texts[0].get_text() == "mistakes 4 to 5 of 5"
    assert figure.axes[0].images[0].get_array().flat[0] == 3
    figure.draw_without_rendering()
    given = some(1) | {"images": np.full((1, 4, 4), 0.5)}
    assert mistakes(**given).axes[0].images[0].get_clim() == (0, 1)


def test_nothing_stands_outside_the_page_or_on_something_else() -> None:
    near = {"near_images": np.zeros((12, 5, 4, 4)), "near_labels": np.zeros((12, 5), dtype=int)}
    figure = mistakes(**some(12), **near, indices=np.arange(9988, 10_000), doubted=np.ones(12, bool))
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


def test_pages_and_what_is_refused() -> None:
    assert [mistake_pages(count, 12) for count in (0, 1, 12, 13)] == [1, 1, 1, 2]
    assert mistakes(**some(0)).texts[0].get_text() == "no mistakes"
    with pytest.raises(UsageError, match="there is no page 2: pages go from 0 to 1"):
        mistakes(**some(5), page=2, per_page=3)
    with pytest.raises(UsageError, match="a page holds 1 mistake or more, not 0"):
        mistakes(**some(5), per_page=0)
    with pytest.raises(DataError, match="images have 5"):
        mistakes(**some(5) | {"true": np.zeros(4, dtype=int)})
    with pytest.raises(DataError, match="together"):
        mistakes(**some(5), near_labels=np.zeros((5, 2), dtype=int))
