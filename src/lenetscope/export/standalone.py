"""Predict what pictures show: needs torch, and pillow to open them; lenetscope is not needed.

    python predict.py digit.png

The network expects pictures like those it was trained on, see README.md. In a program of your own:

    from predict import config, network

    probabilities = network()(images)  # (N, K), for uint8 images (N, C, H, W)
    print(config()["classes"])
"""

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

FOLDER = Path(__file__).resolve().parent

FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "PPM")
"""Formats that Pillow decodes by itself; for others, such as EPS, it runs other programs."""


@cache
def config() -> dict[str, Any]:
    """Return the names of the classes, the shape of an image, and how the network was trained."""
    found: dict[str, Any] = json.loads((FOLDER / "config.json").read_text("utf-8"))
    return found


@cache
def network() -> nn.Module:
    """Return the network with its preprocessing: from uint8 (N, C, H, W) to probabilities (N, K)."""
    return torch.export.load(FOLDER / "model.pt2").module()


def read(path: str) -> Tensor:
    """Return a picture as an image (1, C, H, W) uint8, scaled to the network's size."""
    from PIL import Image

    channels, height, width = config()["image_shape"]
    picture = Image.open(path, formats=FORMATS).convert("L" if channels == 1 else "RGB")
    picture = picture.resize((width, height))
    pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    return pixels.reshape(1, height, width, channels).permute(0, 3, 1, 2).contiguous()


def main(paths: list[str]) -> None:
    """Print the most probable class of each picture."""
    for path in paths:
        with torch.no_grad():
            probabilities = network()(read(path))[0]
        best = int(probabilities.argmax())
        percent = 100 * float(probabilities[best])
        sys.stdout.write(f"{path}  {config()['classes'][best]}  {percent:.1f} %\n")


if __name__ == "__main__":
    main(sys.argv[1:])
