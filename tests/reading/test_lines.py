"""Where lines are found, and how tall their digits are: drawn pictures with known places."""

import math

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lenetscope.reading.lines import find_layouts, ink_mask, long_runs, noise_of
from lenetscope.reading.settings import SETTINGS


def page(*places: tuple[int, int], size: tuple[int, int] = (400, 200), angle: float = 0) -> np.ndarray:
    """Return ink of zeros, 31 wide and 51 high, at these places (left, top), turned by degrees."""
    canvas = Image.new("L", size)
    for x, y in places:
        ImageDraw.Draw(canvas).ellipse((x, y, x + 30, y + 50), outline=255, width=6)
    turned = canvas.rotate(angle, resample=Image.Resampling.BILINEAR)
    return np.asarray(turned, dtype=np.float32) / 255


def test_a_line_has_a_place_and_the_height_of_its_digits() -> None:
    (layout,) = find_layouts(page((100, 60), (150, 64), (210, 58)))
    (line,) = layout.lines
    assert line.centre == pytest.approx((170.5, 86.5), abs=1)
    assert (line.digit, line.angle) == (pytest.approx(51, abs=1), 0)
    assert line.length == pytest.approx(141, abs=1)
    assert line.height == pytest.approx(57, abs=1)
    assert line.left_out == pytest.approx(0, abs=0.01)
    assert layout.rules is None
    assert layout.own is not None
    assert np.array_equal(layout.own, ink_mask(page((100, 60), (150, 64), (210, 58))))


def test_two_digits_that_stand_apart_are_one_line_up_to_the_spacing() -> None:
    near, far = (round(31 + factor * SETTINGS.spacing * 51) for factor in (0.9, 1.1))
    (layout,) = find_layouts(page((60, 70), (60 + near, 70)))
    assert len(layout.lines) == 1
    # the second sits lower, so that it is on no common level
    (layout,) = find_layouts(page((60, 40), (60 + far, 95)))
    assert [line.centre[0] for line in layout.lines] == pytest.approx([75.5, 75.5 + far], abs=1)


def test_lines_are_in_reading_order() -> None:
    (layout,) = find_layouts(page((220, 20), (100, 20), (150, 18), (60, 120), (110, 125)))
    assert [line.centre for line in layout.lines] == [
        pytest.approx((175.5, 44.5), abs=1),
        pytest.approx((100.5, 148), abs=1),
    ]
    assert [line.digit for line in layout.lines] == pytest.approx([51, 51], abs=1)


@pytest.mark.parametrize("degrees", [-25, -10, 10, 25])
def test_a_slope_is_measured(degrees: int) -> None:
    (layout,) = find_layouts(page((80, 80), (140, 80), (200, 80), (260, 80), angle=degrees))
    (line,) = layout.lines
    assert math.degrees(line.angle) == pytest.approx(-degrees, abs=1.5)  # y is downwards
    turn = math.radians(-degrees)  # of the middle of the ink about that of the picture
    x, y = 185.5 - 200, 105.5 - 100
    middle = (
        200 + x * math.cos(turn) - y * math.sin(turn),
        100 + x * math.sin(turn) + y * math.cos(turn),
    )
    assert line.centre == pytest.approx(middle, abs=2)
    assert line.digit == pytest.approx(51, abs=6)


def test_a_step_between_two_digits_is_no_slope() -> None:
    (layout,) = find_layouts(page((80, 60), (140, 75)))
    assert [line.angle for line in layout.lines] == [0]


def test_a_ruled_line_through_digits_gives_a_second_finding() -> None:
    ink = page((100, 60), (150, 60), (210, 60))
    ink[104:107, 10:390] = 1
    first, second = find_layouts(ink)
    assert first.rules is None
    assert second.rules is not None
    assert second.rules[105, 10:390].mean() > 0.98
    (line,) = second.lines
    assert line.centre[0] == pytest.approx(170.5, abs=2)
    assert line.length == pytest.approx(141, abs=4)
    assert line.digit == pytest.approx(47, abs=5)
    assert second.own is not None
    assert not (second.own & second.rules).any()


def test_a_frame_gives_a_finding_of_what_is_inside() -> None:
    ink = page((100, 60), (150, 60))
    ink[[20, 180], 20:380] = ink[20:180, 20] = ink[20:181, 379] = 1
    second = find_layouts(ink)[-1]
    (line,) = second.lines
    assert line.centre == pytest.approx((140.5, 85.5), abs=1)
    assert line.digit == pytest.approx(51, abs=1)
    assert second.rules is not None
    assert second.rules.sum() == pytest.approx(2 * 360 + 2 * 160, rel=0.02)


def test_a_digit_is_no_rule_and_a_picture_of_rules_alone_has_no_second_finding() -> None:
    mask = ink_mask(page((100, 60)))
    assert mask is not None
    assert long_runs(mask) is None
    rules = np.zeros((200, 400), dtype=bool)
    rules[100:103] = True
    assert long_runs(rules) is None


def test_dirt_is_no_line_and_counts_as_left_out() -> None:
    ink = page((100, 60), (150, 60))
    digits = ink.sum()
    ink[150:156, 300:306] = 1
    (layout,) = find_layouts(ink)
    (line,) = layout.lines
    assert line.centre == pytest.approx((140.5, 85.5), abs=1)
    assert line.left_out == pytest.approx(36 / digits, rel=0.05)
    ink[120:150, 350:352] = 1  # as high as a digit, but too thin for one
    (layout,) = find_layouts(ink)
    assert [line.centre[0] for line in layout.lines] == pytest.approx([140.5], abs=1)


def test_what_reaches_in_from_the_edge_is_no_digit_unless_it_is_all() -> None:
    ink = page((100, 60), (150, 60))
    ink[:130, 330:] = 1  # a thumb
    (layout, *_) = find_layouts(ink)
    (line,) = layout.lines
    assert line.centre == pytest.approx((140.5, 85.5), abs=1)
    alone = np.zeros((60, 60), np.float32)
    alone[:, 27:33] = 1  # a 1 as high as its picture
    (layout, *_) = find_layouts(alone)
    assert layout.lines[0].digit == pytest.approx(60, abs=1)


def test_blank_paper_noise_and_grains_have_no_line() -> None:
    assert find_layouts(np.zeros((50, 50), np.float32)) == []
    assert ink_mask(np.zeros((50, 50), np.float32)) is None
    noise = np.random.default_rng(0).normal(scale=0.02, size=(120, 160)).clip(0)
    assert find_layouts(noise) == []
    grains = np.zeros((120, 160), np.float32)
    grains[10:13, 10:13] = grains[60:63, 80:83] = 1
    assert find_layouts(grains) == []


def test_ink_is_told_from_noise_and_faint_parts_belong_to_it_where_they_touch() -> None:
    random = np.random.default_rng(0)
    ink = 0.4 * page((100, 60), (150, 60))
    wanted = ink > 0.2
    mask = ink_mask(ink + random.normal(scale=0.02, size=ink.shape))
    assert mask is not None
    assert (mask == wanted).mean() > 0.99
    assert noise_of(random.normal(scale=0.02, size=(200, 300))) == pytest.approx(0.02, rel=0.1)
    assert noise_of(page((100, 60))) == 0
    assert noise_of(np.zeros((2, 3))) == 0
    stroke = np.zeros((60, 100))
    stroke[28:32, 10:60], stroke[28:32, 60:80], stroke[10:14, 10:30] = 1.0, 0.35, 0.35
    mask = ink_mask(stroke)
    assert mask is not None
    assert mask[30, 70]  # fades
    assert not mask[12, 20]  # is a smudge


def test_of_a_page_the_longest_lines_are_kept_in_order() -> None:
    ink = np.zeros((1000, 300), np.float32)
    for k in range(20):
        for x in range(40, 100 + 6 * k, 30):
            ink[20 + 48 * k : 40 + 48 * k, x : x + 12] = 1
    (layout,) = find_layouts(ink)
    assert len(layout.lines) == SETTINGS.most_lines
    middles = [line.centre[1] for line in layout.lines]
    assert middles == sorted(middles)
    assert middles[0] > 300


def test_very_many_pieces_are_grouped_in_bounded_time_and_number() -> None:
    dots = np.zeros((400, 400), np.float32)
    for y in range(5, 390, 20):
        for x in range(5, 390, 20):
            dots[y : y + 9, x : x + 9] = 1
    for layout in find_layouts(dots):
        assert 1 <= len(layout.lines) <= SETTINGS.most_lines
