"""Filters on pages: which tile stands where, what titles and ticks say, what is refused."""

import numpy as np
import pytest

from lenetscope.errors import DataError, UsageError
from lenetscope.plots import style
from lenetscope.plots.filters import filter_pages, filters


@pytest.mark.parametrize(
    ("shape", "pages"),
    [
        ((64, 32, 3, 3), 4),
        ((32, 1, 3, 3), 1),
        ((65, 1, 3, 3), 2),
        ((512, 512, 3, 3), 512),
        ((16, 33, 1, 1), 2),
        ((20, 4, 9), 2),
        ((3, 2, 4, 3, 3), 1),
    ],
)
def test_pages_show_every_weight_once(shape: tuple[int, ...], pages: int) -> None:
    weights = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) + 1
    assert filter_pages(weights) == pages
    drawn = []
    for page in range(min(pages, 20)):
        figure = filters(weights, "conv", page=page)
        width, height = figure.get_size_inches()
        assert width <= 10
        assert height <= style.MAX_SIDE
        picture = figure.axes[0].images[0]
        assert picture.get_clim()[1] == weights.max()  # one scale for all pages
        values = np.ma.filled(picture.get_array(), np.nan)
        drawn += values[~np.isnan(values)].tolist()
    assert len(drawn) == len(set(drawn))
    if pages <= 20:
        assert sorted(drawn) == weights.flatten().tolist()


def test_titles_and_ticks_tell_which_filters_are_shown() -> None:
    weights = np.random.default_rng(0).normal(size=(64, 48, 3, 3))
    ax = filters(weights, "conv", page=3).axes[0]
    assert ax.get_title() == "conv: filters 16 to 31 of 64, 3x3, channels 32 to 47 of 48"
    assert [t.get_text() for t in ax.get_yticklabels()][:2] == ["16", "17"]
    assert [t.get_text() for t in ax.get_xticklabels()][:2] == ["32", "33"]
    first = ax.images[0].get_array()[:3, :3]
    assert np.isclose(first, weights[16, 32]).all()
    ax = filters(weights[:, :32], "conv2").axes[0]
    assert ax.get_title() == "conv2: filters 0 to 15 of 64, 3x3, 32 channels"
    ax = filters(weights[:20, :1], "conv1").axes[0]
    assert ax.get_title() == "conv1: 20 filters of 3x3, one channel"
    assert [t.get_text() for t in ax.get_yticklabels()] == ["0", "+8", "+16"]
    ax = filters(weights[:8, :2], "conv", groups=4).axes[0]
    assert ax.get_xlabel() == "input channel of the group"
    assert ax.get_title() == "conv: 8 filters of 3x3, 2 channels a group"


def test_a_volume_shows_its_slices_and_a_line_its_strip() -> None:
    weights = np.random.default_rng(0).normal(size=(2, 3, 4, 5, 6))
    ax = filters(weights, "conv").axes[0]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0", "1", "2"]
    assert ax.get_xlabel() == "input channel, 4 slices each"
    assert np.isclose(ax.images[0].get_array()[:5, 7:13], weights[0, 0, 1]).all()
    line = filters(weights[0, :, :, 0], "conv").axes[0].images[0].get_array()
    assert np.isclose(line[0, :6], weights[0, 0, 0, 0]).all()


def test_figure_options_pass_and_the_rest_is_refused() -> None:
    weights = np.ones((20, 2, 3, 3))
    assert filters(weights, "conv", figsize=(3, 2)).get_size_inches().tolist() == [3, 2]
    for page in (-1, 2):
        with pytest.raises(UsageError, match=f"no page {page}: the pages of layer 'conv' are 0 to 1"):
            filters(weights, "conv", page=page)
    for shape in ((3, 3), (0, 1, 3, 3), (1,) * 6):
        with pytest.raises(DataError, match="filters are"):
            filters(np.ones(shape), "conv")
