"""Characters as strokes of a pen."""

import tomllib

import pytest
import torch

from lenetscope.reading.training import strokes

TABLES = ("digits", "letters", "marks")


def drawn(kind: str, hand: float = 0.0, radius: float = 0.6) -> torch.Tensor:
    """Return each shape of a table once, (V, 28, 28)."""
    count, most, _ = strokes.shapes(kind).points.shape
    which, stretch = torch.arange(count), torch.ones(count, 2)
    return strokes.write(
        which, kind, hand * torch.randn(count, most, 2), torch.full((count,), radius), stretch
    )


@pytest.mark.parametrize("table", TABLES)
def test_every_shape_is_drawn_within_the_frame(table: str) -> None:
    images = drawn(table)
    assert images.shape == (len(strokes.shapes(table).points), 28, 28)
    assert 0 <= float(images.min()) <= float(images.max()) <= 1
    assert (images.amax(dim=(1, 2)) > 0.5).all()
    assert (images[:, 1:27, 1:27].sum((1, 2)) > 0.97 * images.sum((1, 2))).all()
    central = images[:, 3:25, 3:25].sum((1, 2)) / images.sum((1, 2))
    assert central.mean() > 0.9
    # some shapes stand in the table twice or more, to be drawn more often
    assert len({each.numpy().tobytes() for each in images}) >= len(images) - 6


def test_a_hand_changes_each_shape_and_is_the_same_under_a_seed() -> None:
    torch.manual_seed(5)
    first = drawn("digits", hand=0.4)
    torch.manual_seed(5)
    assert torch.equal(first, drawn("digits", hand=0.4))
    assert not (first == drawn("digits")).flatten(1).all(dim=1).any()


def test_the_pen_and_the_stretch_do_what_they_say() -> None:
    one = torch.tensor([strokes.shapes("digits").first[7]])  # a plain 7
    still = torch.zeros(1, strokes.shapes("digits").points.shape[1], 2)

    def extent(radius: float, width: float, height: float) -> list[int]:
        image = strokes.write(
            one, "digits", still, torch.tensor([radius]), torch.tensor([[width, height]])
        )[0]
        return [int((image > 0.3).any(dim=axis).sum()) for axis in (0, 1)]

    # the grid of 8 units is 20 pixels; a pen of radius r adds 2 r + 1 or so
    assert extent(0.5, 1, 1) == pytest.approx([21, 21], abs=1)
    assert extent(2.0, 1, 1) == pytest.approx([24, 24], abs=1)
    assert extent(0.5, 0.5, 1) == pytest.approx([11, 21], abs=1)


def test_corners_are_rounded_except_where_a_point_stands_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = {"corners": {"round": "00 80 88", "sharp": "00 80 80 88", "apart": ["00 80|80 88"]}}
    monkeypatch.setattr(tomllib, "loads", lambda _: table)
    strokes.shapes.cache_clear()
    try:
        shapes, images = strokes.shapes("corners"), drawn("corners", radius=0.5)
    finally:
        strokes.shapes.cache_clear()
    assert shapes.first == (0, 1, 2, 3)
    rounded, sharp, apart = images
    for image in images:  # all have the same ends: (0, 0) at pixel 3.5, (8, 8) at 23.5
        assert float(image[4, 4]) > 0.3
        assert float(image[23, 23]) > 0.3
        assert float(image[14:, :22].max()) == 0
    assert float(rounded[3:5, 23:25].max()) == 0  # the corner (8, 0)
    assert float(rounded[4:8, 20:24].max()) > 0.5  # is cut
    assert float(sharp[3:5, 23:25].min()) > 0.2
    assert torch.allclose(sharp, apart, atol=1e-5)


def test_tables_hold_all_digits_and_points_of_the_grid() -> None:
    digits = strokes.shapes("digits")
    assert len(digits.first) == 11
    assert all(low < high for low, high in zip(digits.first, digits.first[1:], strict=False))
    for table in TABLES:
        shapes = strokes.shapes(table)
        assert shapes.first[-1] == len(shapes.points) == len(shapes.ends)
        assert float(shapes.points.min()) >= 0
        assert float(shapes.points.max()) <= 9
        # each end is a weighted mean of points
        assert torch.allclose(shapes.ends.sum(dim=3), torch.ones(shapes.ends.shape[:3]))
        assert float(shapes.ends.min()) >= 0


def test_flags_and_bars_are_where_the_numbers_say() -> None:
    shapes = strokes.shapes("digits")
    ones = shapes.points[shapes.first[1] : shapes.first[2]]
    for number in strokes.FLAGGED_ONES:
        start, top = ones[number, 0], ones[number, 1]
        assert start[0] < top[0]  # the flag rises to the right
        assert start[1] > top[1]
    sevens = shapes.ends[shapes.first[7] : shapes.first[8]]
    for number in range(len(sevens)):
        begin, end = sevens[number]  # (S, P) each
        pens = 1 + int((begin[1:] != end[:-1]).any(dim=1).sum())
        repeats = int((begin[1:] == begin[:-1]).all(dim=1).sum())
        assert (pens - repeats > 1) == (number in strokes.BARRED_SEVENS)
