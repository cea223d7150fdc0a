"""Pictures of any kind are decoded, or refused with a message of one line."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lenetscope.data.pixels import fit_to
from lenetscope.errors import ImageError
from lenetscope.pictures import decode


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I", "F", "I;16"]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_gives_the_same_grey(tmp_path: Path, mode: str, channels: int) -> None:
    grey = Image.fromarray(np.array([[0, 255], [255, 0]], dtype=np.uint8))
    if mode == "I;16":
        picture = Image.fromarray(np.array([[0, 65535], [65535, 0]], dtype=np.uint16))
    else:
        picture = grey.convert(mode)
    path = tmp_path / f"a.{'tif' if mode in ('I', 'F', 'CMYK', 'YCbCr') else 'png'}"
    picture.save(path)
    pixels = decode(path, channels)
    assert pixels.shape == (channels, 2, 2)
    assert pixels.dtype == torch.uint8
    assert np.abs(pixels[0].numpy().astype(int) - np.array([[0, 255], [255, 0]])).max() <= 2


@pytest.mark.parametrize("suffix", ["png", "bmp", "gif", "tiff", "webp"])
def test_formats(tmp_path: Path, suffix: str) -> None:
    image = np.random.default_rng(0).integers(0, 255, (28, 28), dtype=np.uint8)
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(image).save(path, **({"lossless": True} if suffix == "webp" else {}))
    assert np.array_equal(decode(path)[0].numpy(), image)


def test_transparency_becomes_white_and_exif_rotates(tmp_path: Path) -> None:
    Image.new("RGBA", (2, 2), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert decode(tmp_path / "clear.png").unique().tolist() == [255]
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: rotate by 90 degrees
    Image.new("L", (8, 4)).save(tmp_path / "turned.jpg", exif=exif)
    assert decode(tmp_path / "turned.jpg").shape == (1, 8, 4)


def png_header(width: int, height: int) -> bytes:
    """Return the start of a PNG whose header has a size, without pixels."""
    body = b"IHDR" + struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 99) + b"IDAT"


@pytest.mark.parametrize("side", [10_000, 30_000])
def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path: Path, side: int) -> None:
    path = tmp_path / "huge.png"
    path.write_bytes(png_header(side, side))
    with pytest.raises(ImageError, match="megapixels"):
        decode(path)


def test_what_is_not_a_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    with pytest.raises(ImageError, match="there is no file"):
        decode(path)
    with pytest.raises(ImageError, match="is a folder"):
        decode(tmp_path)
    path.write_text("not a picture")
    with pytest.raises(ImageError, match="is not a picture that can be read"):
        decode(path)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (99, 99), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ImageError, match="cannot be decoded"):
        decode(path)


starts = st.sampled_from(
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        png_header(4, 4),
        b"GIF89a",
        b"BM",
        b"\xff\xd8\xff",
        b"II*\0",
        b"P5 2 2 255 ",
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=starts, rest=st.binary(max_size=100))
def test_any_bytes_are_a_picture_or_an_error_in_one_line(
    tmp_path: Path, start: bytes, rest: bytes
) -> None:
    path = tmp_path / "any"
    path.write_bytes(start + rest)
    try:
        assert decode(path).dtype == torch.uint8
    except ImageError as error:
        assert str(path) in str(error)


def test_fitting_keeps_an_image_of_the_right_size_and_averages_others() -> None:
    image = torch.randint(0, 255, (1, 28, 28), dtype=torch.uint8)
    assert fit_to(image, (28, 28)) is image
    flat = torch.full((1, 56, 84), 77, dtype=torch.uint8)
    assert fit_to(flat, (28, 28)).unique().tolist() == [77]
    halves = torch.zeros(1, 4, 56, dtype=torch.uint8)
    halves[:, :, 28:] = 200
    assert fit_to(halves, (2, 2))[0, 0, 0] < 40
