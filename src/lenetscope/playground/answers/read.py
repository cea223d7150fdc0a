"""A picture of the visitor's own: the number written in it, and images of it for the network."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lenetscope.data.pixels import fit_to
from lenetscope.data.sources import LIGHT, light_on_dark
from lenetscope.errors import ImageError
from lenetscope.pictures import decode
from lenetscope.playground import Limits
from lenetscope.playground.answers import Answer, decoded
from lenetscope.playground.lab import Lab, Opened
from lenetscope.plots.html import base64_of
from lenetscope.reading import read
from lenetscope.reading.single import like_mnist
from lenetscope.schema import optional, text

MAX_BYTES = 8_000_000
"""Bytes of the largest picture file."""


def read_picture(lab: Lab, asked: dict[str, Any]) -> dict[str, Any]:
    """Return what is written in a picture, if the network's classes are digits, and images of it.

    Raises:
        ImageError: if it is not a picture, or too large.
    """
    file = asked["image"]
    if len(file) > MAX_BYTES:
        raise ImageError(f"the picture has {len(file):,} bytes; the limit is {MAX_BYTES:,}.")
    opened = lab.run(asked.get("run"))
    channels, height, width = opened.inspection.image_shape
    picture = decode(file, 1 if channels == 1 else 3, most=Limits().max_pixels)  # (1 or 3, H, W)
    whole = fit_to(picture, (height, width))
    is_light = float(whole.float().median()) > 127
    warning = LIGHT if is_light and light_on_dark(opened.inspection.run.recipe().data) else None
    found: dict[str, Any] = {"whole": _sent(whole, opened), "warning": warning, "reading": None}
    if opened.is_of_digits:
        reading = read(file)
        found["reading"] = reading.as_dict() | {
            "size": list(reading.size),
            "images": [_sent(_digit(digit.image, opened), opened) for digit in reading.digits],
        }
    return found


def _digit(strip: np.ndarray, opened: Opened) -> Tensor:
    """Return a digit as the images of MNIST are, in the size of the network's."""
    image = torch.from_numpy(like_mnist(strip))[None]  # (1, 28, 28)
    return fit_to(image, opened.inspection.image_shape[1:])


def _sent(image: Tensor, opened: Opened) -> str:
    """Return an image (1 or 3, H, W) with the channels of the network's, as base64."""
    channels = opened.inspection.image_shape[0]
    places = [min(channel, len(image) - 1) for channel in range(channels)]
    return base64_of(image[places].contiguous().numpy())


Answer(
    name="read",
    summary="the number that is written in a picture, and images of it for the network",
    fields={"image": decoded, "run": optional(text)},
    compute=read_picture,
    required=("image",),
).register()
