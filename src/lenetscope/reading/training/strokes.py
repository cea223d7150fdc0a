"""Draws digits as people of different countries write them, letters, and the marks beside numbers.

MNIST was written in the United States. Elsewhere a 1 has a flag, a 7 a bar, a 4 is open or has a loop.
``strokes.toml`` holds these shapes, and characters that are not digits, as strokes of a pen.
"""

import functools
import tomllib
from importlib import resources
from typing import NamedTuple

import torch
from torch import Tensor

from lenetscope.reading.training.drawing import cut_corners, draw

FLAGGED_ONES, BARRED_SEVENS = (5, 6, 7, 9, 11), range(5, 11)
"""Shapes that go together in a hand: who writes a 1 with a long flag writes a 7 with a bar."""


class _Shapes(NamedTuple):
    """Shapes of many characters.

    Attributes:
        points: (V, P, 2), coordinates on the grid; unused points are 0.
        ends: (V, 2, S, P), weights of the points by which both ends of each segment follow from them.
        first: where the shapes of each character begin, and the number of all.
    """

    points: Tensor
    ends: Tensor
    first: tuple[int, ...]


@functools.cache
def shapes(kind: str) -> _Shapes:
    """Return the shapes of a table of ``strokes.toml``."""
    text = resources.files("lenetscope.reading.training").joinpath("strokes.toml").read_text("utf-8")
    table: dict[str, str | list[str]] = tomllib.loads(text)[kind]
    paths = [[path] if isinstance(path, str) else path for path in table.values()]
    first = [0]
    for each in paths:
        first.append(first[-1] + len(each))
    every = [path for each in paths for path in each]
    most = max(len(path.replace("|", " ").split()) for path in every)
    points, ends = torch.zeros(len(every), most, 2), list[Tensor]()
    for v, path in enumerate(every):
        begin, parts = 0, list[Tensor]()
        for stroke in path.split("|"):
            given = [[float(value) for value in point] for point in stroke.split()]
            points[v, begin : begin + len(given)] = torch.tensor(given)
            weights = torch.zeros(1, len(given), most)
            weights[0, :, begin : begin + len(given)] = torch.eye(len(given))
            smooth = cut_corners(cut_corners(weights))[0]
            vertices = torch.cat([smooth[:-1:2], smooth[-1:]])
            parts.append(torch.stack([vertices[:-1], vertices[1:]]))
            begin += len(given)
        ends.append(torch.cat(parts, dim=1))  # (2, any, P)
    longest = max(each.shape[1] for each in ends)
    filled = [torch.cat([e, e[:, -1:].expand(-1, longest - e.shape[1], -1)], dim=1) for e in ends]
    return _Shapes(points, torch.stack(filled), tuple(first))


def write(which: Tensor, kind: str, hand: Tensor, radius: Tensor, stretch: Tensor) -> Tensor:
    """Draw characters.

    Args:
        which: (N,) int64, rows of the table `shapes` of that kind.
        kind: name of that table.
        hand: (N, P, 2), by how much each point is displaced, in units of the grid.
        radius: (N,) of the pen, in pixels.
        stretch: (N, 2), by which the width and the height are multiplied.

    Returns:
        (N, 28, 28) in [0, 1], mostly within the central 20x20 pixels.
    """
    table = shapes(kind)
    points = (table.points[which] + hand[:, : table.points.shape[1]] - 4) * 2.5
    points = points * stretch[:, None] + 13.5  # (N, P, 2)
    ends = torch.einsum("nesp,npc->nsec", table.ends[which], points)  # (N, S, 2, 2)
    return draw(ends.flatten(2), radius)
