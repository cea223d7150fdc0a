"""Attribution maps and deletion curves: what stands where, and what the colours mean."""

import numpy as np
import pytest

from lenetscope.errors import DataError
from lenetscope.plots import style
from lenetscope.plots.attribution import attribution, faithfulness


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape)


def test_each_method_is_a_row_with_a_scale_of_its_own_and_each_class_a_column() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (3, 1, 8, 8)).astype(np.uint8)
    maps = {"occlusion": 5 * random(3, 2, 8, 8), "saliency": np.abs(random(3, 2, 8, 8))}
    classes = [[7, 2], [1, 3], [9, 4]]
    figure = attribution(pixels, maps, classes, labels=[7, 1, 4], units={"occlusion": "logit"})
    drawn = [ax for ax in figure.axes if ax.images]
    assert len(drawn) == 3 + 2 * 6
    assert [ax.get_title() for ax in drawn[:3]] == ["true 7", "true 1", "true 4"]
    assert (drawn[1].images[0].get_array() == pixels[1, 0]).all()
    rows = drawn[3:9], drawn[9:]
    assert [ax.get_title() for ax in rows[0]] == ["for 7", "for 2", "for 1", "for 3", "for 9", "for 4"]
    assert np.allclose(rows[0][3].images[0].get_array(), maps["occlusion"][1, 1])
    assert [row[0].get_ylabel() for row in rows] == ["occlusion", "saliency"]
    for row, colours in zip(rows, (style.SIGNED, style.POSITIVE), strict=True):
        assert {ax.images[0].get_cmap().name for ax in row} == {colours}
        assert len({ax.images[0].get_clim() for ax in row}) == 1
        assert all(ax.collections for ax in row)  # the outline of the digit
    low, high = rows[0][0].images[0].get_clim()
    assert low == -high
    assert 0.5 * np.abs(maps["occlusion"]).max() < high <= np.abs(maps["occlusion"]).max()
    bars = [child for row in rows for child in row[-1].child_axes]
    assert [bar.get_ylabel() for bar in bars] == ["logit", ""]
    figure.draw_without_rendering()


@pytest.mark.parametrize(("count", "classes"), [(1, 1), (4, 2), (12, 2)])
def test_maps_fit_on_a_screen(count: int, classes: int) -> None:
    asked = [list(range(classes))] * count
    figure = attribution(random(count, 3, 6, 6), {"a": random(count, classes, 6, 6)}, asked)
    assert (figure.get_size_inches() <= style.MAX_SIDE).all()
    assert figure.axes[0].get_title() == "image 0"
    figure.draw_without_rendering()


def test_maps_of_one_class_need_no_axis_for_it_and_may_be_zero() -> None:
    figure = attribution(np.zeros((2, 6, 6)), {"grad-cam": np.zeros((2, 6, 6))}, [["a"], ["b"]])
    assert len([ax for ax in figure.axes if ax.images]) == 4
    figure.draw_without_rendering()


def test_one_extreme_value_does_not_make_the_others_pale() -> None:
    values = random(2, 1, 20, 20)
    values[0, 0, 0, 0] = 1000
    figure = attribution(random(2, 20, 20), {"a": values}, [[0], [0]])
    assert figure.axes[-1].images[0].get_clim()[1] < 10


@pytest.mark.parametrize(
    ("pixels", "maps", "classes"),
    [
        (random(2, 6, 6), {"a": random(2, 6, 5)}, [[0], [0]]),
        (random(2, 6, 6), {"a": random(2, 2, 6, 6)}, [[0], [0]]),
        (random(2, 6, 6), {"a": random(2, 6, 6)}, [[0]]),
        (random(2, 6, 6), {}, [[0], [0]]),
        (random(0, 6, 6), {"a": random(0, 6, 6)}, []),
    ],
)
def test_what_does_not_fit_is_refused(pixels: np.ndarray, maps: dict, classes: list) -> None:
    with pytest.raises(DataError, match=r"classes need maps \(\d, \d, 6, 6\); given"):
        attribution(pixels, maps, classes)


def test_curves_stand_beside_each_other_with_their_areas() -> None:
    fractions = np.linspace(0, 1, 5)
    falls, rises = {"mine": 1 - fractions}, {"mine": np.sqrt(fractions)}
    falls |= {"chance": np.full(5, 0.5), "ink": np.full(5, 0.25)}
    rises |= {"chance": np.full(5, 0.5), "ink": np.full(5, 0.75)}
    figure = faithfulness(fractions, falls, rises)
    left, right = figure.axes
    assert left.get_title() == "deletion: lower is better"
    assert right.get_title() == "insertion: higher is better"
    texts = [text.get_text() for text in left.get_legend().get_texts()]
    assert texts == ["0.500  mine", "0.500  chance", "0.250  ink"]
    assert np.allclose(left.lines[0].get_ydata(), 100 * (1 - fractions))
    assert np.allclose(right.lines[0].get_xdata(), 100 * fractions)
    assert left.get_ylabel() == "probability of the class (%)"
    assert left.lines[0].get_color() == right.lines[0].get_color() == style.TRAIN
    assert left.lines[1].get_linestyle() != "-"
    figure.draw_without_rendering()
    many = {f"method {k}": fractions for k in range(8)}
    looks = [(line.get_color(), line.get_linestyle(), line._unscaled_dash_pattern)
             for line in faithfulness(fractions, many, many).axes[0].lines]  # fmt: skip
    assert len(set(map(str, looks[:6]))) == 6
    for wrong in ({}, {"other": fractions}):
        with pytest.raises(DataError, match="give both for the same methods"):
            faithfulness(fractions, wrong, falls)
