"""Opens pictures of any format and mode safely, and resizes them for a network.

The size is read from the header, so that a picture that is too large is refused before it is decoded.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from lenetscope.errors import ImageError
from lenetscope.reading.files import opened, refuse_foreign

MAX_PIXELS = 50_000_000
"""The largest picture that is decoded, in pixels."""

JPEG_SIDE = 1400
"""Pixels: JPEGs are decoded at 1/2, 1/4 or 1/8 of their size if both sides stay at least this long."""


def decode(path: Path, channels: int = 1) -> Tensor:
    """Read a picture file, rotated as its EXIF says, transparent pixels on white.

    Args:
        path: of the file.
        channels: 1 for grey, 3 for RGB.

    Returns:
        (channels, H, W) uint8.

    Raises:
        ImageError: if the file is missing, not a picture, damaged or too large.
    """
    with _as_image_error(str(path)), opened(path, str(path)) as picture:
        _refuse_huge(picture, str(path))
        return _pixels(ImageOps.exif_transpose(picture), channels)


def open_picture(source: Any, name: str | None = None) -> tuple[Image.Image, float]:
    """Read a picture in grey or RGB, rotated as its EXIF says, transparent pixels on black or white.

    Opaque strokes that are light were drawn for a dark screen, and are put on black. Large JPEGs are
    decoded at reduced size, which takes a fraction of the time.

    Args:
        source: a path, the bytes of a file, an open binary file, a `PIL.Image.Image`, or pixels as an
            array or tensor (H, W), (H, W, C) or (C, H, W), integers up to 255 or floats up to 1.
        name: of the picture in messages, if it is not a path.

    Returns:
        The picture in mode L or RGB, and its size as a fraction of the source's.

    Raises:
        ImageError: if the file is missing, not a picture, damaged, empty or too large.
    """
    name = name or (str(source) if isinstance(source, (str, os.PathLike)) else "the picture")
    with _as_image_error(name):
        if isinstance(source, Image.Image):
            refuse_foreign(source, name)
            _refuse_huge(source, name)
            return _plain(ImageOps.exif_transpose(source)), 1.0
        if isinstance(source, (Tensor, np.ndarray)):
            picture = _from_array(np.asarray(source), name)
            _refuse_huge(picture, name)
            return picture, 1.0
        with opened(source, name) as picture:
            _refuse_huge(picture, name)
            size = picture.size
            if picture.format == "JPEG":
                picture.draft(None, (JPEG_SIDE, JPEG_SIDE))
            scale = picture.size[0] / size[0]
            ImageOps.exif_transpose(picture, in_place=True)
            return _plain(picture), scale


def fit_to(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize a picture with anti-aliasing, ignoring its aspect ratio; unchanged if it has the size.

    Args:
        image: (C, H, W) uint8.
        size: (H, W) to resize it to.
    """
    if tuple(image.shape[1:]) == size:
        return image
    values = torch.nn.functional.interpolate(
        image[None].float(), size, mode="bilinear", antialias=True, align_corners=False
    )
    return values[0].round().clamp(0, 255).to(torch.uint8)  # (C, *size)


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


def _refuse_huge(picture: Image.Image, name: str) -> None:
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{name} has {width}x{height} = {width * height / 1e6:.0f} megapixels; the "
            f"limit is {MAX_PIXELS / 1e6:.0f}. Reduce it."
        )
    if width * height == 0:
        raise ImageError(f"{name} has no pixels.")


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
    """Convert 16-bit greys, of mode I;16, I or F, to eight bits, keeping their full range."""
    if not (picture.mode.startswith("I") or picture.mode == "F"):
        return picture
    values = np.asarray(picture, dtype=np.float64)
    scale = 257.0 if values.max(initial=0) > 255 else 1.0
    return Image.fromarray(np.clip(np.rint(values / scale), 0, 255).astype(np.uint8))


def _from_array(values: "np.ndarray[Any, Any]", name: str) -> Image.Image:
    if values.ndim == 3 and values.shape[0] in (1, 3, 4) and values.shape[2] not in (1, 3, 4):
        values = values.transpose(1, 2, 0)  # (H, W, C)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] not in (3, 4)):
        raise ImageError(
            f"{name} has shape {tuple(values.shape)}; a picture is (H, W), (H, W, C) or (C, H, W) with "
            "1, 3 or 4 channels."
        )
    if values.size == 0:
        raise ImageError(f"{name} has no pixels.")
    if values.dtype == np.bool_:
        values = values.astype(np.uint8) * 255
    elif values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise ImageError(f"{name} has values that are not finite.")
        values = values * 255 if values.max() <= 1 else values
    elif values.dtype == np.uint16:
        values = values / 257
    return _plain(Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8)))
