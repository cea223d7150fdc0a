"""Draws pictures of digits such as people make, from MNIST's training images.

Strokes are redrawn along the skeleton of a training image, with pens of any width, on paper, boards and
screens of many kinds. The pictures are for measurements only; nothing is trained on them.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage
from skimage.morphology import skeletonize

from lenetscope.data.splits import load
from lenetscope.recipe import Recipe

Array = npt.NDArray[Any]
Random = np.random.Generator
Drawing = tuple[Image.Image, str]

KINDS: dict[str, Callable[["Pens", Random], Drawing]] = {}
FINE = 8
"""Pixels of a drawing per pixel of MNIST."""


class Pens:
    """MNIST's training images as pen paths, or its test images."""

    def __init__(self, test: bool = False) -> None:
        mnist = load(Recipe.load("reference"))
        part = mnist.test if test else mnist.train
        self.images = part.images[:, 0].numpy()  # (60000, 28, 28), or (10000, 28, 28)
        self.labels = part.labels.numpy()

    def pick(self, random: Random) -> tuple[Array, str]:
        """Return the distance of each pixel to a random pen path, (224, 224), and the label."""
        number = int(random.integers(len(self.labels)))
        large = Image.fromarray(self.images[number]).resize((28 * FINE,) * 2, Image.Resampling.BICUBIC)
        mask = ndimage.gaussian_filter(np.asarray(large, dtype=np.float32), 3) > 90
        distance = ndimage.distance_transform_edt(~skeletonize(mask))
        return ndimage.gaussian_filter(distance.astype(np.float32), 1.5), str(self.labels[number])


def pictures(kind: str, count: int, seed: int, pens: Pens) -> list[Drawing]:
    """Return pictures of one kind, with the text written in each."""
    random = np.random.default_rng([seed, sorted(KINDS).index(kind)])
    return [KINDS[kind](pens, random) for _ in range(count)]


def kind(function: Callable[[Pens, Random], Drawing]) -> Callable[[Pens, Random], Drawing]:
    """Register a kind under the name of its function."""
    KINDS[function.__name__.replace("_", "-")] = function
    return function


def stroke(distance: Array, width: float, height: float) -> Array:
    """Draw a digit with a pen.

    Args:
        distance: to the pen path, see `Pens.pick`.
        width: of the pen, in pixels of the result.
        height: of the digit, in pixels of the result.

    Returns:
        (H, W) coverage in [0, 1], cropped to the ink.
    """
    path = distance < 1.5
    rows, columns = np.flatnonzero(path.any(1)), np.flatnonzero(path.any(0))
    part = distance[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = height / max(part.shape)
    margin = int(width / 2) + 2
    size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    far = np.asarray(Image.fromarray(part).resize(size, Image.Resampling.BILINEAR)) * scale
    far = np.hypot(np.pad(far, margin, mode="edge"), _beyond(far.shape, margin))
    drawn: Array = np.clip(width / 2 + 0.5 - np.maximum(far - 0.5 * scale, 0), 0, 1)
    return drawn


def _beyond(shape: tuple[int, ...], margin: int) -> Array:
    rows, columns = (
        np.maximum(
            np.maximum(margin - np.arange(n + 2 * margin), np.arange(n + 2 * margin) - n - margin + 1),
            0,
        )
        for n in shape
    )
    return np.hypot(rows[:, None], columns[None])


def place(canvas: Array, ink: Array, top: float, left: float) -> None:
    """Put ink on a canvas, taking the darker of both; ink outside of the canvas is cropped."""
    top, left = round(top), round(left)
    height, width = canvas.shape
    rows = slice(max(top, 0), min(top + ink.shape[0], height))
    columns = slice(max(left, 0), min(left + ink.shape[1], width))
    part = ink[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    canvas[rows, columns] = np.maximum(canvas[rows, columns], part)


def on_canvas(ink: Array, height: int, width: int, random: Random, margin: float = 0.03) -> Array:
    """Put a digit at a random place on a canvas, within a margin."""
    canvas = np.zeros((height, width), dtype=np.float32)
    free = (max(height - ink.shape[0], 0), max(width - ink.shape[1], 0))
    top, left = (random.uniform(margin, 1 - margin) * room for room in free)
    place(canvas, ink, top, left)
    return canvas


def waves(height: int, width: int, random: Random, cells: int = 3) -> Array:
    """Return smooth random values with a standard deviation of about 1, like light on a page."""
    coarse = random.normal(size=(cells + 1, cells + 1)).astype(np.float32)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def photograph(
    ink: Array, random: Random, darkness: float = 0.75, uneven: float = 0.12, noise: float = 0.02,
    blur: float = 0.8, colour: bool = True, paper: Array | None = None,
) -> Image.Image:  # fmt: skip
    """Return ink on paper as in a photo, with uneven light, a tint, blur and noise."""
    height, width = ink.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    light = 0.8 * (1 - uneven * (x * x + y * y) * random.uniform(0, 1.5))
    light = light * (1 + uneven * waves(height, width, random, 2)) if paper is None else paper * light
    pen = random.uniform(0, 0.35, 3) if colour else np.zeros(3)
    tint = 1 - random.uniform(0, 0.15, 3) if colour else np.ones(3)
    values = light[..., None] * tint * (1 - darkness * ink[..., None] * (1 - pen))
    values = ndimage.gaussian_filter(values, (blur, blur, 0))
    values += random.normal(scale=noise, size=values.shape)
    return Image.fromarray(np.clip(values * 255, 0, 255).astype(np.uint8))


def plain(ink: Array, dark_on_light: bool = True) -> Image.Image:
    """Return ink as a drawing program saves it."""
    return Image.fromarray(np.rint((1 - ink if dark_on_light else ink) * 255).astype(np.uint8))


@kind
def pencil_scan(pens: Pens, random: Random) -> Drawing:
    """A pencil on white paper, scanned: thin, pale and grainy."""
    path, label = pens.pick(random)
    tall = random.uniform(80, 300)
    ink = on_canvas(stroke(path, random.uniform(2, 5), tall), 400, 400, random)
    grain = 1 - 0.5 * random.random(ink.shape)
    return photograph(ink * grain, random, random.uniform(0.3, 0.6), 0.03, 0.015, 0.7, False), label


@kind
def ballpoint_photo(pens: Pens, random: Random) -> Drawing:
    """A ballpoint on paper, photographed from above."""
    path, label = pens.pick(random)
    ink = on_canvas(stroke(path, random.uniform(2.5, 7), random.uniform(90, 400)), 600, 800, random)
    return photograph(ink, random, 0.7, 0.2, 0.025, 1.2), label


@kind
def ruled_paper(pens: Pens, random: Random) -> Drawing:
    """A pen on lined or squared paper, slightly rotated, with lines paler than the ink or as dark."""
    path, label = pens.pick(random)
    height, width = 420, 500
    tall = random.uniform(100, 300)
    ink = on_canvas(stroke(path, random.uniform(4, 9), tall), height, width, random)
    gap, slope = random.uniform(28, 70), random.uniform(-0.06, 0.06)
    y, x = np.mgrid[:height, :width]
    lines = ((y + slope * x) % gap < 1.8).astype(np.float32)
    if random.random() < 0.5:
        lines = np.maximum(lines, ((x - slope * y) % gap < 1.8).astype(np.float32))
    return photograph(np.maximum(ink, lines * random.uniform(0.2, 0.8)), random, 0.75, 0.1), label


@kind
def shadow(pens: Pens, random: Random) -> Drawing:
    """A sharp or soft shadow across the paper."""
    path, label = pens.pick(random)
    height, width = 400, 500
    ink = on_canvas(
        stroke(path, random.uniform(3, 10), random.uniform(100, 300)), height, width, random
    )
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    angle, offset = random.uniform(0, 2 * np.pi), random.uniform(-0.5, 0.5)
    depth = np.cos(angle) * x + np.sin(angle) * y + 0.15 * waves(height, width, random, 4) - offset
    shade = 1 - random.uniform(0.3, 0.6) / (1 + np.exp(-depth / random.uniform(0.005, 0.1)))
    return photograph(ink, random, 0.75, paper=shade), label


@kind
def table_and_thumb(pens: Pens, random: Random) -> Drawing:
    """A sheet on a dark table, or a dark object in a corner."""
    path, label = pens.pick(random)
    height, width = 450, 450
    ink = on_canvas(
        stroke(path, random.uniform(4, 10), random.uniform(120, 260)), height, width, random, 0.25
    )
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    paper = np.ones((height, width), dtype=np.float32)
    if random.random() < 0.5:
        turn = random.uniform(-0.1, 0.1)
        edge = random.uniform(0.8, 0.95)
        paper[(np.abs(x + turn * y) > edge) | (np.abs(y - turn * x) > edge)] = random.uniform(0.1, 0.5)
    else:
        corner = random.choice([-1, 1], 2)
        far = np.hypot(x - corner[0], y - corner[1])
        paper[far < random.uniform(0.2, 0.45)] = random.uniform(0.1, 0.5)
    return photograph(ink, random, 0.75, paper=paper), label


@kind
def chalkboard(pens: Pens, random: Random) -> Drawing:
    """Chalk on a board, photographed."""
    path, label = pens.pick(random)
    ink = on_canvas(stroke(path, random.uniform(6, 14), random.uniform(120, 300)), 400, 400, random)
    grain = 1 - 0.5 * random.random(ink.shape)
    board = 0.25 * (1 + 0.2 * waves(400, 400, random))
    values = board + random.uniform(0.35, 0.6) * ndimage.gaussian_filter(ink * grain, 0.8)
    values += random.normal(scale=0.03, size=values.shape)
    return Image.fromarray(np.clip(values * 255, 0, 255).astype(np.uint8)), label


@kind
def speck_on_canvas(pens: Pens, random: Random) -> Drawing:
    """A tiny digit far from the middle of a large clean canvas."""
    path, label = pens.pick(random)
    tall = random.uniform(24, 60)
    ink = stroke(path, random.uniform(1.5, 4), tall)
    side = int(random.integers(600, 1600))
    return plain(on_canvas(ink, side, side, random, 0.005), random.random() < 0.5), label


@kind
def one_pixel_28(pens: Pens, random: Random) -> Drawing:
    """28x28, drawn with a hard pencil one pixel wide, anywhere."""
    path, label = pens.pick(random)
    ink = stroke(path, 1.0, random.uniform(12, 25)) > 0.5
    canvas = on_canvas(ink.astype(np.float32)[1:-1, 1:-1], 28, 28, random)
    return plain(canvas, random.random() < 0.5), label


@kind
def paint_program(pens: Pens, random: Random) -> Drawing:
    """The canvas of a drawing program, with any pen and either polarity."""
    path, label = pens.pick(random)
    side = int(random.choice([64, 140, 200, 280, 400, 512]))
    tall = side * random.uniform(0.3, 0.9)
    ink = stroke(path, max(1.2, tall * random.uniform(0.02, 0.2)), tall * 0.9)
    return plain(on_canvas(ink, side, side, random), random.random() < 0.5), label


@kind
def felt_pen(pens: Pens, random: Random) -> Drawing:
    """A felt pen so thick that the digit fills the frame."""
    path, label = pens.pick(random)
    side = int(random.choice([28, 64, 200]))
    tall = side * random.uniform(0.65, 0.8)
    ink = stroke(path, tall * random.uniform(0.16, 0.24), tall)
    return plain(on_canvas(ink, side, side, random), random.random() < 0.5), label


@kind
def dust(pens: Pens, random: Random) -> Drawing:
    """Dust, pepper and short hairs all over a scan."""
    path, label = pens.pick(random)
    ink = on_canvas(stroke(path, random.uniform(4, 12), random.uniform(100, 280)), 350, 350, random)
    for _ in range(int(random.integers(5, 60))):
        y, x = random.uniform(0, 345, 2)
        place(
            ink,
            np.full((random.integers(1, 5), random.integers(1, 5)), random.random(), dtype=np.float32),
            y,
            x,
        )
    return photograph(ink, random, 0.8, 0.03, 0.01, 0.5, False), label


@kind
def broken_stroke(pens: Pens, random: Random) -> Drawing:
    """A pen that skips in places."""
    path, label = pens.pick(random)
    ink = stroke(path, random.uniform(4, 10), random.uniform(120, 260))
    for _ in range(int(random.integers(1, 4))):
        rows, columns = np.nonzero(ink > 0.5)
        at = int(random.integers(len(rows)))
        y, x = np.ogrid[: ink.shape[0], : ink.shape[1]]
        near = np.hypot(y - rows[at], x - columns[at]) < random.uniform(3, 9)
        ink = np.where(near, 0, ink)
    return photograph(on_canvas(ink, 350, 350, random), random, 0.75, 0.05, 0.015), label


@kind
def at_the_edge(pens: Pens, random: Random) -> Drawing:
    """A digit that touches the edge of the picture, or is clipped a little."""
    path, label = pens.pick(random)
    ink = stroke(path, random.uniform(5, 14), 180)
    canvas = np.zeros((220, 220), dtype=np.float32)
    lost = random.uniform(0, 0.04) * 180 + 2
    top, left = random.uniform(0, np.maximum(220 - np.array(ink.shape), 1))
    ends = [
        (-lost, left),
        (220 - ink.shape[0] + lost, left),
        (top, -lost),
        (top, 220 - ink.shape[1] + lost),
    ]
    place(canvas, ink, *ends[int(random.integers(4))])
    return photograph(canvas, random, 0.75, 0.05, 0.015), label


@kind
def slanted(pens: Pens, random: Random) -> Drawing:
    """Strongly slanted."""
    path, label = pens.pick(random)
    ink = stroke(path, random.uniform(5, 14), 180)
    ink = np.pad(ink, 90)
    lean = random.choice([-1, 1]) * random.uniform(0.2, 0.5)
    matrix = np.array([[1, 0], [lean, 1]])
    middle = np.array(ink.shape) / 2
    ink = ndimage.affine_transform(ink, matrix, middle - matrix @ middle, order=1)
    return plain(np.clip(ink, 0, 1)), label


@kind
def usps_like(pens: Pens, random: Random) -> Drawing:
    """16x16, the digit stretched to fill the frame."""
    path, label = pens.pick(random)
    ink = stroke(path, random.uniform(10, 24), 128)
    ink = ink[ink.max(1) > 0.3][:, ink.max(0) > 0.3]
    if ink.shape[1] < 0.4 * ink.shape[0]:
        ink = np.pad(ink, ((0, 0), (int(0.25 * ink.shape[0]),) * 2))
    small = Image.fromarray((ink * 255).astype(np.uint8)).resize((16, 16), Image.Resampling.BOX)
    return small, label


def _number(
    pens: Pens, random: Random, count: int, tall: float, pen: float, gap: tuple[float, float],
    jitter: float = 0.06,
) -> tuple[Array, str]:  # fmt: skip
    """Return digits in a row, with gaps as fractions of their height; if negative, they touch."""
    canvas = np.zeros((int(tall * 1.8), int(tall * 1.6 * count + tall)), dtype=np.float32)
    left, text = 0.3 * tall, ""
    for _ in range(count):
        path, label = pens.pick(random)
        ink = stroke(path, pen, tall * random.uniform(0.85, 1.1))
        ink = ink[ink.max(1) > 0.3][:, ink.max(0) > 0.3]
        top = (canvas.shape[0] - ink.shape[0]) / 2 + tall * jitter * random.normal()
        if text and gap[0] < 0:
            # move left until the ink touches
            while left > 0 and not (_under(canvas, ink, top, left) > 0.5).sum() > pen:
                left -= 1
        place(canvas, ink, top, left)
        left += ink.shape[1] + tall * max(random.uniform(*gap), 0.02)
        text += label
    used = np.flatnonzero(canvas.any(0))
    return canvas[:, : used[-1] + 1 + int(0.3 * tall)], text


def _under(canvas: Array, ink: Array, top: float, left: float) -> Array:
    top, left = round(top), round(left)
    part = canvas[max(top, 0) : top + ink.shape[0], max(left, 0) : left + ink.shape[1]]
    return np.minimum(part, ink[: part.shape[0], : part.shape[1]])


@kind
def number_row(pens: Pens, random: Random) -> Drawing:
    """Two to six digits in a row, by marker or pen, photographed by a webcam."""
    count, tall = int(random.integers(2, 7)), random.uniform(50, 100)
    ink, text = _number(pens, random, count, tall, random.uniform(2.5, 8), (0.12, 0.7))
    height, width = max(480, ink.shape[0]), max(640, ink.shape[1])
    return photograph(on_canvas(ink, height, width, random), random, 0.75, 0.2, 0.02, 1.0), text


@kind
def number_uphill(pens: Pens, random: Random) -> Drawing:
    """Three to six digits along a line that rises or falls."""
    count, tall = int(random.integers(3, 7)), random.uniform(50, 80)
    ink, text = _number(pens, random, count, tall, random.uniform(2.5, 7), (0.15, 0.5))
    angle = random.choice([-1, 1]) * random.uniform(8, 35)
    ink = np.clip(ndimage.rotate(ink, angle, order=1), 0, 1)
    height, width = max(480, ink.shape[0]), max(640, ink.shape[1])
    return photograph(on_canvas(ink, height, width, random), random, 0.75, 0.15, 0.02, 1.0), text


@kind
def number_touching(pens: Pens, random: Random) -> Drawing:
    """Two to four digits, each touching the next."""
    count, tall = int(random.integers(2, 5)), random.uniform(50, 100)
    ink, text = _number(pens, random, count, tall, random.uniform(3, 8), (-1, -1))
    return plain(on_canvas(ink, max(200, ink.shape[0]), max(400, ink.shape[1]), random)), text


@kind
def number_two_lines(pens: Pens, random: Random) -> Drawing:
    """Two rows of digits."""
    tall, pen = random.uniform(50, 80), random.uniform(2.5, 7)
    rows = [
        _number(pens, random, int(random.integers(1, 5)), tall, pen, (0.15, 0.5), 0.03) for _ in "ab"
    ]
    canvas = np.zeros((480, 640), dtype=np.float32)
    for number, (ink, _) in enumerate(rows):
        place(canvas, ink, 60 + number * tall * 1.7 - 0.4 * tall, random.uniform(10, 60))
    return photograph(canvas, random, 0.75, 0.1, 0.02, 1.0), " ".join(text for _, text in rows)
