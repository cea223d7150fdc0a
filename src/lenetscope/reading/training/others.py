"""Makes images of things that are not digits, for the network to tell apart from them.

A network trained with such images also refuses kinds that it has not seen: D. Hendrycks, M. Mazeika and
T. Dietterich, "Deep anomaly detection with outlier exposure", ICLR 2019 (arXiv:1812.04606).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from lenetscope.reading.training import strokes
from lenetscope.reading.training.drawing import blur, cut_corners, draw, path_segments, uniform


def others(count: int, glyphs: Tensor, labels: Tensor) -> Tensor:
    """Return images (count, 28, 28) of letters, scribbles, shapes, textures and digits taken apart.

    Args:
        count: of images, at least 1.
        glyphs: (M, 28, 28) in [0, 1], digits to take apart.
        labels: (M,) of the digits.
    """
    kinds: dict[Callable[..., Tensor], float]
    kinds = {letters: 0.42, scribbles: 0.1, lattices: 0.12, shapes: 0.24, apart: 0.12}
    chosen = torch.multinomial(torch.tensor(list(kinds.values())), count, replacement=True)
    images = torch.zeros(count, 28, 28)
    for number, make in enumerate(kinds):
        places = (chosen == number).nonzero()[:, 0]
        if len(places):
            images[places] = make(len(places), glyphs, labels)
    return images


def letters(count: int, *_: Tensor) -> Tensor:
    """Letters and other signs, see ``strokes.toml``."""
    table = strokes.shapes("letters")
    which = torch.randint(len(table.points), (count,))
    hand = torch.randn(count, table.points.shape[1], 2) * uniform((count, 1, 1), 0.1, 0.6)
    stretch = torch.stack([uniform(count, 0.5, 1), torch.ones(count)], dim=1)
    return strokes.write(which, "letters", hand, uniform(count, 0.1, 1.8), stretch)


def scribbles(count: int, *_: Tensor) -> Tensor:
    """Random walks, zigzags and spirals."""
    length = 22
    walk = torch.rand(count, length, 2) * 20 + 4
    step = torch.linspace(0, 1, length)[None, :]
    phase = uniform((count, 1), 0, 6.3)
    swing = torch.sin(step * uniform((count, 1), 3, 8) * 2 * math.pi + phase)
    to_and_fro = torch.stack([4 + 20 * step.expand(count, -1), 13.5 + 8 * swing], dim=2)
    turn = step * uniform((count, 1), 2.2, 4.5) * 2 * math.pi + phase
    spiral = 13.5 + torch.stack([turn.cos(), turn.sin()], dim=2) * (10 * step.sqrt())[..., None]
    kind = torch.randint(3, (count, 1, 1))
    points = torch.where(kind == 0, walk, torch.where(kind == 1, to_and_fro, spiral))
    points = points + torch.randn_like(points) * 0.8
    return draw(path_segments(cut_corners(points)), uniform(count, 0.2, 1.5))


def lattices(count: int, *_: Tensor) -> Tensor:
    """Three to six straight or curved strokes between points of a lattice, like unknown signs."""
    most, steps = 6, torch.linspace(0, 1, 5)[:, None]
    points = torch.randint(4, (count, most, 3, 2)) * (20 / 3) + 4 + torch.randn(count, most, 3, 2)
    start, middle, end = (p[..., None, :] for p in points.unbind(dim=2))  # (N, 6, 1, 2)
    straight = torch.rand(count, most, 1, 1) < 0.6
    middle = torch.where(straight, (start + end) / 2, middle)
    curve = (1 - steps) ** 2 * start + 2 * steps * (1 - steps) * middle + steps**2 * end
    curve[torch.arange(most) >= torch.randint(3, most + 1, (count, 1))] = math.nan
    segments = torch.cat([curve[:, :, :-1], curve[:, :, 1:]], dim=3).flatten(1, 2)
    return draw(segments, uniform(count, 0.1, 1.6))


def shapes(count: int, *_: Tensor) -> Tensor:
    """Filled shapes, composed of up to four, many of them symmetric, grey, textured or cloudy."""
    axis = torch.linspace(-1, 1, 28)
    inside = torch.zeros(count, 28, 28, dtype=torch.bool)
    for number in range(4):
        y = axis[:, None] - uniform((count, 1, 1), -0.35, 0.35)
        x = axis - uniform((count, 1, 1), -0.35, 0.35)
        width, height = uniform((2, count, 1, 1), 0.2, 1)
        taper = 1 + uniform((count, 1, 1), -0.6, 0.6) * y
        ellipse = (x / width).square() + (y / height).square() < 1
        box = (x.abs() < width * taper) & (y.abs() < height)
        more = torch.where(torch.rand(count, 1, 1) < 0.4, ellipse, box)
        more = more & (torch.rand(count, 1, 1) < (1, 0.8, 0.6, 0.4)[number])
        cut = (torch.rand(count, 1, 1) < 0.25) & (number > 0)
        inside = torch.where(cut, inside & ~more, inside | more)
    inside = torch.where(torch.rand(count, 1, 1) < 0.65, inside | inside.flip(2), inside)
    cloud = blur(torch.randn(count, 28, 28), uniform(count, 0.3, 2.5))
    cloud = torch.sigmoid(2 * cloud / cloud.std((1, 2), keepdim=True))
    turn, pace = uniform((count, 1, 1), 0, math.pi), uniform((count, 1, 1), 3, 28)
    waves = torch.sin(pace * (axis * turn.cos() + axis[:, None] * turn.sin()))
    grey = uniform((count, 1, 1), 0.4, 1) + uniform((count, 1, 1), -0.3, 0.3) * axis[:, None]
    kind = torch.randint(4, (count, 1, 1))
    fill = torch.where(kind == 0, cloud, torch.where(kind == 1, 0.65 + 0.35 * waves, grey))
    return blur(fill.clamp(0, 1) * inside, uniform(count, 0.2, 0.8))


def apart(count: int, glyphs: Tensor, labels: Tensor) -> Tensor:
    """Digits lying on their side, with their quarters in another order, or upside down on others."""
    usable = ((labels > 1) & (labels != 8)).nonzero()[:, 0]
    if not len(usable):
        return letters(count)
    one, two = (glyphs[usable[torch.randint(len(usable), (count,))]] for _ in range(2))
    lying = torch.where(torch.rand(count, 1, 1) < 0.5, one.rot90(1, (1, 2)), one.rot90(-1, (1, 2)))
    quarters = one.roll((14, 14), (1, 2))
    halves = torch.cat([one[:, :14], two.flip(2)[:, :14]], dim=1)
    heap = torch.maximum(one, two.rot90(1, (1, 2)))
    kind = torch.randint(4, (count, 1, 1))
    mixed = torch.where(kind == 0, lying, torch.where(kind == 1, quarters, halves))
    return torch.where(kind == 3, heap, mixed)
