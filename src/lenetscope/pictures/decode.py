"""Decodes pictures of any mode.

The size is read from the header, so that a picture that is too large is refused before it is decoded.
Others above `WORKING` are reduced before any step that computes with copies.
"""

import math
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile
from torch import Tensor

from lenetscope.errors import ImageError
from lenetscope.pictures.files import opened, refuse_foreign

Array = npt.NDArray[Any]

MAX_PIXELS = 50_000_000
"""The largest picture that is decoded, in pixels."""
MAX_SIDE = 30_000
"""The longest side of a picture that is decoded, in pixels."""
WORKING = 12_000_000
"""Pixels up to which a picture keeps its size; a larger one is reduced by a whole number."""
COPYING = {"WEBP": 20_000_000, "AVIF": 20_000_000}
"""The largest picture of formats whose decoders hold several copies of it, in pixels."""
IN_PYTHON = 1_500_000
"""The largest picture for decoders written in Python, such as that of PPM as text, in pixels."""

ONE = 1.5
"""The highest pixel up to which floats go from 0 to 1: resizing with a cubic filter exceeds 1."""
SIXTEEN_BITS = 1000
"""The highest pixel above which all are numbers of 16 bits; filters exceed 255 a little."""
BAND = 1_000_000
"""Numbers that are converted at a time, so that copies in floats stay small."""
JPEG_SIDE = 1400
"""Pixels: JPEGs are decoded at 1/2, 1/4 or 1/8 of their size if both sides stay at least this long."""


def decode(
    source: Path | bytes, channels: int = 1, *, name: str = "the picture", most: int = MAX_PIXELS
) -> Tensor:
    """Read a picture file, rotated as its EXIF says, transparent pixels on white, at most `WORKING`.

    Args:
        source: path of the file, or its bytes.
        channels: 1 for grey, 3 for RGB.
        name: of the picture in messages, if it is not a path.
        most: pixels that the picture may have, no more than `MAX_PIXELS`.

    Returns:
        (channels, H, W) uint8.

    Raises:
        ImageError: if the file is missing, not a picture, damaged or too large.
    """
    name = name if isinstance(source, bytes) else str(source)
    with _as_image_error(name), opened(source, name) as picture:
        _refuse_huge(picture.size, name, min(most, _limit_of(picture)))
        ImageOps.exif_transpose(picture, in_place=True)
        return _pixels(_working(picture), channels)


def open_picture(source: Any, name: str | None = None) -> tuple[Image.Image, float]:
    """Read a picture in grey or RGB, rotated as its EXIF says, transparent pixels on black or white.

    Opaque strokes that are light were drawn for a dark screen, and are put on black. Large JPEGs are
    decoded at reduced size, which takes a fraction of the time; others are reduced to `WORKING`.

    Args:
        source: a path, the bytes of a file, an open binary file, a `PIL.Image.Image`, or pixels as an
            array or tensor (H, W), (H, W, C) or (C, H, W), numbers up to 255, 65535 or 1.
        name: of the picture in messages, if it is not a path.

    Returns:
        The picture in mode L or RGB, and its size as a fraction of the source's.

    Raises:
        ImageError: if the file is missing, not a picture, damaged, empty or too large.
    """
    name = name or (str(source) if isinstance(source, (str, os.PathLike)) else "the picture")
    with _as_image_error(name):
        if isinstance(source, (Tensor, np.ndarray)):
            source = _from_array(source, name)
        if isinstance(source, Image.Image):
            refuse_foreign(source, name)
            _refuse_huge(source.size, name)
            plain = _plain(_working(ImageOps.exif_transpose(source)))
            return plain, max(plain.size) / max(source.size)
        with opened(source, name) as picture:
            _refuse_huge(picture.size, name, _limit_of(picture))
            longest = max(picture.size)
            if isinstance(picture, JpegImageFile):
                picture.draft(None, (JPEG_SIDE, JPEG_SIDE))
            ImageOps.exif_transpose(picture, in_place=True)
            plain = _plain(_working(picture))
            return plain, max(plain.size) / longest


@contextmanager
def _as_image_error(name: str) -> Iterator[None]:
    """Turn any exception that opening a picture raises into an `ImageError` that names the picture."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged metadata, and of sizes that are refused here
            yield
    except Image.DecompressionBombError:
        raise ImageError(
            f"{name} is far larger than the limit of {MAX_PIXELS / 1e6:.0f} megapixels."
        ) from None
    except ImageError:
        raise
    # on damaged files decoders raise exceptions of many kinds
    except Exception as error:
        raise ImageError(f"{name} cannot be decoded: {error or type(error).__name__}.") from error


def _limit_of(picture: Image.Image) -> int:
    """Return how many pixels a picture that is not decoded yet may have."""
    if any(tile[0] in Image.DECODERS for tile in getattr(picture, "tile", ())):
        return IN_PYTHON
    return COPYING.get(picture.format or "", MAX_PIXELS)


def _refuse_huge(size: tuple[int, int], name: str, most: int = MAX_PIXELS) -> None:
    width, height = size
    if width * height > most:
        whose = " of its format" if most in (IN_PYTHON, *COPYING.values()) else ""
        raise ImageError(
            f"{name} has {width}x{height} = {width * height / 1e6:.3g} megapixels; the limit{whose} is "
            f"{most / 1e6:g}. Reduce it."
        )
    if max(size) > MAX_SIDE:
        raise ImageError(f"{name} has {width}x{height} pixels; a side may have {MAX_SIDE}. Reduce it.")
    if width * height == 0:
        raise ImageError(f"{name} has no pixels.")


def _working(picture: Image.Image) -> Image.Image:
    """Return a picture of more than `WORKING` pixels reduced, any other unchanged."""
    factor = math.ceil(math.sqrt(picture.width * picture.height / WORKING))
    if factor == 1:
        return picture
    if picture.mode.startswith("I"):
        picture = picture.convert("I")
    elif picture.mode == "1":
        picture = picture.convert("L")
    elif picture.mode in ("P", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    return picture.reduce(factor)


def _pixels(picture: Image.Image, channels: int) -> Tensor:
    picture = _eight_bits(picture)
    if picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    array = np.array(picture.convert("L" if channels == 1 else "RGB"))
    tensor = torch.from_numpy(array)
    return tensor[None] if channels == 1 else tensor.permute(2, 0, 1)  # (C, H, W)


def _plain(picture: Image.Image) -> Image.Image:
    """Return a picture in mode L or RGB."""
    picture = _eight_bits(picture)
    if picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        values = np.asarray(rgba.convert("LA"), dtype=np.float32)  # (H, W, 2)
        opacity = values[..., 1] / 255
        covered = float(opacity.mean())
        light = float((values[..., 0] * opacity).sum() / max(float(opacity.sum()), 1e-6)) > 127
        paper = "black" if light and covered < 0.7 else "white"
        picture = Image.alpha_composite(Image.new("RGBA", rgba.size, paper), rgba)
    if picture.mode in ("L", "RGB"):
        picture.load()  # the file may be closed before the pixels are used
        return picture
    return picture.convert("L" if picture.mode == "1" else "RGB")


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Convert greys of mode I;16, I or F to eight bits."""
    if not (picture.mode.startswith("I") or picture.mode == "F"):
        return picture
    return Image.fromarray(_as_bytes(np.asarray(picture)))


def _from_array(source: Tensor | Array, name: str) -> Image.Image:
    values = np.asarray(source.detach().cpu() if isinstance(source, Tensor) else source)
    if values.ndim == 3 and values.shape[0] in (1, 3, 4) and values.shape[2] not in (1, 3, 4):
        values = values.transpose(1, 2, 0)  # (H, W, C)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] not in (3, 4)):
        raise ImageError(
            f"{name} has shape {tuple(values.shape)}; a picture is (H, W), (H, W, C) or (C, H, W) with "
            "1, 3 or 4 channels."
        )
    _refuse_huge((values.shape[1], values.shape[0]), name)
    return Image.fromarray(_as_bytes(values))


def _as_bytes(values: Array) -> Array:
    """Return pixels of any number type as uint8.

    Floats up to 1, or a little more, are multiplied by 255, numbers of 16 bits divided by 257.

    Raises:
        ValueError: if they are no numbers, or not finite.
    """
    if values.dtype.kind not in "buif":
        raise ValueError(f"pixels must be numbers, not {values.dtype}")
    if not np.isfinite(values).all():
        raise ValueError("it has pixels that are not finite numbers")
    highest = float(values.max())
    factor = 255.0 if values.dtype.kind in "bf" and highest <= ONE else 1.0
    if highest > SIXTEEN_BITS:
        factor = 1 / 257
    result = np.empty(values.shape, dtype=np.uint8)
    rows = max(1, BAND // (values.size // len(values)))
    for top in range(0, len(values), rows):
        band = values[top : top + rows] * factor
        result[top : top + rows] = np.clip(np.rint(band), 0, 255)
    return result
