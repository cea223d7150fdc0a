"""Sets of pictures with numbers, on which reading is measured. Nothing is trained on them.

`handwriting` opens people's pictures; `cheques`, `schools` and `stressful` draw them, from MNIST's test
images and from fonts. The same seed draws the same pictures.

    apt-get install fonts-breip fonts-bwht fonts-comic-neue fonts-dancingscript fonts-dkg-handwriting
    apt-get install fonts-ecolier-court fonts-humor-sans fonts-kaushanscript fonts-kiloji fonts-klee
    apt-get install fonts-kristi fonts-rufscript fonts-seto fonts-sjfonts fonts-tlwg-purisa
    apt-get install fonts-tomsontalks fonts-yusei-magic
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont, ImageOps
from scipy import ndimage

from benchmarks import refusal, stress

Array = npt.NDArray[Any]
Random = np.random.Generator

HANDS = (
    "BecauseWeBuild-Regular.otf", "BecauseWeConnect-Regular.otf", "BecauseWeCreate-Regular.otf",
    "BecauseWeLearn-Regular.otf", "BecauseWeMentor-Regular.otf", "BecauseWeOrganize-Regular.otf",
    "Breip.ttf", "ComicNeue-Light.otf", "DancingScript-Regular.otf", "Delphine.ttf", "dkg.ttf",
    "Ecolier-court.ttf", "Humor-Sans.ttf", "KaushanScript-Regular.otf", "kiloji.ttf",
    "KleeOne-Regular.ttf", "Kristi.ttf", "Purisa.ttf", "Rufscript010.ttf", "setofont.ttf",
    "SteveHand.ttf", "TomsonTalks.ttf", "YuseiMagic-Regular.ttf",
)  # fmt: skip
"""Files of fonts whose digits look like handwriting, one file per hand."""

SYMBOLS: dict[str, list[list[tuple[float, float]]]] = {
    ".": [[(0, 0.96), (0.02, 1)]],
    ",": [[(0.06, 0.92), (0.05, 1.02), (0, 1.12)]],
    "'": [[(0.06, -0.02), (0.05, 0.1), (0, 0.2)]],
    "-": [[(0, 0.52), (0.15, 0.5), (0.4, 0.5)]],
    "=": [[(0, 0.4), (0.4, 0.38)], [(0, 0.62), (0.4, 0.6)]],
    "/": [[(0.62, -0.16), (0.3, 0.5), (0, 1.18)]],
    "$": [
        [
            (0.5, 0.2),
            (0.2, 0.08),
            (0.04, 0.2),
            (0.1, 0.4),
            (0.42, 0.58),
            (0.5, 0.78),
            (0.3, 0.95),
            (0, 0.82),
        ],
        [(0.29, -0.08), (0.26, 0.5), (0.24, 1.1)],
    ],
    "#": [
        [(0.22, 0.05), (0.1, 0.95)],
        [(0.5, 0.05), (0.38, 0.95)],
        [(0, 0.36), (0.6, 0.32)],
        [(0, 0.68), (0.58, 0.64)],
    ],
}
"""Strokes of what stands around digits, as (x, y) in heights of a digit, from its top left corner."""


class Picture(NamedTuple):
    """A picture, the text written in it (lines separated by a space), and where it is from."""

    image: Image.Image
    text: str
    source: str


def handwriting(folder: Path) -> list[Picture]:
    """Open people's pictures, in a folder with a ``labels.csv`` (path, label, kind, source)."""
    with (folder / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = []
    for row in rows:
        with Image.open(folder / row["path"]) as image:
            upright = ImageOps.exif_transpose(image)
        found.append(Picture(upright, row["label"], f"{row['source']} ({row['kind']})"))
    return found


def stressful(kind: str, count: int, seed: int, pens: stress.Pens) -> list[Picture]:
    """Draw pictures of a kind of `benchmarks.stress`."""
    return [Picture(*drawn, kind) for drawn in stress.pictures(kind, count, seed, pens)]


def cheques(count: int, seed: int, pens: stress.Pens) -> list[Picture]:
    """Draw amounts as on bank cheques, 60 to 160 by 150 to 600 pixels; the text is digits only."""
    return [Picture(*_cheque(np.random.default_rng([seed, k]), pens), "cheque") for k in range(count)]


def schools(count: int, seed: int, files: Sequence[Path] | None = None) -> list[Picture]:
    """Set digits and numbers in fonts that look like handwriting.

    Args:
        count: pictures; the fonts take turns.
        seed: of the pictures.
        files: fonts; None for those of `HANDS` that are installed. If there are none, nothing is drawn.
    """
    if files is None:
        files = sorted((file for file in refusal.fonts() if file.name in HANDS), key=lambda f: f.name)
    if not files:
        return []
    drawn = []
    for number in range(count):
        file = files[number % len(files)]
        image, text = _set(np.random.default_rng([seed, number]), file)
        drawn.append(Picture(image, text, file.stem))
    return drawn


def _cheque(random: Random, pens: stress.Pens) -> tuple[Image.Image, str]:
    height = int(random.integers(60, 161))
    ink, text = _amount(random, pens, height * random.uniform(0.4, 0.72))
    # nothing is wider than 600 pixels, or cropped
    room = (height - 6) / ink.shape[0], 590 / ink.shape[1]
    if min(room) < 1:
        size = [max(1, int(side * min(room))) for side in ink.shape[::-1]]
        small = Image.fromarray(ink).resize((size[0], size[1]), Image.Resampling.BILINEAR)
        ink = np.asarray(small)
    widest = min(600, max(150, int(ink.shape[1] * random.uniform(1.05, 1.9)) + 8))
    canvas = stress.on_canvas(ink, height, widest, random, 0.1)
    paper = _security_paper(height, widest, random)
    if random.random() < 0.6:
        paper *= 1 - _printed(canvas, random)[..., None] * random.uniform(0.3, 0.8, 3)
    pen = np.array([0.1, 0.12, 0.35]) * random.uniform(0, 1.6) + random.uniform(0, 0.15, 3)
    cover = (canvas * random.uniform(0.6, 0.98))[..., None]
    values = paper * (1 - cover) + pen * cover
    values = ndimage.gaussian_filter(values, (random.uniform(0.3, 1.1),) * 2 + (0,))
    values += random.normal(scale=random.uniform(0.003, 0.03), size=values.shape)
    image = Image.fromarray(np.clip(values * 255, 0, 255).astype(np.uint8))
    if random.random() < 0.3:
        image = image.convert("L")
    saved = io.BytesIO()
    image.save(saved, "JPEG", quality=int(random.integers(35, 92)))
    return Image.open(saved).copy(), text


def _amount(random: Random, pens: stress.Pens, tall: float) -> tuple[Array, str]:
    """Write an amount in a row.

    Returns:
        (H, W) coverage in [0, 1], cropped to the ink; and the digits.
    """
    width = max(1.3, tall * random.uniform(0.03, 0.13))
    count = int(random.integers(1, 8))
    gap = (-0.04, 0.0) if random.random() < 0.3 else (0.03, 0.3)
    before = str(random.choice(["", "", "", "$", "#"]))
    after = str(random.choice(["", "", "", "-", "=", ".-", "//"]))
    separator = str(random.choice(["", "", ".", ",", "'", " "]))
    inks = [(_symbol(mark, tall, width, random), mark) for mark in before]
    text = ""
    for number in range(count):
        path, label = pens.pick(random)
        while label == "0" and not number and count > 1:
            path, label = pens.pick(random)
        text += label
        inks.append((stress.stroke(path, width, tall * random.uniform(0.85, 1.1)), "digit"))
        left = count - 1 - number
        if left and left % 3 == 0 and separator == " ":
            inks.append((np.zeros((1, max(1, round(0.2 * tall))), np.float32), " "))
        elif left and left % 3 == 0 and separator:
            inks.append((_symbol(separator, tall, width, random), separator))
    inks += [(_symbol(mark, tall, width, random), mark) for mark in after]
    canvas = np.zeros((round(2.4 * tall), round((len(inks) + 1) * 1.7 * tall)), np.float32)
    edge = 0.2 * tall
    for ink, mark in inks:
        ink = np.pad(ink, 1)
        # symbols include the whole height of a digit, and half of it above and below
        top = round(1.2 * tall - ink.shape[0] / 2 + 0.04 * tall * random.normal())
        near = _touching(canvas, ink, top, edge) + tall * random.uniform(*gap)
        if mark == " ":
            near = edge
        stress.place(canvas, ink, top, near)
        edge = max(edge, near + ink.shape[1] - 2)
    lean, drift = random.uniform(-0.2, 0.35), random.normal(scale=0.025)
    canvas = np.pad(canvas, round(0.7 * tall))
    matrix = np.array([[1, -drift], [lean, 1]])
    middle = np.array(canvas.shape) / 2
    canvas = ndimage.affine_transform(canvas, matrix, middle - matrix @ middle, order=1)
    return _cropped(np.clip(canvas, 0, 1)), text


def _touching(canvas: Array, ink: Array, top: int, edge: float) -> float:
    """Return the left side at which ink touches what is on the canvas, whose right side is ``edge``.

    Parts of a character may be below those of another, but by a third of its size at most.
    """
    part = canvas[top : top + ink.shape[0]] > 0.5
    filled = ink > 0.5
    rows = part.any(1) & filled.any(1)
    least: float = edge - 0.3 * min(ink.shape)
    if not rows.any():
        return max(least, float(edge - 0.1 * ink.shape[0]))
    right = part.shape[1] - part[rows, ::-1].argmax(1)
    touch = float((right - filled[rows].argmax(1)).max())
    return max(touch, least)


def _symbol(mark: str, tall: float, width: float, random: Random) -> Array:
    """Draw a symbol with a pen; twice as tall as a digit, which is in the middle.

    Returns:
        (2 tall, W) coverage in [0, 1].
    """
    fine, pen = 4, width * random.uniform(0.9, 1.2)
    size = tall * random.uniform(0.85, 1.1)
    strokes = SYMBOLS[mark]
    wide = max(x for line in strokes for x, _ in line) * size + 2 * pen
    image = Image.new("L", (round(fine * wide), round(fine * 2 * tall)))
    draw = ImageDraw.Draw(image)
    radius = fine * pen / 2
    for line in strokes:
        shaky = np.array(line) + random.normal(scale=0.012, size=(len(line), 2))
        smooth = ndimage.zoom(
            shaky, (8, 1), order=min(3, len(line) - 1), mode="nearest", grid_mode=False
        )
        for x, y in smooth * size:
            x, y = fine * (x + pen), fine * (y + tall - size / 2)
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
        draw.line([(fine * (x * size + pen), fine * (y * size + tall - size / 2)) for x, y in smooth],
                  fill=255, width=round(2 * radius))  # fmt: skip
    ink = np.asarray(image.reduce(fine), np.float32) / 255
    used = np.flatnonzero(ink.any(0))
    return ink[:, used[0] : used[-1] + 1]


def _cropped(ink: Array) -> Array:
    rows, columns = np.flatnonzero(ink.max(1) > 0.1), np.flatnonzero(ink.max(0) > 0.1)
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _security_paper(height: int, width: int, random: Random) -> Array:
    """Return tinted paper with fine waves, dots and rows of tiny strokes, (H, W, 3) in [0, 1]."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    tint = random.uniform(0.72, 1, 3)
    paper = np.ones((height, width, 3)) * tint * random.uniform(0.85, 1)
    slope = random.normal(scale=0.06, size=(2, 3))
    paper += slope[0] * (x / width - 0.5)[..., None] + slope[1] * (y / height - 0.5)[..., None]
    for _ in range(int(random.integers(1, 4))):
        angle, period = random.uniform(0, np.pi), random.uniform(5, 16)
        along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        bend = random.uniform(2, 14) * np.sin(along / random.uniform(10, 50) + random.uniform(0, 6))
        thin = np.clip(1.4 - np.abs((across + bend) % period - period / 2) * random.uniform(1, 2), 0, 1)
        paper -= thin[..., None] * random.uniform(0, 0.22, 3)
    if random.random() < 0.4:
        step = random.uniform(4, 10)
        dots = np.hypot(x % step - step / 2, (y + x // step % 2 * step / 2) % step - step / 2) < 1.2
        paper -= dots[..., None] * random.uniform(0, 0.25, 3)
    if random.random() < 0.4:
        paper -= _tiny_text(height, width, random)[..., None] * random.uniform(0.05, 0.3, 3)
    return np.clip(paper, 0.3, 1)


def _tiny_text(height: int, width: int, random: Random) -> Array:
    """Return rows of strokes as small as micro-printing, (H, W) in [0, 1]."""
    image = Image.new("L", (width, height))
    draw = ImageDraw.Draw(image)
    gap, tall = int(random.integers(9, 24)), random.uniform(2, 5)
    for top in range(int(random.integers(0, gap)), height, gap):
        left = random.uniform(0, 4)
        while left < width:
            x, y = random.uniform(0, tall, (2, 3))
            draw.line([(left + a, top + b) for a, b in zip(x, y, strict=True)], fill=255)
            left += tall * random.choice([1.0, 1.2, 2.0])
    return np.asarray(image, np.float32) / 255


def _printed(ink: Array, random: Random) -> Array:
    """Return a ruled line under the ink, or a box round it, (H, W) in [0, 1]."""
    height, width = ink.shape
    rows, columns = np.flatnonzero(ink.max(1) > 0.3), np.flatnonzero(ink.max(0) > 0.3)
    thick = random.uniform(1, 2.5)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    low = rows[-1] + height * random.uniform(-0.04, 0.08)
    if random.random() < 0.5:
        return np.asarray(
            (np.abs(y - low) < thick / 2) & (x > random.uniform(0, columns[0])), np.float32
        )
    top = rows[0] * random.uniform(0.1, 0.9)
    bottom = height - 1 - (height - 1 - rows[-1]) * random.uniform(0.1, 0.9)
    left = columns[0] * random.uniform(0.1, 0.9)
    right = width - 1 - (width - 1 - columns[-1]) * random.uniform(0.1, 0.9)
    far = np.maximum(np.maximum(top - y, y - bottom), np.maximum(left - x, x - right))
    return np.asarray(np.abs(far) < thick / 2, np.float32)


def _set(random: Random, file: Path) -> tuple[Image.Image, str]:
    """Set a digit or a number in a font, distort it, and put it on plain or noisy paper."""
    single = random.random() < 0.5
    text = "".join(map(str, random.integers(0, 10, 1 if single else int(random.integers(2, 6)))))
    font = ImageFont.truetype(str(file), 160)
    left, top, right, bottom = (round(value) for value in font.getbbox(text))
    ink = Image.new("L", (right - left + 120, bottom - top + 120))
    ImageDraw.Draw(ink).text((60 - left, 60 - top), text, font=font, fill=255)
    warped = _cropped(_distorted(np.asarray(ink, np.float32) / 255, random))
    if single:
        height = width = int(random.choice([28, 28, 28, 48, 64, 100, 200]))
        scale = random.uniform(0.6, 0.85) * height / max(warped.shape)
    else:
        height = int(random.choice([28, 40, 64, 100]))
        scale = random.uniform(0.6, 0.9) * height / warped.shape[0]
        width = max(height, round(warped.shape[1] * scale * random.uniform(1.1, 1.6)) + 4)
    size = (max(1, round(warped.shape[1] * scale)), max(1, round(warped.shape[0] * scale)))
    small = np.asarray(Image.fromarray(warped).resize(size, Image.Resampling.BOX))
    canvas = stress.on_canvas(small, height, width, random)
    if random.random() < 0.5:
        return stress.plain(canvas, random.random() < 0.5), text
    dark, light = random.uniform(0, 0.3), random.uniform(0.65, 1)
    pen, paper = (dark, light) if random.random() < 0.5 else (light, dark)
    values = canvas * (pen - paper) + paper
    values += random.normal(scale=random.uniform(0, 0.03), size=values.shape)
    return Image.fromarray(np.clip(values * 255, 0, 255).astype(np.uint8)), text


def _distorted(ink: Array, random: Random) -> Array:
    """Apply a random affine and elastic map to (H, W) values."""
    turn, lean = random.uniform(-0.14, 0.14), random.uniform(-0.25, 0.25)
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    matrix = matrix @ np.array([[1, 0], [lean, 1]]) @ np.diag(random.uniform(0.9, 1.15, 2))
    middle = np.array(ink.shape)[:, None, None] / 2
    points = np.mgrid[: ink.shape[0], : ink.shape[1]].astype(np.float32) - middle
    points = np.einsum("ij,jhw->ihw", matrix, points) + middle
    for axis in range(2):
        noise = ndimage.gaussian_filter(random.normal(size=ink.shape), 22)
        points[axis] += noise / noise.std() * random.uniform(1, 5)
    warped: Array = np.clip(ndimage.map_coordinates(ink, points, order=1), 0, 1)
    return warped
