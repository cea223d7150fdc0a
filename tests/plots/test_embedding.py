"""Embeddings: classes by colour, shape and name; errors ringed and named; axes with a meaning."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from lenetscope.errors import DataError
from lenetscope.plots import style
from lenetscope.plots.embedding import COLOURS, SHAPES, embedding

NAMES = [str(k) for k in range(10)]


def points(count: int = 100) -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(count) % 10
    return np.random.default_rng(0).normal(size=(count, 2)) + 20 * labels[:, None], labels


def test_classes_have_a_colour_a_shape_and_a_name_at_their_centre() -> None:
    where, labels = points()
    figure = embedding(where, labels, NAMES, explained=np.array([0.5, 0.25]))
    ax = figure.axes[0]
    assert len(set(COLOURS)) == len(set(SHAPES)) == 10
    assert [to_hex(c.get_facecolor()[0]) for c in ax.collections] == list(COLOURS)
    for k in range(10):
        assert np.isclose(ax.collections[k].get_offsets(), where[labels == k]).all()
        (name,) = [t for t in ax.texts if t.get_text() == NAMES[k]]
        assert name.get_position() == pytest.approx(tuple(np.median(where[labels == k], axis=0)))
        assert name.get_fontsize() >= 12
    assert ax.get_xlabel() == "first component (50 % of the variance)"
    assert ax.get_title() == "100 images"
    figure.draw_without_rendering()


def test_errors_have_a_ring_and_as_many_texts_as_there_is_room() -> None:
    where, labels = points()
    predicted = labels.copy()
    predicted[[3, 50]] = [5, 9]
    where[3], where[50] = (200, 0), (0, 200)
    ax = embedding(where, labels, NAMES, predicted=predicted, title="fc1").axes[0]
    ring = ax.collections[-1]
    assert to_hex(ring.get_edgecolor()[0]) == style.WRONG
    assert ring.get_offsets().tolist() == [[200, 0], [0, 200]]
    assert {t.get_text() for t in ax.texts} == {*NAMES, "3→5", "0→9"}
    assert ax.get_title() == "fc1: 100 images, 2 predicted wrongly (true→predicted)"
    assert ax.get_xlabel() == "only who is near to whom has a meaning here"
    crowd = embedding(np.zeros((50, 2)), labels[:50], NAMES, predicted=(labels[:50] + 1) % 10)
    assert len(crowd.axes[0].texts) == 10  # the classes, no room for more
    crowd.draw_without_rendering()


def test_what_does_not_fit_is_told() -> None:
    where, labels = points()
    with pytest.raises(DataError, match="must be"):
        embedding(where, labels[:9], NAMES)
    with pytest.raises(DataError, match="one of the classes"):
        embedding(where, labels, NAMES[:9])
