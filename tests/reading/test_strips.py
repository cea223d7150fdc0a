"""The strips that are cut out of a picture, and where they lead back to."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageOps

from lenetscope.reading.settings import SETTINGS
from lenetscope.reading.strips import (
    HEIGHT,
    Strip,
    View,
    find_views,
    flattened,
    polarities,
    stretched,
    stroke_width,
)
from lenetscope.reading.training import paper


def page(*places: tuple[int, int], size: tuple[int, int] = (400, 200), angle: float = 0) -> np.ndarray:
    """Return ink of zeros, 31 wide and 51 high, at these places (left, top), turned by degrees."""
    canvas = Image.new("L", size)
    for x, y in places:
        ImageDraw.Draw(canvas).ellipse((x, y, x + 30, y + 50), outline=255, width=6)
    turned = canvas.rotate(angle, resample=Image.Resampling.BILINEAR)
    return np.asarray(turned, dtype=np.float32) / 255


def photo(ink: np.ndarray, light: bool = False) -> Image.Image:
    dark = Image.fromarray((230 - 190 * ink).astype(np.uint8))
    return ImageOps.invert(dark) if light else dark


def likelier(picture: Image.Image) -> list[View]:
    """Return the views with the likelier kind of ink."""
    return next(find_views(picture))


def plain(views: list[View]) -> View:
    """Return the view in which nothing was left out or changed."""
    return next(view for view in views if view.name in ("dark ink", "light ink"))


def places_of(strip: Strip, above: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y in the picture of a strip's ink."""
    rows, columns = np.nonzero(strip.pixels > above)
    x, y = strip.to_picture @ np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))])
    return x, y


@pytest.mark.parametrize("light", [False, True])
@pytest.mark.parametrize("angle", [-20, 0, 12])
@pytest.mark.parametrize("times", [1, 5])
def test_strips_lead_back_to_the_picture(light: bool, angle: float, times: int) -> None:
    ink = page((100, 60), (160, 60), (220, 60), angle=angle)
    picture = photo(ink, light)
    picture = picture.resize((400 * times, 200 * times), Image.Resampling.BICUBIC)
    views = likelier(picture)
    assert all(view.name.startswith("light" if light else "dark") for view in views)
    for view in views:
        (strip,) = view.strips
        assert strip.pixels.dtype == np.uint8
        assert strip.pixels.shape[0] == HEIGHT == 28
        assert strip.pixels.shape[1] >= 28
        x, y = (each / times for each in places_of(strip))
        found = ink[y.astype(int).clip(0, 199), x.astype(int).clip(0, 399)]
        assert (found > 0.3).mean() > 0.9
        rows, columns = np.nonzero(strip.pixels > 128)
        middle = [(each.min() + each.max() + 1) / 2 for each in (rows, columns)]
        assert middle == pytest.approx([14, strip.pixels.shape[1] / 2], abs=1.5)
        # no less of it than there is
        assert np.ptp(x) == pytest.approx(np.ptp(np.nonzero(ink > 0.5)[1]), abs=4)
        assert np.ptp(y) == pytest.approx(np.ptp(np.nonzero(ink > 0.5)[0]), abs=4)


def test_digits_of_a_strip_have_the_height_that_the_network_knows() -> None:
    views = likelier(photo(page((100, 60), (160, 60), (220, 60))))
    tall = {}
    for view in views:
        rows = np.nonzero(view.strips[0].pixels > 128)[0]
        tall[view.name] = np.ptp(rows) + 1
    assert tall["dark ink"] == pytest.approx(SETTINGS.digit, abs=2)
    assert tall["dark ink, smaller"] < tall["dark ink"] < tall["dark ink, larger"] <= 28
    doubts = {view.name: view.doubt for view in views}
    assert doubts["dark ink"] < doubts["dark ink, smaller"] == doubts["dark ink, larger"]


def test_two_lines_are_two_strips_in_order() -> None:
    view = plain(likelier(photo(page((100, 20), (160, 20), (100, 110), (160, 110)))))
    first, second = (places_of(strip) for strip in view.strips)
    assert float(np.median(first[1])) == pytest.approx(45.5, abs=6)
    assert float(np.median(second[1])) == pytest.approx(135.5, abs=6)


def test_both_kinds_of_ink_are_seen_the_likelier_first() -> None:
    for light in (False, True):
        kinds = list(find_views(photo(page((100, 60), (160, 60)), light)))
        assert len(kinds) == 2
        first, second = kinds
        assert all(view.name.startswith("light" if light else "dark") for view in first)
        assert all(view.name.startswith("dark" if light else "light") for view in second)
        assert max(view.doubt for view in first) < min((view.doubt for view in second), default=9)


def test_strips_of_either_kind_of_ink_are_the_same() -> None:
    ink = page((100, 60), (160, 60))
    dark, light = (plain(likelier(photo(ink, light))).strips[0] for light in (False, True))
    assert dark.pixels.shape == light.pixels.shape
    # ink is a fraction of the paper's brightness, so edges differ by some grey
    assert np.abs(dark.pixels.astype(int) - light.pixels).mean() < 12
    assert np.allclose(dark.to_picture, light.to_picture, atol=1)


def test_other_ink_and_ruled_lines_are_seen_with_and_without() -> None:
    ink = page((100, 60), (160, 60), (220, 60))
    ink[118:121, 10:390] = 1  # an underline
    views = likelier(photo(ink))
    left, out = ({v.name: v for v in views if ("left out" in v.name) == b} for b in (False, True))
    assert left
    assert out
    (strip,) = out["dark ink, digits told from ruled lines, other ink left out"].strips
    x, y = places_of(strip)
    assert y.max() < 114  # of the digits
    assert (ink[y.astype(int), x.astype(int)] > 0.3).mean() > 0.9
    (strip,) = left.get("dark ink, digits told from ruled lines", next(iter(left.values()))).strips
    assert places_of(strip)[1].max() > 110


def test_a_small_picture_is_read_as_a_whole_too() -> None:
    digit = page((0, 0), size=(31, 51))
    picture = photo(np.pad(digit, 4)).resize((22, 32), Image.Resampling.BOX)
    (whole,) = [view for view in likelier(picture) if "whole picture" in view.name]
    others = [view.doubt for view in likelier(picture) if "whole picture" not in view.name]
    assert min(others) == pytest.approx(whole.doubt + SETTINGS.cutting)
    (strip,) = whole.strips
    assert strip.pixels.shape == (28, 28)  # padded
    assert strip.pixels[:, [0, -1]].max() < 30  # with paper
    assert strip.to_picture @ (14, 14, 1) == pytest.approx((11, 16), abs=0.6)
    wide = photo(page((100, 60), (160, 60)))
    assert not any("whole picture" in view.name for view in likelier(wide))


def test_long_numbers_are_squeezed_to_a_bounded_width() -> None:
    ink = page(*[(20 + 40 * k, 20) for k in range(60)], size=(2450, 90))
    view = plain(likelier(photo(ink)))
    for strip in view.strips:
        assert strip.pixels.shape[1] <= SETTINGS.longest
        x, y = places_of(strip)
        assert (ink[y.astype(int).clip(0, 89), x.astype(int).clip(0, 2449)] > 0.3).mean() > 0.7
    assert max(float(places_of(strip)[0].max()) for strip in view.strips) > 2300


@pytest.mark.parametrize("side", [900, 2400])
def test_hairlines_of_large_pictures_stay_visible(side: int) -> None:
    canvas = Image.new("L", (side, side), 255)
    places = [(0.33, 0.22), (0.67, 0.22), (0.44, 0.78)]
    ImageDraw.Draw(canvas).line([(x * side, y * side) for x, y in places], 0, 2)
    strips = [
        strip
        for use in (SETTINGS, SETTINGS.for_hairlines())
        for view in next(find_views(canvas, use), [])
        for strip in view.strips
    ]
    assert max(int((strip.pixels > 100).sum()) for strip in strips) > 40


def test_beyond_the_picture_is_paper() -> None:
    # the digit touches the edge, so that the strip reaches beyond the picture
    view = plain(likelier(photo(page((0, 0), (60, 0), size=(100, 52)))))
    (strip,) = view.strips
    rows, columns = np.indices(strip.pixels.shape)
    x, y = np.tensordot(strip.to_picture, np.stack([columns, rows, np.ones_like(rows)]), 1)
    beyond = (x < -3) | (x > 103) | (y < -3) | (y > 55)
    assert beyond.sum() > 200
    assert strip.pixels[beyond].max() < 60


def test_blank_paper_gives_no_view_and_noise_gives_no_line() -> None:
    assert list(find_views(Image.new("L", (80, 60), 200))) == []
    noise = np.random.default_rng(0).normal(200, 3, (300, 400)).astype(np.uint8)
    views = [view for views in find_views(Image.fromarray(noise)) for view in views]
    assert all("whole picture" in view.name for view in views)


@pytest.mark.parametrize("light", [False, True])
def test_a_shadow_and_the_kind_of_ink(light: bool) -> None:
    grey = np.full((120, 200), 0.9, np.float32)
    grey[:, 120:] = 0.45  # in the shadow
    grey[30:90, 60:66] = grey[30:90, 150:156] = 0.1
    ink = flattened(grey, 31)
    assert ink.shape == grey.shape
    assert ink[60, 63] > 0.8
    assert ink[60, 153] > 0.6
    assert np.median(ink[:, 125:145]) < 0.05
    found = polarities(1 - grey if light else grey)
    assert [each[0] for each in found] == [light, not light]
    assert found[0][2] == 0 < found[1][2]
    assert all(5 <= window <= 0.6 * 120 for _, window, _ in found)


@pytest.mark.parametrize("light", [False, True])
@pytest.mark.parametrize("width", [2, 6, 22])
def test_the_kind_of_ink_of_fine_and_of_broad_pens(light: bool, width: int) -> None:
    canvas = Image.new("L", (120, 120))
    ImageDraw.Draw(canvas).line((30, 20, 90, 20, 50, 100), 255, width, joint="curve")
    grey = np.where((np.asarray(canvas) > 0) == light, 0.9, 0.1).astype(np.float32)
    assert polarities(grey)[0][0] is light


def test_greys_are_stretched_as_in_training_and_strokes_measured() -> None:
    ink = np.full((28, 40), 0.2, np.float32)
    ink[8:20, 10:14], ink[8:20, 20:24] = 0.5, 0.35
    pixels = stretched(ink)
    assert pixels.dtype == np.uint8
    assert (pixels[0, 0], pixels[10, 12], pixels[10, 22]) == (0, 255, pytest.approx(128, abs=1))
    theirs = 255 * paper.stretched(torch.from_numpy(ink)[None])[0].numpy()
    assert np.abs(pixels - theirs).max() < 2
    assert not stretched(np.full((28, 40), 0.3)).any()
    line = np.zeros((60, 60))
    line[10:50, 20:24] = 1
    assert stroke_width(line) == pytest.approx(4 * 4 / np.pi, rel=0.15)
    canvas = Image.new("L", (200, 200))
    ImageDraw.Draw(canvas).line((20, 20, 180, 140), 255, 10)
    assert stroke_width(np.asarray(canvas) / 255) == pytest.approx(10, rel=0.2)
    assert stroke_width(np.zeros((5, 5))) == 0
