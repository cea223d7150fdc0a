"""Small pictures inside the page: PNG files as data addresses.

In: uint8 pixels, or values and a colour scale. Out: addresses for ``<img src>``, and whole ``<img>``
elements with a text for those who do not see them.
"""

import base64
import io
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from PIL import Image
from torch import Tensor

from lenetscope.plots import style, svg

Array = npt.NDArray[Any]


def base64_of(array: Array) -> str:
    """Return the bytes of an array as base64; what is wider than a byte must be little-endian."""
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")


def png(pixels: Array) -> str:
    """Return the data address of (H, W) or (H, W, 3) uint8 pixels."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def visible(pixels: Tensor) -> Array:
    """Return (C, H, W) uint8 as something that can be looked at: grey, or the first three channels."""
    array = pixels.numpy()
    return array[0] if len(array) < 3 else array[:3].transpose(1, 2, 0)


def image(pixels: Tensor, alt: str, size: int = 56) -> Markup:
    """Return an ``<img>`` of (C, H, W) uint8 pixels, ``size`` CSS pixels high."""
    return element(visible(pixels), alt, size)


def element(pixels: Array, alt: str, size: int = 56) -> Markup:
    """Return an ``<img>`` of (H, W) or (H, W, 3) uint8 pixels, ``size`` CSS pixels high."""
    height, width = pixels.shape[:2]
    return Markup('<img class="pixels" src="{}" alt="{}" width="{}" height="{}">').format(
        png(pixels), alt, round(size * width / height), size
    )


def coloured(values: Array, *, signed: bool, bound: float | None = None) -> Array:
    """Colour values (H, W) on the scale of the page's other pictures, (H, W, 3) uint8.

    Args:
        values: finite numbers.
        signed: whether zero lies in the middle of the scale (white) or at its lower end.
        bound: the value at the end of the scale; the largest that occurs, if None.
    """
    top = float(np.abs(values).max()) if bound is None else bound
    shares = values / (top or 1.0)
    places = (shares + 1) / 2 if signed else shares
    table = svg.colours(style.SIGNED if signed else style.POSITIVE)
    coloured: Array = table[np.clip(np.rint(255 * places), 0, 255).astype(int)]
    return coloured
