"""Each step of reading, against answers that are known by hand."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lenetscope.data.sources.mnist import read_mnist
from lenetscope.reading.box import is_like_mnist, to_image
from lenetscope.reading.components import farthest_gap, find_pieces, union, without_clutter
from lenetscope.reading.grey import to_grey
from lenetscope.reading.illumination import flatten
from lenetscope.reading.ink import find_ink
from lenetscope.reading.lines import find_lines, join_fragments, slope_of
from lenetscope.reading.polarity import find_polarity
from lenetscope.reading.prepare import sheared
from lenetscope.reading.rulings import without_rulings
from lenetscope.reading.slant import LEFTMOST, RIGHTMOST, shear_to_undo, slant_of
from lenetscope.reading.splitting import cut
from lenetscope.reading.stroke import move_outline, outline_shift, stroke_width


def drawn(
    *shapes: tuple[int, int, int, int], size: tuple[int, int] = (120, 120), width: int = 6
) -> np.ndarray:
    """Return a mask with lines from (x, y) to (x, y)."""
    picture = Image.new("L", size)
    for shape in shapes:
        ImageDraw.Draw(picture).line(shape, 255, width)
    return np.asarray(picture) > 0


def ring(outer: float, width: float, side: int = 120) -> np.ndarray:
    y, x = np.mgrid[:side, :side] - side / 2 + 0.5
    far = np.hypot(x, y)
    return (far < outer) & (far > outer - width)


def test_grey_is_luma_unless_only_the_colours_differ() -> None:
    pixels = np.full((40, 40, 3), 255, dtype=np.uint8)
    pixels[10:20, 10:20] = (255, 0, 0)
    assert to_grey(pixels)[15, 15] == pytest.approx(0.299)
    # green on a red of the same luma
    pixels[:] = (200, 0, 0)
    pixels[10:20, 10:20] = (0, 102, 0)
    grey = to_grey(pixels)
    assert abs(grey[15, 15] - grey[0, 0]) > 0.9
    assert to_grey(np.full((5, 5), 51, dtype=np.uint8)) == pytest.approx(0.2)


def test_a_shadow_is_not_ink_but_a_stroke_across_its_edge_is() -> None:
    light = np.ones((100, 100), dtype=np.float32)
    light[:, 50:] = 0.4  # a sharp shadow
    stroke = drawn((10, 50, 90, 50), size=(100, 100), width=5)
    ink = flatten(light * np.where(stroke, 0.3, 1), 15)
    assert ink[stroke][::7] == pytest.approx(0.7, abs=0.12)
    away = np.ones((100, 100), dtype=bool)
    away[42:58] = away[:, 46:54] = False
    assert np.abs(ink[away]).max() < 0.02


@pytest.mark.parametrize("light", [False, True])
@pytest.mark.parametrize("width", [1, 6, 22])
def test_polarity_of_hairlines_and_of_felt_pens(light: bool, width: int) -> None:
    mask = drawn((30, 20, 90, 20), (90, 20, 50, 100), width=width)
    grey = np.where(mask == light, 0.9, 0.1).astype(np.float32)
    likelier, other = find_polarity(grey)
    assert likelier.light is light
    assert likelier.evidence > 0.5 > -0.5 > other.evidence


def test_a_deep_shadow_is_not_mistaken_for_light_strokes() -> None:
    y, x = np.mgrid[-1 : 1 : 240 * 1j, -1 : 1 : 300 * 1j]
    noise = np.random.default_rng(0).normal(scale=0.02, size=x.shape)
    light = 0.8 * (1 - 0.6 * (x * x + y * y) / 2)
    hairline = drawn((100, 60, 200, 60), (200, 60, 140, 190), size=(300, 240), width=2)
    likelier, _ = find_polarity((light * (1 - 0.5 * hairline) + noise).astype(np.float32))
    assert not likelier.light
    assert likelier.evidence > 1
    assert likelier.window < 60


def test_pale_ruled_lines_are_removed_even_where_they_touch_a_stroke() -> None:
    digit = drawn((100, 60, 160, 60), (160, 60, 120, 190), size=(300, 240), width=8)
    y, _ = np.mgrid[:240, :300]
    lines = y % 40 < 2
    found = find_ink(np.where(digit, 0.8, np.where(lines, 0.3, 0.0)))
    assert found is not None
    assert np.array_equal(found.weak, digit | lines)
    left = without_rulings(found.mask, found.weak)
    assert (left & ~digit).sum() < 0.02 * lines.sum()
    assert (left & digit).sum() > 0.97 * digit.sum()


def test_the_widest_gap_is_the_longest_edge_of_the_spanning_tree() -> None:
    mask = np.zeros((60, 60), dtype=bool)
    mask[5:15, 5:15] = mask[18:28, 5:15] = mask[18:28, 35:45] = True
    pieces = find_pieces(mask, mask.astype(float))
    assert farthest_gap(pieces) == 20
    assert farthest_gap(pieces[:1]) == 0


def test_ink_is_found_in_noise_and_blank_paper_has_none() -> None:
    noise = np.random.default_rng(0).normal(scale=0.02, size=(120, 120))
    assert find_ink(np.zeros((50, 50))) is None
    stroke = drawn((20, 20, 100, 100))
    found = find_ink(0.3 * stroke + noise)
    assert found is not None
    assert (found.mask == stroke).mean() > 0.995


@pytest.mark.parametrize("slope", [0.0, 0.05])
def test_ruled_lines_are_removed_and_the_digit_stays(slope: float) -> None:
    digit = drawn((100, 60, 160, 60), (160, 60, 120, 190), size=(300, 240), width=8)
    y, x = np.mgrid[:240, :300]
    lines = (y + slope * x) % 40 < 2
    left = without_rulings(digit | lines, digit | lines)
    assert (left & ~digit).sum() < 0.06 * lines.sum()
    assert (left & digit).sum() > 0.97 * digit.sum()
    assert np.array_equal(without_rulings(digit, digit), digit)


def test_frames_specks_and_objects_at_the_edge_are_removed() -> None:
    mask = drawn((50, 30, 50, 90), size=(120, 120))
    clean = mask.copy()
    mask[2:118, 2:4] = mask[2:118, 116:118] = mask[2:4, 2:118] = mask[116:118, 2:118] = True
    mask[20:22, 100:102] = True
    left = without_clutter(find_pieces(mask, mask.astype(float)), mask.shape)
    assert len(left) == 1
    assert left[0].mass == clean.sum()
    mask = clean.copy()
    mask[:40, 90:] = True  # a thumb
    left = without_clutter(find_pieces(mask, mask.astype(float)), mask.shape)
    assert [piece.mass for piece in left] == [clean.sum()]
    alone = drawn((60, -5, 60, 80))
    assert len(without_clutter(find_pieces(alone, alone.astype(float)), alone.shape)) == 1


def pieces_of(mask: np.ndarray) -> list:
    return find_pieces(mask, mask.astype(float))


def test_the_bar_of_a_five_joins_it_and_neighbours_stay_apart() -> None:
    five = drawn((30, 30, 30, 60), (30, 60, 60, 60), (60, 60, 60, 95), (60, 95, 25, 95), width=5)
    bar = drawn((36, 20, 70, 20), width=5)
    joined = join_fragments(pieces_of(five | bar))
    assert len(joined) == 1
    assert joined[0].mass == (five | bar).sum()
    ones = drawn((30, 30, 30, 90), (50, 32, 50, 92), width=5)
    assert len(join_fragments(pieces_of(ones))) == 2


def test_lines_are_read_from_the_top_and_from_the_left() -> None:
    mask = drawn(
        (80, 20, 80, 60), (20, 22, 20, 58), (50, 18, 50, 55), (30, 90, 30, 130), size=(120, 150)
    )
    lines = find_lines(pieces_of(mask))
    assert [[piece.left for piece in line] for line in lines] == [[18, 48, 78], [28]]


def test_slope_of_a_line_that_falls() -> None:
    down = drawn(
        *[(20 + 40 * n, 20 + 20 * n, 20 + 40 * n, 50 + 20 * n) for n in range(4)], size=(200, 200)
    )
    assert slope_of(pieces_of(down)) == pytest.approx(0.5, abs=0.02)
    level = drawn(*[(20 + 40 * n, 20, 20 + 40 * n, 50) for n in range(4)], size=(200, 200))
    assert slope_of(pieces_of(level)) == 0.0
    assert slope_of(pieces_of(down)[:2]) == 0.0


def test_touching_digits_are_cut_where_they_touch() -> None:
    left, right = ring(26, 5, 130), np.roll(ring(26, 5, 130), 50, axis=1)
    mask = np.roll(left | right, -25, axis=1)
    (piece,) = pieces_of(mask)
    parts = cut(piece, piece.height)
    middle = piece.width / 2
    assert any(abs(part.left - middle) < 4 for part in parts)
    assert sum(part.mask.sum() for part in parts) == piece.mask.sum()
    assert union(parts).mask.sum() == piece.mask.sum()
    (one,) = pieces_of(drawn((60, 20, 60, 100)))
    assert cut(one, one.height) == [one]


def test_slant_is_removed_only_beyond_the_range_of_mnist() -> None:
    assert slant_of(drawn((100, 20, 20, 100))) == pytest.approx(-1, abs=0.02)
    upright = drawn((60, 20, 60, 100))
    assert shear_to_undo(slant_of(upright)) == 0
    leaning = drawn((100, 20, 20, 100))
    less = sheared(leaning, shear_to_undo(slant_of(leaning)))
    assert slant_of(less) == pytest.approx(RIGHTMOST, abs=0.03)


def test_the_limits_are_percentiles_of_the_slant_of_mnist() -> None:
    images = read_mnist().train.images[:5000, 0].numpy()
    slants = [slant_of(image) for image in images]
    low, high = np.percentile(slants, [1, 99])
    assert low == pytest.approx(RIGHTMOST, abs=0.06)
    assert high == pytest.approx(LEFTMOST, abs=0.06)


def test_stroke_width_of_a_ring_and_the_shift_that_corrects_it() -> None:
    assert stroke_width(ring(40, 8)) == pytest.approx(8, rel=0.15)
    # 2 pixels of 100 are 0.4 of 20; after moving by r: (2 + 2 r) 20 / (100 + 2 r) = 2.5
    shift = outline_shift(2, 100)
    assert (2 + 2 * shift) * 20 / (100 + 2 * shift) == pytest.approx(2.5)
    assert outline_shift(15, 100) == 0
    assert outline_shift(35, 100) < 0


def test_outlines_move_without_closing_a_loop_or_breaking_a_stroke() -> None:
    thin = ring(30, 2)
    wide = move_outline(thin, 3)
    assert stroke_width(wide > 0.5) == pytest.approx(8, abs=1.2)
    small = ring(8, 2)  # its hole has a radius of 6
    assert (move_outline(small, 7)[58:62, 58:62] < 0.5).all()
    uneven = drawn((20, 60, 100, 60), width=4) | drawn((20, 60, 50, 60), width=20)
    thinned = move_outline(uneven, -6) > 0.5
    assert len(pieces_of(thinned)) == 1
    assert np.flatnonzero(thinned.any(0)).max() > 95


def test_the_box_is_20_pixels_and_the_centre_of_mass_in_the_middle() -> None:
    mask = drawn((20, 10, 90, 10), (90, 10, 60, 110), width=10)
    image = to_image(mask.astype(np.float32))
    assert image.shape == (28, 28)
    solid = image > 60
    assert max(np.ptp(np.flatnonzero(solid.any(axis))) + 1 for axis in (0, 1)) in (19, 20)
    y, x = (np.average(np.arange(28), weights=image.sum(axis)) for axis in (1, 0))
    assert (y, x) == pytest.approx((14, 14), abs=0.2)
    assert not to_image(np.zeros((30, 30), dtype=np.float32)).any()


def test_every_mnist_image_is_recognised_and_a_shifted_one_is_not() -> None:
    images = read_mnist().test.images[:, 0].numpy()
    assert all(is_like_mnist(image) for image in images)
    assert not any(is_like_mnist(np.roll(image, 2, axis=1)) for image in images[:200])
    assert not is_like_mnist(images[0][:27])
