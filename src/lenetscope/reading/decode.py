"""Opening picture files safely, and bringing pictures to a network's size.

In: a file of any format and mode that Pillow reads. Out: uint8 pixels. The size is known from the
header, and refused if it is too large, before any pixel is decoded.
"""

import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from lenetscope.errors import ImageError

MAX_PIXELS = 50_000_000
"""The largest picture that is decoded, in pixels."""


def decode(path: Path, channels: int = 1) -> Tensor:
    """Read a picture, upright as its EXIF says, transparency on white.

    Args:
        path: of the file.
        channels: 1 for grey, 3 for RGB.

    Returns:
        (channels, H, W) uint8.

    Raises:
        ImageError: if the file is missing, is no picture, is damaged or too large.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large pictures: refused below
            picture = Image.open(path)
        with picture:
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise ImageError(
                    f"{path} has {width}x{height} = {width * height / 1e6:.0f} megapixels; at most "
                    f"{MAX_PIXELS / 1e6:.0f} are read. Make it smaller."
                )
            upright = ImageOps.exif_transpose(picture)
            return _pixels(upright, channels)
    except FileNotFoundError:
        raise ImageError(f"there is no file {path}.") from None
    except IsADirectoryError:
        raise ImageError(f"{path} is a folder, not a picture.") from None
    except UnidentifiedImageError:
        raise ImageError(f"{path} is no picture that Pillow can read (PNG, JPEG, …).") from None
    except Image.DecompressionBombError:
        raise ImageError(
            f"{path} is far larger than the {MAX_PIXELS / 1e6:.0f} megapixels that are read."
        ) from None
    except ImageError:
        raise
    # decoders raise whatever they like on damaged files
    except Exception as error:
        raise ImageError(f"{path} cannot be decoded: {error or type(error).__name__}.") from error


def fit_to(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize a picture to ``size``, anti-aliased, its proportions not kept; as it is if it fits.

    Args:
        image: (C, H, W) uint8.
        size: (H, W) wanted.
    """
    if tuple(image.shape[1:]) == size:
        return image
    values = torch.nn.functional.interpolate(
        image[None].float(), size, mode="bilinear", antialias=True, align_corners=False
    )
    return values[0].round().clamp(0, 255).to(torch.uint8)  # (C, *size)


def _pixels(picture: Image.Image, channels: int) -> Tensor:
    if picture.mode.startswith("I") or picture.mode == "F":
        values = np.asarray(picture, dtype=np.float64)
        # 16-bit greys come as I;16 or I: bring their full range to eight bits
        scale = 257.0 if values.max(initial=0) > 255 else 1.0
        grey = np.clip(np.rint(values / scale), 0, 255).astype(np.uint8)
        picture = Image.fromarray(grey)
    if picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    array = np.array(picture.convert("L" if channels == 1 else "RGB"))
    tensor = torch.from_numpy(array)
    return tensor[None] if channels == 1 else tensor.permute(2, 0, 1)  # (C, H, W)
