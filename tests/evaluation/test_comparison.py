"""Comparing networks: hand-computed answers, exact enumeration, and what is said about them."""

import json
from fractions import Fraction
from itertools import product
from math import comb

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from scipy.stats import multinomial

from lenetscope.errors import DataError, UsageError
from lenetscope.evaluation import wilson_interval
from lenetscope.evaluation.comparison import (
    COLUMNS,
    DRAWN,
    compare,
    holm,
    mcnemar,
    paired_interval,
    plot_comparison,
)
from lenetscope.plots import style


def certain(answers: list[int], classes: int = 3, p: float = 0.8) -> np.ndarray:
    """Return probabilities (N, K): ``p`` of each answer, the rest spread evenly."""
    rest = (1 - p) / (classes - 1)
    return np.full((len(answers), classes), rest) + (p - rest) * np.eye(classes)[answers]


def networks(true: list[int], wrong: dict[str, int], start: int = 0) -> dict[str, np.ndarray]:
    """Return networks that are each wrong on so many images, no two on the same one."""
    found = {}
    for name, count in wrong.items():
        answers = [(k + (start <= place < start + count)) % 3 for place, k in enumerate(true)]
        found[name] = certain(answers)
        start += count
    return found


@given(st.integers(0, 300), st.integers(0, 300))
def test_the_p_value_is_that_of_fair_coins(first: int, second: int) -> None:
    total, fewest = first + second, min(first, second)
    exact = min(Fraction(1), Fraction(2 * sum(comb(total, k) for k in range(fewest + 1)), 2**total))
    assert mcnemar(first, second) == pytest.approx(float(exact), rel=1e-9)


@pytest.mark.parametrize("total", [1, 5, 6, 17, 60])
def test_equally_good_networks_are_told_apart_in_one_of_twenty_comparisons_at_most(total: int) -> None:
    alarms = sum(comb(total, k) for k in range(total + 1) if mcnemar(k, total - k) < 0.05)
    assert alarms / 2**total <= 0.05


def test_the_interval_of_a_difference_by_hand() -> None:
    # of 21 images 1 and 7: (2 - 8) / 23 and 1.96 * sqrt((10 / 23 - (6 / 23)**2) / 23)
    assert paired_interval(1, 7, 21) == pytest.approx((-0.5083, -0.0134), abs=1e-4)
    assert paired_interval(7, 1, 21) == pytest.approx((0.0134, 0.5083), abs=1e-4)
    low, high = paired_interval(0, 0, 10_000)
    assert low == -high == pytest.approx(-0.000277, abs=1e-6)
    assert paired_interval(1, 0, 1) == pytest.approx((1 / 3 - 1.959964 * (8 / 27) ** 0.5, 1.0))


@pytest.mark.parametrize("first", [0.02, 0.05, 0.2])
@pytest.mark.parametrize("second", [0.02, 0.1])
def test_the_interval_holds_the_difference_in_95_of_100_samples(first: float, second: float) -> None:
    n = 60
    pairs = [(b, c) for b, c in product(range(n + 1), repeat=2) if b + c <= n]
    chances = multinomial.pmf(
        [(b, c, n - b - c) for b, c in pairs], n, [first, second, 1 - first - second]
    )
    held = [
        low <= first - second <= high for low, high in (paired_interval(*pair, n) for pair in pairs)
    ]
    assert 0.94 < chances[held].sum() <= 1


def test_holm_corrects_as_r_does() -> None:
    assert holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])
    assert holm([0.6, 0.02, 0.7]) == pytest.approx([1.0, 0.06, 1.0])
    assert holm([0.3]) == [0.3]


def test_two_networks_by_hand() -> None:
    true = [0, 1, 2, 0, 1, 2, 0, 1]
    one = [0, 1, 2, 0, 1, 0, 1, 0]  # wrong on 5, 6, 7
    two = [1, 1, 2, 0, 1, 0, 2, 1]  # wrong on 0, 5, 6; on 6 both are, but not alike
    found = compare({"one": certain(one), "two": torch.from_numpy(certain(two, p=0.6))}, true, "abc")
    assert [(row.name, row.errors, row.accuracy) for row in found.networks] == [
        ("one", 3, 0.625),
        ("two", 3, 0.625),
    ]
    assert (found.networks[0].low, found.networks[0].high) == wilson_interval(5, 8)
    (pair,) = found.pairs
    assert (pair.first, pair.second, pair.only_first, pair.only_second) == ("one", "two", 1, 1)
    assert (pair.difference, pair.p, pair.p_holm) == (0, 1, 1)
    assert (pair.low, pair.high) == paired_interval(1, 1, 8)
    assert [row.index for row in found.disagreements] == [0, 6, 7]
    row = found.disagreements[1]
    assert (row.true, row.predicted) == (0, (1, 2))
    assert row.probabilities == pytest.approx((0.8, 0.6))
    # between (.1, .8, .1) and (.2, .2, .6)
    assert [row.distance for row in found.disagreements] == pytest.approx([0.6, 0.6, 0.6])
    assert found.answers(row) == ["b (80.0 %)", "c (60.0 %)"]
    assert found.words == ["one and two make equally many errors on the same 8 images: 3."]
    plain = json.loads(json.dumps(found.as_dict()))
    assert plain["networks"][1]["name"] == "two"
    assert plain["disagreements"][1]["predicted"] == [1, 2]


def test_where_they_differ_most_comes_first() -> None:
    one, two = certain([0, 0, 0, 0]), certain([0, 1, 1, 1])
    two[2] = (0.3, 0.4, 0.3)
    found = compare({"one": one, "two": two, "three": certain([0, 0, 0, 0])}, [0, 0, 0, 0])
    assert [row.index for row in found.disagreements] == [1, 3, 2]
    assert [row.distance for row in found.disagreements] == pytest.approx([0.7, 0.7, 0.5])


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"one": 0, "two": 1}, "one makes 1 fewer error than two on the same 100 images. A"),
        (
            {"one": 10, "two": 7},
            "two makes 3 fewer errors than one on the same 100 images. A",
        ),
        ({"one": 10, "two": 7}, "in 63 of 100 comparisons of equally good networks: it may be luck."),
        ({"one": 0, "two": 5}, "in 6 of 100 comparisons of equally good networks: it may be luck."),
        (
            {"one": 0, "two": 6},
            "in 3 of 100 comparisons of equally good networks: it is unlikely to",
        ),
        ({"one": 8, "two": 0}, "in 8 of 1,000 comparisons of equally good networks: it is unlikely"),
        ({"one": 30, "two": 0}, "in fewer than 1 of 1,000 comparisons"),
        ({"one": 3, "two": 4}, "in nearly all comparisons"),
    ],
)
def test_words_for_two(wrong: dict[str, int], says: str) -> None:
    true = [0, 1] * 50
    (words,) = compare(networks(true, wrong), true).words
    assert says in words


def test_several_networks_are_corrected_for_their_number() -> None:
    true = [0, 1] * 50
    found = compare(networks(true, {"one": 0, "two": 6, "three": 6}), true)
    assert [(pair.first, pair.second) for pair in found.pairs] == [
        ("one", "two"),
        ("one", "three"),
        ("two", "three"),
    ]
    assert [pair.p_holm for pair in found.pairs] == pytest.approx([0.09375, 0.09375, 1])
    assert "in 3 of 100 comparisons of equally good networks (p = 0.094 with Holm's" in found.words[0]
    assert found.words[0].endswith("for 3 pairs): it may be luck.")
    found = compare(networks(true, dict.fromkeys("abcde", 1)), true)
    assert [(pair.first, pair.second) for pair in found.pairs] == [("a", k) for k in "bcde"]


def test_they_print_and_show_themselves() -> None:
    true = [0, 1] * 50
    found = compare(networks(true, {"<one>": 9, "two": 3}), true)
    text = str(found)
    assert "They give different answers to 12 images. The 10 on which they differ most:" in text
    assert text.splitlines()[-10].split() == ["0", "0", "1", "(80.0", "%)", "0", "(80.0", "%)"]
    assert "&lt;one&gt;" in found._repr_html_()
    assert "<one>" not in found._repr_html_()
    same = compare(networks(true, {"one": 0, "two": 0}), true)
    assert str(same).endswith("They give the same answer to every image.")


@pytest.mark.parametrize(("count", "tiles"), [(0, 0), (1, 1), (COLUMNS + 1, COLUMNS + 1), (60, DRAWN)])
def test_the_picture_shows_each_answer_and_wrong_ones_in_red(count: int, tiles: int) -> None:
    true = [0, 1] * 50
    found = compare(networks(true, {"one": count, "two": 0}), true)
    pixels = np.zeros((100, 1, 6, 6), dtype=np.uint8)
    figure = plot_comparison(found, pixels)
    assert len(figure.axes) == tiles
    figure.draw_without_rendering()
    head, *answers = figure.texts
    assert f"A: one, {count} error{'s' * (count != 1)}\nB: two, 0 errors" in head.get_text()
    assert len(answers) == 2 * tiles
    for text in answers:
        wrong = text.get_text().startswith("A")
        assert to_hex(text.get_color()) == (style.WRONG if wrong else style.INK)
    if tiles:
        assert [text.get_text() for text in answers[:2]] == ["A: 1 (80.0 %)", "B: 0 (80.0 %)"]
        boxes = [text.get_window_extent() for text in answers] + [ax.bbox for ax in figure.axes]
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
        assert all(figure.bbox.y0 <= box.y0 and box.x1 <= figure.bbox.x1 for box in boxes)


@pytest.mark.parametrize(
    ("given", "labels", "error", "says"),
    [
        ({"one": certain([0, 1])}, [0, 1], UsageError, "give 2 to 26 networks"),
        ({str(k): certain([0]) for k in range(27)}, [0], UsageError, "not 27"),
        (
            {"one": certain([0, 1]), "two": certain([0])},
            [0, 1],
            DataError,
            "must be integers (1,)",
        ),
        ({"one": certain([0]), "two": certain([0], 4)}, [0], DataError, "the same classes"),
        ({"one": certain([0]), "two": 5 * certain([0])}, [0], DataError, "softmax"),
        ({"one": certain([0]), "two": certain([0])}, [3], DataError, "out of range"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    given: dict, labels: list[int], error: type, says: str
) -> None:
    with pytest.raises(error) as raised:
        compare(given, labels)
    assert says in str(raised.value)
