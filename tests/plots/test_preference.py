"""The mosaic of preferred images: every unit, its number and what it reached."""

import numpy as np
import pytest

from lenetscope.errors import DataError
from lenetscope.plots import style
from lenetscope.plots.preference import preference


def patches(units: int, channels: int = 1) -> np.ndarray:
    """Grey (U, C, 12, 12) with something in the middle of it."""
    shades = np.full((units, channels, 12, 12), 0.5)
    shades[:, :, 4:8, 4:8] = np.random.default_rng(0).random((units, channels, 4, 4))
    shades[:, :, 4, 4] = 1
    return shades


def test_every_unit_has_its_number_and_what_it_reached_beside_what_is_usual() -> None:
    shades = patches(10)
    figure = preference(shades, range(5, 15), np.arange(10.0), np.full(10, 2.5), layer="conv2")
    tiles = [ax for ax in figure.axes if ax.images]
    assert [ax.get_title() for ax in tiles] == [str(k) for k in range(5, 15)]
    assert [ax.get_xlabel() for ax in tiles][:2] == ["0.0 | 2.5", "1.0 | 2.5"]
    assert {ax.images[0].get_clim() for ax in tiles} == {(0, 1)}
    assert np.allclose(tiles[3].images[0].get_array(), shades[3, 0, 4:8, 4:8])
    told = figure.get_suptitle()
    assert "conv2: what 10 units want" in told
    assert "highest on real images" in told
    figure.draw_without_rendering()


def test_without_real_images_nothing_is_said_of_them() -> None:
    figure = preference(patches(2), ["a", "b"], np.ones(2), crop=False)
    assert figure.axes[0].get_xlabel() == "1.0"
    assert "real" not in figure.get_suptitle()
    assert figure.axes[0].images[0].get_array().shape == (12, 12)


@pytest.mark.parametrize(("channels", "shape"), [(1, (4, 4)), (2, (4, 4)), (3, (4, 4, 3))])
def test_colour_stays_colour(channels: int, shape: tuple[int, ...]) -> None:
    figure = preference(patches(3, channels), range(3), np.ones(3))
    assert figure.axes[0].images[0].get_array().shape == shape


def test_grey_alone_is_not_cropped_to_nothing() -> None:
    figure = preference(np.full((1, 1, 5, 5), 0.5), [0], np.zeros(1))
    assert figure.axes[0].images[0].get_array().shape == (5, 5)


@pytest.mark.parametrize("units", [1, 8, 128])
def test_it_fits_on_a_screen(units: int) -> None:
    figure = preference(patches(units), range(units), np.ones(units), columns=16)
    assert (figure.get_size_inches() <= style.MAX_SIDE).all()


def test_counts_that_differ_are_refused() -> None:
    for shades, units, reached in ((patches(2), [0], np.ones(2)), (patches(0), [], np.ones(0))):
        with pytest.raises(DataError, match="give as many of each, one or more"):
            preference(shades, units, reached)
