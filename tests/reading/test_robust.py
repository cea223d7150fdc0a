"""Pictures of extreme sizes and damaged files are read or refused: quickly, and without a warning."""

import io
import struct
import time
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from lenetscope import read
from lenetscope.errors import ImageError
from lenetscope.pictures import decode, files, open_picture

SECONDS = 10
"""What one picture may take on a busy machine; those below once took minutes."""


def noise(width: int, height: int, mode: str) -> Image.Image:
    """Return random pixels, with random opacity where the mode has one."""
    random = np.random.default_rng(width + height)
    if mode == "I;16":
        return Image.fromarray(random.integers(0, 65536, (height, width)).astype(np.uint16))
    grey = Image.fromarray(random.integers(0, 256, (height, width), dtype=np.uint8))
    return grey.convert(mode)


def stripes(width: int, height: int) -> Image.Image:
    """Return vertical and horizontal stripes of two pixels."""
    places = np.add.outer(np.arange(height), np.arange(width))
    return Image.fromarray(np.where(places // 2 % 2, 0, 255).astype(np.uint8))


def within(call: Callable[[], Any]) -> Any:
    """Call, and check that it ends in time."""
    before = time.monotonic()
    result = call()
    assert time.monotonic() - before < SECONDS
    return result


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "P", "I;16", "F", "CMYK"])
@pytest.mark.parametrize("size", [(1, 1), (1, 28), (4284, 1), (5, 299), (31, 5000)])
def test_extreme_sizes_in_every_mode(size: tuple[int, int], mode: str) -> None:
    for explain in (False, True):
        found = within(lambda explain=explain: read(noise(*size, mode), explain=explain))
        assert (found.picture is not None) == explain
        assert found.digits or found.rejected


@pytest.mark.parametrize("size", [(1, 300), (300, 1), (1, 5000), (2, 100), (29_999, 1), (6100, 100)])
def test_strips_are_too_narrow_for_a_digit(size: tuple[int, int]) -> None:
    found = within(lambda: read(stripes(*size), explain=True))
    assert (found.text, found.rejected) == ("", "too narrow for a digit")


def test_a_page_full_of_spots_is_not_searched_for_long() -> None:
    random = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(random.random((480, 640)), 3)
    spots = (255 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8)
    found = within(lambda: read(spots))
    assert found.rejected or found.confidence < 0.5


def test_colours_of_one_luma_and_one_pixel_have_a_grey() -> None:
    for size in ((1, 1), (40, 40)):
        assert read(Image.new("RGB", size, "red"), explain=True).rejected


@pytest.mark.parametrize("size", [(50_000_001, 1), (1, 50_000_000), (30_001, 2), (9000, 9000)])
def test_what_is_too_large_is_refused_as_an_image_and_as_an_array(size: tuple[int, int]) -> None:
    for source in (Image.new("1", size), np.broadcast_to(np.uint8(0), size[::-1])):
        with pytest.raises(ImageError, match=r"megapixels; the limit|a side may have 30000"):
            within(lambda source=source: open_picture(source))


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "RGB", "RGBA", "P", "I;16", "I", "F", "CMYK", "YCbCr"]
)
def test_large_pictures_are_reduced_and_keep_their_grey(mode: str) -> None:
    grey = Image.new("L", (4001, 3000), 255)
    grey.paste(0, (0, 0, 2000, 3000))
    large = grey.convert("I").point(lambda v: v * 257).convert("I;16") if mode == "I;16" else grey
    large = large if mode == "I;16" else large.convert(mode)
    plain, scale = open_picture(large)
    assert plain.size == (2001, 1500)
    assert scale == pytest.approx(0.5, abs=1e-3)
    pixels = np.asarray(plain.convert("L"))
    assert pixels[:, :999].max() <= 2
    assert pixels[:, 1001:].min() >= 253


def test_a_transparent_colour_of_a_large_picture_stays_transparent(tmp_path: Any) -> None:
    large = Image.new("RGB", (4001, 3000), (1, 2, 3))
    large.paste((10, 10, 10), (0, 0, 2000, 3000))
    large.save(tmp_path / "a.png", transparency=(1, 2, 3), compress_level=1)
    pixels = decode(tmp_path / "a.png")
    assert pixels.shape == (1, 1500, 2001)
    assert pixels[0, :, :999].unique().tolist() == [10]
    assert pixels[0, :, 1001:].unique().tolist() == [255]


@pytest.mark.parametrize(
    "source",
    [
        np.full((9, 9), np.nan),
        np.full((9, 9), np.inf, dtype=np.float32),
        torch.full((3, 9, 9), torch.nan, requires_grad=True),
        Image.fromarray(np.full((9, 9), np.nan, dtype=np.float32)),
        np.full((9, 9), "a"),
        np.zeros((9, 9), dtype=complex),
    ],
)
def test_pixels_that_are_no_numbers_are_refused(source: Any) -> None:
    with pytest.raises(ImageError, match=r"finite numbers|must be numbers"):
        open_picture(source)


def test_numbers_of_every_range_are_the_same_picture() -> None:
    eight = np.array([[0, 255], [51, 102]])
    for values in (
        eight,
        eight.astype(np.uint8),
        eight / 255,
        torch.tensor(eight / 255, requires_grad=True),
        eight.astype(np.uint16) * 257,
        eight.astype(np.int32) * 257,
        eight.astype(np.float32) * 257,
        Image.fromarray((eight / 255).astype(np.float32)),
        Image.fromarray(eight.astype(np.uint16) * 257),
    ):
        assert np.array_equal(open_picture(values)[0], eight)
    assert open_picture(np.array([[True, False]]))[0].tobytes() == b"\xff\0"


def saved(picture: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def test_files_that_decoders_would_work_at_for_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    jpeg = saved(Image.new("L", (2000, 2000), 128), "JPEG", progressive=True)
    last = jpeg.rindex(b"\xff\xda")
    scans = jpeg[:-2] + jpeg[last:-2] * 400 + jpeg[-2:]
    with pytest.raises(ImageError, match="406 scans"):
        within(lambda: read(scans))
    with pytest.raises(ImageError, match="megapixels; the limit of its format is 1.5"):
        within(lambda: read(b"P2 2000 2000 255\n" + b"1 " * 4_000_000))
    with pytest.raises(ImageError, match="the limit of its format is 20"):
        read(saved(Image.new("L", (5000, 5000)), "WEBP", method=0))
    with pytest.raises(ImageError, match="too large"):
        png = saved(Image.new("L", (9, 9)), "PNG")
        text = b"zTXta\0\0" + zlib.compress(bytes(2_000_000))
        chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
        read(png[:33] + chunk + png[33:])
    fields = {256: 9, 257: 9, 258: 8, 259: 1, 262: 1, 277: 1, 322: 8000, 323: 8000, 324: 8, 325: 81}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in fields.items())
    tiff = b"II*\0" + struct.pack("<IH", 8, len(fields)) + entries + bytes(4)
    with pytest.raises(ImageError, match="tiles of 8000x8000"):
        read(tiff)
    monkeypatch.setattr(files, "MAX_READS", 1000)
    empty = b"\0\0\0\0abCd" + struct.pack(">I", zlib.crc32(b"abCd"))
    with pytest.raises(ImageError, match="too many parts"):
        read(png[:33] + empty * 1000 + png[33:])


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF"])
def test_damaged_files_are_read_or_refused(format: str) -> None:
    random = np.random.default_rng(len(format))
    whole = saved(noise(60, 40, "RGB"), format)
    refused = 0
    for number in range(24):
        data = bytearray(whole)
        if number % 3 == 0:
            del data[random.integers(len(data)) :]
        else:  # anywhere, or in the header
            for place in random.integers(0, len(data) if number % 3 == 1 else 40, 4):
                data[place] = random.integers(256)
        try:
            within(lambda data=data: read(bytes(data), explain=True))
        except ImageError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused >= 8
