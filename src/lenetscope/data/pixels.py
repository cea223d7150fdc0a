"""From pictures and arrays of any kind to uint8 images of one size, as a data set holds them."""

import math
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional

from lenetscope.errors import DataError, RecipeError
from lenetscope.pictures.files import opened, refuse_foreign

Array = npt.NDArray[Any]

LUMA = (19595, 38470, 7471)
"""Parts of red, green and blue in grey, of 65536 (ITU-R BT.601), as Pillow computes it."""

CHUNK = 4096
"""Images that are converted at a time, so that copies in floats stay small."""


class Form(NamedTuple):
    """What all images of a data set are brought to; 0 leaves it as it is.

    >>> Form(size=2, channels=1)(torch.full((1, 3, 4, 4), 7, dtype=torch.uint8)).shape
    torch.Size([1, 1, 2, 2])

    Attributes:
        size: height and width.
        channels: 1 for grey, 3 for colour.
    """

    size: int = 0
    channels: int = 0

    def __call__(self, images: Tensor) -> Tensor:
        """Return images (N, C, H, W) uint8 in this form; unchanged if they have it."""
        if self.fits(images.shape):
            return images
        channels = self.channels or images.shape[1]
        side = (self.size, self.size) if self.size else (images.shape[2], images.shape[3])
        parts = [resized(in_channels(part, channels), side) for part in torch.split(images, CHUNK)]
        return torch.cat(parts)

    def fits(self, shape: Sequence[int]) -> bool:
        """Tell whether images of a shape (N, C, H, W) have this form."""
        _, channels, *sides = shape
        return self.channels in (0, channels) and all(self.size in (0, side) for side in sides)


def in_channels(images: Tensor, channels: int) -> Tensor:
    """Return images (N, C, H, W) uint8 in grey, 1, or in colour, 3.

    Raises:
        RecipeError: if they have other channels than 1 or 3, and are to have others.
    """
    if images.shape[1] == channels:
        return images
    if images.shape[1] not in (1, 3):
        raise RecipeError(f"'channels' must be 0 for images of {images.shape[1]} channels.")
    if channels == 3:
        return images.expand(-1, 3, -1, -1)
    weights = torch.tensor(LUMA, dtype=torch.int32).reshape(1, 3, 1, 1)
    return (((images * weights).sum(1, keepdim=True) + 0x8000) >> 16).to(torch.uint8)


def resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize images (N, C, H, W) uint8 with anti-aliasing, ignoring their aspect ratio.

    Args:
        images: unchanged if they have the size.
        size: (H, W).
    """
    if tuple(images.shape[2:]) == size:
        return images
    values = functional.interpolate(
        images.float(), size, mode="bilinear", antialias=True, align_corners=False
    )
    return values.round().clamp(0, 255).to(torch.uint8)  # (N, C, *size)


def fit_to(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize a picture with anti-aliasing, ignoring its aspect ratio; unchanged if it has the size.

    Args:
        image: (C, H, W) uint8.
        size: (H, W) to resize it to.
    """
    if tuple(image.shape[1:]) == size:
        return image
    return resized(image[None], size)[0]  # (C, *size)


def bytes_of(values: Any, name: str) -> Array:
    """Return pixels as uint8; floats of at most 1 are fractions of 255, others are rounded.

    >>> bytes_of([[0.0, 0.5, 1.0]], "x"), bytes_of([[0.0, 254.6]], "x")
    (array([[  0, 128, 255]], dtype=uint8), array([[  0, 255]], dtype=uint8))

    Raises:
        DataError: if they are not numbers, or not all from 0 to 255; ``name`` says whose they are.
    """
    array = np.asarray(values)
    if array.dtype == np.uint8:
        return array
    if array.dtype == bool:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind not in "iuf":
        raise DataError(f"{name} must be numbers, not {array.dtype}.")
    low, high = (array.min(), array.max()) if array.size else (0, 0)
    if not (low >= 0 and high <= 255):  # also if one is not a number
        raise DataError(
            f"{name} has pixels from {low:g} to {high:g}; they must be 0 to 255, or fractions from 0 "
            "to 1: leave any normalisation to 'mean' and 'std'."
        )
    if array.dtype.kind == "f":
        array = np.rint(array * (255 if high <= 1 else 1))
    return array.astype(np.uint8)


def of_picture(picture: Image.Image) -> Tensor:
    """Return a picture as (C, H, W) uint8, turned as its EXIF says, transparent pixels on white.

    Returns:
        One channel if every pixel is grey, else three.
    """
    picture = ImageOps.exif_transpose(picture)
    if picture.mode[0] in "IF":  # 16 bits or more, in grey
        values = np.asarray(picture, dtype=np.float64)
        return torch.from_numpy(np.rint(values / (257 if values.max() > 255 else 1)).astype(np.uint8))[
            None
        ]
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    if picture.mode in ("1", "L"):
        return torch.from_numpy(np.array(picture.convert("L")))[None]  # (1, H, W)
    colours = torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)  # (3, H, W)
    grey = torch.equal(colours[0], colours[1]) and torch.equal(colours[1], colours[2])
    return colours[:1] if grey else colours


def of_file(content: bytes) -> Tensor | None:
    """Decode the bytes of a picture file, see `of_picture`; None if they are not one, or damaged."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged metadata
            with opened(content, "the picture") as picture:
                return of_picture(picture)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  # on damaged files decoders raise exceptions of many kinds
        return None


def of_anything(image: Any, name: str) -> Tensor:
    """Return a picture, or pixels (H, W), (C, H, W) or (H, W, C), as (C, H, W) uint8.

    Raises:
        DataError: if it is neither; see also `bytes_of`.
    """
    if isinstance(image, Image.Image):
        refuse_foreign(image, name)
        return of_picture(image)
    values = torch.from_numpy(np.array(bytes_of(image, name)))
    if values.ndim == 2:
        return values[None]
    if values.ndim == 3 and values.shape[0] in (1, 3):
        return values
    if values.ndim == 3 and values.shape[2] in (1, 3):
        return values.permute(2, 0, 1)
    shape = "x".join(map(str, values.shape)) or "a number"
    raise DataError(
        f"{name} must be a picture, or pixels of HxW, CxHxW or HxWxC in 1 or 3 channels, not {shape}."
    )


def stack(
    pictures: Callable[[], Iterable[tuple[str, Tensor]]], form: Form, sink: BinaryIO
) -> list[int]:
    """Write images in one form, one after the other; in grey if all are grey.

    Args:
        pictures: returns names and images (C, H, W) uint8 of 1 or 3 channels; called again if one is in
            colour after others in grey.
        form: of all; where it has no size, they must have one size.
        sink: what is written to, from its start.

    Returns:
        The shape of what was written, [N, C, H, W].

    Raises:
        DataError: if two differ in size; the message names both.
    """
    for channels in (form.channels,) if form.channels else (1, 3):
        sink.seek(0)
        sink.truncate()
        first, size = "", form.size
        shape = [channels, size, size]
        for name, image in pictures():
            if not form.channels and len(image) > channels:
                break
            image = Form(form.size, channels)(image[None])[0]
            if not size:
                first, size, shape = name, 1, list(image.shape)
            if list(image.shape) != shape:
                sizes = [f"{height}x{width}" for _, height, width in (shape, image.shape)]
                raise DataError(
                    f"{first} is {sizes[0]} and {name} {sizes[1]}: give all images one size, such as "
                    "--image-size 28."
                )
            sink.write(image.contiguous().numpy().data)
        else:
            return [sink.tell() // math.prod(shape), *shape]
    raise AssertionError("three channels hold every image")


def natural(name: str) -> list[Any]:
    """Return a key that sorts names as people do: "2" before "10"."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
