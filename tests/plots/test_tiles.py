"""Images and maps as tiles: which value is drawn where."""

from typing import Any

import numpy as np
import pytest

from lenetscope.plots import style
from lenetscope.plots.tiles import STRIP, bare, image, mosaic


@pytest.fixture
def ax() -> Any:
    with style.new_figure({}, (4, 3)) as figure:
        return figure.subplots()


def test_tiles_are_laid_out_in_rows_with_a_gap_between_them(ax: Any) -> None:
    tiles = np.arange(1.0, 31.0).reshape(5, 2, 3)
    norm = style.colour_scale(tiles, signed=False)
    mosaic(ax, tiles, 2, norm, style.POSITIVE)
    drawn = np.ma.filled(ax.images[0].get_array(), np.nan)
    assert drawn.shape == (3 * 3 - 1, 2 * 4 - 1)
    for number, tile in enumerate(tiles):
        top, left = number // 2 * 3, number % 2 * 4
        assert np.array_equal(drawn[top : top + 2, left : left + 3], tile)
    assert np.isfinite(drawn).sum() == 30
    assert ax.images[0].norm is norm
    assert ax.images[0].get_cmap().name == style.POSITIVE
    assert len(ax.get_xticks()) == len(ax.get_yticks()) == 0
    assert not any(spine.get_visible() for spine in ax.spines.values())


@pytest.mark.parametrize(("width", "ticks"), [(10, 10), (STRIP, STRIP), (STRIP + 1, 0), (4, 0)])
def test_the_values_of_a_short_vector_are_numbered(ax: Any, width: int, ticks: int) -> None:
    mosaic(ax, np.ones((1, 1, width)), 1, style.colour_scale(np.ones(1), False), style.POSITIVE)
    assert ax.get_xticks().tolist() == list(range(ticks))
    assert ax.images[0].get_array().shape == (1, width)


@pytest.mark.parametrize(
    ("pixels", "drawn"),
    [
        (np.array([[0, 51], [255, 0]], np.uint8), [[0, 0.2], [1, 0]]),
        (np.array([[0.25, 0.75]]), [[0.25, 0.75]]),
        (np.array([[[-1.0, 0.0, 3.0]]]), [[0, 0.25, 1]]),
        (np.array([[[0.0, 1.0]], [[1.0, 1.0]]]), [[0.5, 1]]),  # two channels: their mean
        (np.full((2, 2), -7.0), [[0, 0], [0, 0]]),
        (np.zeros((3, 1, 2), np.uint8), [[[0, 0, 0], [0, 0, 0]]]),
        (np.array([[[2.0]], [[0.0]], [[-2.0]]]), [[[1, 0.5, 0]]]),
    ],
)
def test_pixels_of_any_kind_become_shades(ax: Any, pixels: np.ndarray, drawn: list[Any]) -> None:
    image(ax, pixels, extent=(0, 2, 3, 0))
    (shown,) = ax.images
    assert np.allclose(shown.get_array(), drawn)
    assert shown.get_extent() == [0, 2, 3, 0]
    assert shown.get_clim() == (0, 1)


def test_bare_axes_keep_their_labels(ax: Any) -> None:
    ax.set_xlabel("below")
    bare(ax)
    assert ax.get_xlabel() == "below"
    assert len(ax.get_xticks()) == 0
