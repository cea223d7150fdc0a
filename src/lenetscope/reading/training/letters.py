"""Draws letters that do not resemble digits, and other signs, as strokes of a pen.

The shapes were drawn for this file on a grid of 9x9 points, not taken from a font. Letters that many
people write like a digit (B b C c D G g I i J j l L O o Q q S s U u Y y Z z and similar ones) are left
out.
"""

import torch
from torch import Tensor

from lenetscope.reading.training.drawing import cut_corners, draw, path_segments

STROKES = {
    "A": "08 40 88|25 65",
    "E": "80 00 08 88|04 64",
    "F": "80 00 08|04 64",
    "H": "00 08|80 88|04 84",
    "K": "00 08|70 04 78",
    "M": "08 00 44 80 88",
    "N": "08 00 88 80",
    "P": "08 00 60 72 64 04",
    "R": "08 00 60 72 64 04|44 88",
    "T": "00 80|40 48",
    "V": "00 48 80",
    "W": "00 28 42 68 80",
    "X": "00 88|80 08",
    "d": "73 33 15 27 57 76|70 78",
    "e": "05 75 62 22 05 28 78",
    "f": "81 50 37 28|14 64",
    "h": "00 08|05 34 55 58",
    "k": "00 08|62 05 68",
    "m": "02 08|04 22 44 48|44 62 84 88",
    "n": "02 08|04 43 64 68",
    "p": "00 08|01 40 63 45 04",
    "r": "02 08|05 23 53",
    "t": "30 37 68|02 72",
    "w": "02 18 44 78 82",
    "ae": "12 43 48 17 15 45|45 85 63 43 46 68 88",
    "sigma": "80 00 44 08 88",
    "pi": "02 82|22 28|62 68",
    "psi": "00 03 45 83 80|40 48",
    "lambda": "00 88|44 08",
    "omega": "08 28 25 03 20 60 83 65 68 88",
    "plus": "40 48|04 84",
    "dash": "04 84",
    "equals": "02 82|06 86",
    "divided": "04 84|41 41|47 47",
    "hash": "20 28|60 68|02 82|06 86",
    "star": "40 48|02 86|06 82",
    "pentagram": "18 40 78 03 83 18",
    "percent": "80 08|00 22 20 00|66 88 86 66",
    "arrow": "04 84|51 84 57",
    "wave": "04 22 44 66 84",
    "caret": "08 40 88",
    "envelope": "00 80 88 08 00|00 88|80 08",
    "ladder": "20 28|60 68|21 61|24 64|27 67",
    "comb": "04 84|00 08|40 48|80 88",
    "tree": "40 48|24 40 64|17 42 77",
    "ditto": "30 34|60 64",
    "at": "55 43 34 46 63 56 84 71 30 03 06 38 78",
}
"""Strokes separated by ``|``, each a path of points; a point is x, to the right, and y, downwards."""


def write(name: str, count: int) -> Tensor:
    """Draw images of one sign, with random proportions, roundness, pen and displaced points.

    Args:
        name: a key of `STROKES`.
        count: number of images.

    Returns:
        (count, 28, 28) in [0, 1], the sign mostly within the central 20x20 pixels.
    """
    stretch = torch.exp(torch.randn(count, 1, 2) * 0.2)
    stretch = stretch / stretch.amax(dim=2, keepdim=True)
    slip = 0.3 + 0.4 * torch.rand(count, 1, 1)
    rounded = torch.rand(count, 1, 1) < 0.6
    segments = []
    for path in STROKES[name].split("|"):
        points = torch.tensor([[float(value) for value in point] for point in path.split()])
        placed = points + torch.randn(count, *points.shape) * slip  # (N, P, 2)
        placed = (placed - 4) * 2.5 * stretch + 13.5
        smooth = cut_corners(cut_corners(placed))
        straight = _filled(placed, smooth.shape[1])
        segments.append(path_segments(torch.where(rounded, smooth, straight)))
    radius = torch.rand(count) * 1.5 + 0.1
    return draw(torch.cat(segments, dim=1), radius)


def _filled(points: Tensor, length: int) -> Tensor:
    """Repeat the last point until there are ``length`` of them."""
    missing = max(0, length - points.shape[1])
    return torch.cat([points, points[:, -1:].expand(-1, missing, -1)], dim=1)
