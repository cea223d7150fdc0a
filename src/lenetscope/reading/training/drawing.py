"""Draws strokes and changes the ink of a batch of images, as tensors.

Images are (N, H, W) float32, 0 for paper and 1 for ink; coordinates are in pixels.

Thinning: T. Y. Zhang and C. Y. Suen, "A fast parallel algorithm for thinning digital patterns", Comm.
ACM 27(3), 1984. Corner cutting: G. M. Chaikin, "An algorithm for high-speed curve generation", Computer
Graphics and Image Processing 3, 1974.
"""

import functools

import torch
from torch import Tensor
from torch.nn import functional


def uniform(count: int | tuple[int, ...], low: float, high: float) -> Tensor:
    """Return random numbers of an interval."""
    return torch.empty(count).uniform_(low, high)


def draw(segments: Tensor, radius: Tensor, height: int = 28, width: int = 28) -> Tensor:
    """Draw straight segments with a round pen, anti-aliased.

    >>> line = torch.tensor([[[2.0, 5.0, 8.0, 5.0]]])  # from x 2 to x 8 in row 5
    >>> picture = draw(line, torch.tensor([0.5]), 12, 12)
    >>> picture[0, 4:7, 5].tolist()
    [0.0, 1.0, 0.0]

    Args:
        segments: (N, S, 4), x and y of both ends, in pixels; NaN for a segment that is missing.
        radius: (N,) of the pen, in pixels.
        height: of the images, in pixels.
        width: of the images, in pixels.

    Returns:
        (N, height, width) in [0, 1].
    """
    rows, columns = torch.arange(float(height)), torch.arange(float(width))
    nearest = torch.full((len(segments), height, width), 1e6)  # squared distance to the ink
    for ends in segments.unbind(dim=1):  # (N, 4)
        x0, y0, x1, y1 = (value[:, None, None] for value in ends.unbind(dim=1))
        across, along = x1 - x0, y1 - y0
        x, y = columns[None, None, :] - x0, rows[None, :, None] - y0
        length = (across.square() + along.square()).clamp_min(1e-6)
        part = ((x * across + y * along) / length).clamp_(0, 1)  # nearest point of the segment
        distance = (x - part * across).square_().add_((y - part * along).square_())
        nearest = torch.minimum(nearest, distance.nan_to_num_(1e6))
    return (radius[:, None, None] + 0.5 - nearest.sqrt_()).clamp_(0, 1)


def cut_corners(points: Tensor) -> Tensor:
    """Round a path: replace each inner corner by two points on its adjacent sides.

    Args:
        points: (N, P, 2), P at least 2.

    Returns:
        (N, 2 P - 2, 2), with the same end points.
    """
    start, end = points[:, :-1], points[:, 1:]
    first, second = 0.75 * start + 0.25 * end, 0.25 * start + 0.75 * end
    first, second = first.clone(), second.clone()
    first[:, 0], second[:, -1] = points[:, 0], points[:, -1]
    return torch.stack([first, second], dim=2).flatten(1, 2)


def path_segments(points: Tensor) -> Tensor:
    """Return the segments (N, P - 1, 4) of paths (N, P, 2)."""
    return torch.cat([points[:, :-1], points[:, 1:]], dim=2)


def thin(ink: Tensor) -> Tensor:
    """Thin strokes to lines of one pixel that are connected as the strokes were.

    Args:
        ink: (N, H, W) bool.

    Returns:
        (N, H, W) bool.
    """
    # which of the 8 neighbours are ink is a number from 0 to 255; the rule is a table of these
    weights = torch.tensor([[128.0, 1, 2], [64, 0, 4], [32, 16, 8]])[None, None]
    tables = torch.tensor(_removable())  # (2, 256)
    done = False
    while not done:
        before = ink
        for table in tables:
            around = functional.conv2d(ink[:, None].float(), weights, padding=1)[:, 0]
            ink = ink & ~table[around.long()]
        done = bool((ink == before).all())
    return ink


@functools.cache
def _removable() -> tuple[list[bool], list[bool]]:
    """Return, for both subiterations of the paper, whether a pixel with these neighbours is removed."""
    tables: tuple[list[bool], list[bool]] = ([], [])
    for around in range(256):
        # P2 to P9 of the paper: clockwise from the north
        ring = [bool(around >> k & 1) for k in range(8)]
        n, _, e, _, s, _, w, _ = ring
        rises = sum(not ring[k - 1] and ring[k] for k in range(8))
        edge = 2 <= sum(ring) <= 6 and rises == 1
        tables[0].append(edge and not (e and s and (n or w)))
        tables[1].append(edge and not (n and w and (e or s)))
    return tables


def widen(images: Tensor, amount: Tensor) -> Tensor:
    """Widen or narrow strokes by grey morphology with a cross of three pixels.

    Args:
        images: (N, H, W) in [0, 1].
        amount: (N,) in [-1, 1], fraction of a pixel that is added on each side, or removed if negative.
    """
    wide = functional.pad(images[None], (1, 1, 1, 1), mode="replicate")[0]
    most, least = images, images
    for part in (wide[:, :-2, 1:-1], wide[:, 2:, 1:-1], wide[:, 1:-1, :-2], wide[:, 1:-1, 2:]):
        most, least = torch.maximum(most, part), torch.minimum(least, part)
    fraction = amount[:, None, None]
    other = torch.where(fraction > 0, most, least)
    return images + fraction.abs() * (other - images)


def blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Blur each image with a Gaussian of its own, truncated at three pixels.

    Args:
        images: (N, H, W).
        sigma: (N,) standard deviations in pixels, above 0.
    """
    offsets = torch.arange(-3, 4, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (offsets / sigma[:, None]).square())  # (N, 7)
    kernel = (kernel / kernel.sum(dim=1, keepdim=True))[:, None]  # (N, 1, 7)
    count = len(images)
    rows = functional.conv2d(images[None], kernel[:, :, None, :], padding=(0, 3), groups=count)
    return functional.conv2d(rows, kernel[:, :, :, None], padding=(3, 0), groups=count)[0]
