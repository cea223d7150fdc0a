"""What excites units: which images and kernels stand where, and the frames around what was seen."""

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from lenetscope.errors import DataError, UsageError
from lenetscope.plots import style
from lenetscope.plots.excitation import excitation, excitation_pages


def data(units: int = 10, k: int = 3, channels: int = 1) -> tuple[np.ndarray, ...]:
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (20, channels, 8, 8)).astype(np.uint8)
    images = generator.integers(0, 20, (units, k))
    boxes = np.tile([2, 1, 5, 4], (units, k, 1))
    return pixels, -np.sort(-generator.random((units, k))), images, boxes


def test_images_kernels_and_frames_stand_where_they_belong() -> None:
    pixels, values, images, boxes = data()
    weights = np.random.default_rng(1).normal(size=(10, 6, 3, 3))
    figure = excitation(
        pixels, values, images, boxes, "conv2", weights=weights, labels=range(20), page=1
    )
    ax = figure.axes[0]
    assert ax.get_title() == "conv2: units 8 to 9 of 10, and what excites them most"
    assert [t.get_text() for t in ax.get_yticklabels()] == ["8", "9"]
    assert excitation_pages(10) == 2
    kernels = [i.get_array() for i in ax.images if i.get_array().shape == (3, 3)]
    sizes = np.linalg.norm(weights[8].reshape(6, -1), axis=1)
    strongest = np.argsort(-sizes)[:4]
    assert np.isclose(kernels[:4], weights[8, strongest]).all()
    texts = [t.get_text() for t in ax.texts]
    assert texts[:4] == [str(c) for c in strongest]
    assert f"{images[8, 0]}: {values[8, 0]:.3g}" in texts
    shown = [i for i in ax.images if i.get_array().shape == (8, 8)]
    assert np.isclose(shown[0].get_array(), pixels[images[8, 0], 0]).all()
    assert len(shown) == 6
    frames = [p for p in ax.patches if isinstance(p, Rectangle)]
    left, _, bottom, top = shown[0].get_extent()
    assert frames[0].get_xy() == pytest.approx((left + 1 / 8, top + 2 / 8))
    assert (frames[0].get_width(), frames[0].get_height()) == pytest.approx((3 / 8, 3 / 8))
    assert bottom == top + 1
    low, high = ax.images[0].get_clim()
    assert low == -high
    figure.draw_without_rendering()
    assert (figure.get_size_inches() <= style.MAX_SIDE).all()


def test_vectors_colour_and_fields_as_large_as_the_image() -> None:
    pixels, values, images, boxes = data(3, 9, channels=3)
    boxes[:] = [0, 0, 8, 8]
    ax = excitation(pixels, values, images, boxes, "fc1").axes[0]
    assert not ax.patches
    assert len(ax.images) == 18  # six of nine
    assert ax.images[0].get_array().shape == (8, 8, 3)
    assert ax.get_title() == "fc1: 3 units, and what excites them most"
    scaled = excitation(pixels / 127.5 - 1, values, images, boxes, "fc1").axes[0].images[0].get_array()
    assert (scaled.min(), scaled.max()) == (0, 1)


def test_shapes_that_do_not_fit_are_told() -> None:
    pixels, values, images, boxes = data()
    with pytest.raises(DataError, match="must be"):
        excitation(pixels, values, images[:, :2], boxes, "a")
    with pytest.raises(DataError, match="weights must be"):
        excitation(pixels, values, images, boxes, "a", weights=np.ones((9, 1, 3, 3)))
    with pytest.raises(UsageError, match="no page 2"):
        excitation(pixels, values, images, boxes, "a", page=2)
