"""Cuts grey strips, 28 pixels high, out of a picture: the ways in which its lines may be seen.

Every doubtful step makes a view of its own beside the one without it: dark and light ink, the whole
picture as one line, ruled lines left in or out, other ink in the strip left in or out. What each view
is worth is for the network to say (`pipeline`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from lenetscope.reading.lines import Layout, Line, find_layouts, noise_of
from lenetscope.reading.settings import SETTINGS, Settings

Array = npt.NDArray[Any]

HEIGHT = 28
"""Rows of a strip, as the network takes it."""


@dataclass(frozen=True)
class Strip:
    """A line cut out of a picture.

    Attributes:
        pixels: (28, W) uint8, ink light.
        to_picture: (2, 3) affine map from (column, row, 1) to x and y in the picture.
    """

    pixels: Array
    to_picture: Array


@dataclass(frozen=True)
class View:
    """One way to see the lines of a picture.

    Attributes:
        name: what was done.
        strips: one per line, from top to bottom.
        doubt: cost in nats of what was assumed.
        light: whether ink is lighter than paper.
    """

    name: str
    strips: list[Strip]
    doubt: float
    light: bool = False


def find_views(picture: Image.Image, settings: Settings = SETTINGS) -> Iterator[list[View]]:
    """Yield the ways to see a picture's lines: those with the likelier kind of ink, then the others.

    Args:
        picture: of mode L.
        settings: see `Settings`.
    """
    scale = settings.look / max(picture.size)
    if scale > 1:
        scale = max(1.0, min(scale, settings.least / max(picture.size)))
    grey = _resized(picture, scale)
    if np.ptp(grey) < settings.faint:
        return
    for light, window, doubt in polarities(grey, settings):
        ink = flattened(1 - grey if light else grey, window, settings)
        page = _Page(picture, scale, light, settings)
        yield page.views(find_layouts(ink, settings), doubt)


def polarities(grey: Array, settings: Settings = SETTINGS) -> list[tuple[bool, int, float]]:
    """Return whether ink is light, the window that finds its strokes, and the cost of assuming so.

    Strokes are narrow, so that a narrow window finds most of their sharp edges; and the border of a
    picture, like most of it, is paper.

    Args:
        grey: (H, W) in [0, 1].
        settings: see `Settings`.
    """
    step = max(1, round(max(grey.shape) / settings.sketch))
    small = ndimage.uniform_filter(grey, step, mode="nearest")[step // 2 :: step, step // 2 :: step]
    sides = sorted({max(5, round(part * min(small.shape)) | 1) for part in settings.windows})
    edges = np.array([[_edges(small, side, light) for side in sides] for light in (False, True)])
    chosen = (edges >= settings.most * edges.max(axis=1, keepdims=True)).argmax(axis=1)
    first = chosen.min()
    ratio = float(np.clip(np.log((edges[1, first] + 1e-6) / (edges[0, first] + 1e-6)), -2, 2))
    low, high = np.percentile(grey[::2, ::2], (1, 99))
    bright = grey > (low + high) / 2
    rim = np.concatenate([bright[0], bright[-1], bright[:, 0], bright[:, -1]])
    votes = ratio + 2 - 2 * float(rim.mean()) - 2 * float(bright.mean())  # positive if ink is light
    found = []
    for light in (votes > 0, votes <= 0):
        window = round(2.2 * sides[chosen[int(light)]] * step)
        window = min(window, round(0.6 * min(grey.shape)))
        found.append((light, max(5, window), max(0.0, -votes if light else votes)))
    return found


def _edges(grey: Array, window: int, light: bool) -> float:
    """Return how strong the edges of strokes are: the mean squared gradient of what exceeds paper."""
    side = 1 - grey if light else grey
    paper = ndimage.minimum_filter(ndimage.maximum_filter(side, window), window)
    ink = paper - side
    noise = noise_of(ink)
    strong = np.clip(ink - 0.02 - 4 * noise, 0, None)
    down, across = np.diff(strong, axis=0), np.diff(strong, axis=1)
    return (float((down * down).sum()) + float((across * across).sum())) / float(strong.size)


def flattened(grey: Array, window: int, settings: Settings = SETTINGS) -> Array:
    """Return how much darker than its paper each pixel is: 0 for paper, towards 1 for ink.

    The paper is a grey closing (J. Serra, Image Analysis and Mathematical Morphology, 1982): dark
    objects narrower than the window are filled with their surroundings, while the edge of a shadow
    stays and so cancels out.

    Args:
        grey: (H, W) in [0, 1], dark ink.
        window: in pixels.
        settings: see `Settings`.
    """
    ink = 1 - grey / np.maximum(_paper(grey, window), settings.darkest)
    clipped: Array = np.clip(ink - float(np.median(ink[::2, ::2])), 0, 1)
    return clipped


def stretched(ink: Array) -> Array:
    """Stretch greys so that paper is 0 and ink 255, as the lines that the network is trained on."""
    low, high = np.percentile(ink[:, ::2], (10, 99))
    if high - low < 0.05:
        high = low + max(0.05, float(ink.max()) - low)
    pixels: Array = np.rint(np.clip((ink - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    return pixels


@dataclass(frozen=True)
class _Page:
    """A picture with one kind of ink.

    Attributes:
        picture: of mode L.
        scale: of the reduced picture in which lines were found.
        light: whether ink is lighter than paper.
        settings: see `Settings`.
    """

    picture: Image.Image
    scale: float
    light: bool
    settings: Settings

    def views(self, layouts: list[Layout], doubt: float) -> list[View]:
        """Return the ways to see some layouts; ``doubt`` is the cost of this kind of ink."""
        found, use = list[View](), self.settings
        kind = f"{'light' if self.light else 'dark'} ink{use.note}"
        width, height = self.picture.size
        tall = max((line.digit for layout in layouts[:1] for line in layout.lines), default=np.inf)
        tiny = max(width, height) <= use.tiny
        fills = tiny or tall > use.filling * height * self.scale
        if fills and width * HEIGHT < use.longest * height and height < use.upright * width:
            found.append(View(f"{kind}, whole picture", [self._whole()], doubt, self.light))
        for number, layout in enumerate(layouts):
            left_out = layout.lines[0].left_out
            ways: list[tuple[str, float, Array | None, float]] = [("", 1.0, None, 0.0)]
            if left_out > use.clean or layout.rules is not None:
                own = layout.own if layout.rules is None else layout.own & ~layout.rules
                ways.append((", other ink left out", 1.0, own, use.erasing))
            else:
                ways += [(name, size, None, use.resizing) for name, size in use.sizes]
            for name, size, own, cost in ways:
                what = ", digits told from ruled lines" if number else ""
                cost += use.unruling * number + use.cutting * tiny + min(use.worst, left_out)
                strips = [self._cut(line, size, own) for line in layout.lines]
                found.append(View(f"{kind}{what}{name}", strips, doubt + cost, self.light))
        return found

    def _whole(self) -> Strip:
        """Return the whole picture as a strip; one that is narrower than a strip is padded."""
        scale = HEIGHT / self.picture.height
        size = (max(4, round(scale * self.picture.width)), HEIGHT)
        grey = _resized(self.picture, scale, size)
        pixels = stretched(grey if self.light else 1 - grey)
        missing = max(0, HEIGHT - pixels.shape[1])
        pad = (missing // 2, missing - missing // 2)
        edge = round(float(np.median(pixels[:, [0, -1]])))
        pixels = np.pad(pixels, ((0, 0), pad), constant_values=edge)
        back = 1 / scale
        return Strip(pixels, np.array([[back, 0.0, -pad[0] * back], [0.0, back, 0.0]]))

    def _cut(self, line: Line, size: float, own: Array | None) -> Strip:
        """Cut a strip out along a line.

        Args:
            line: in the reduced picture.
            size: by which the digits are larger than usual.
            own: mask of the ink to keep, in the reduced picture; None to keep all.
        """
        use = self.settings
        zoom = size * min(use.digit / line.digit, use.highest / line.height)
        zoom = min(zoom, HEIGHT / line.height)  # pixels of the strip per pixel of the reduced picture
        width = max(HEIGHT, round(line.length * zoom + 2 * use.margin))
        squeezed = min(1.0, use.longest / width)
        width = min(width, use.longest)
        cosine, sine = np.cos(line.angle), np.sin(line.angle)
        turn = np.array([[cosine / squeezed, -sine], [sine / squeezed, cosine]]) / zoom
        shift = np.array(line.centre) - turn @ (width / 2, HEIGHT / 2)
        to_reduced = np.column_stack([turn, shift])
        to_picture = to_reduced / self.scale
        room = round(use.flat * HEIGHT)  # a closing needs to see around the strip
        most = max(1, int((use.finest / (HEIGHT * width)) ** 0.5))
        fine = int(np.clip(round(1 / (zoom * self.scale)), 1, most))
        grey = _sampled(self.picture, to_picture, width, room, fine)
        ink = _ink(1 - grey if self.light else grey, fine, use)[room:-room, room:-room]
        if own is not None:
            mask = Image.fromarray(own.astype(np.uint8) * 255)
            matrix = to_reduced.ravel().tolist()
            kept = mask.transform(
                (width, HEIGHT), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
            )
            ink = ink * np.clip(ndimage.maximum_filter(np.asarray(kept), 3) / 170, 0, 1)
        return Strip(stretched(ink), to_picture)


def _ink(grey: Array, fine: int, settings: Settings) -> Array:
    """Return the ink of a strip; hairlines are widened, because reduction would make them vanish.

    Args:
        grey: (fine * H, fine * W) in [0, 1], dark ink.
        fine: pixels of it per pixel of the strip.
        settings: see `Settings`.
    """
    coarse = _pooled(grey, fine, np.add) / fine**2
    window = round(settings.flat * HEIGHT) | 1
    paper = np.maximum(_paper(coarse, window), settings.darkest)
    ink = 1 - coarse / paper
    if fine > 1:
        sharp = 1 - grey / paper.repeat(fine, axis=0).repeat(fine, axis=1)
        sharp = np.clip(sharp - float(np.median(sharp[::3, ::3])), 0, 1)
        stroke = stroke_width(sharp) / fine
        if 0 < stroke < settings.hairline:
            sharp = np.clip(sharp - settings.noise * noise_of(sharp), 0, 1)
            size = max(1, round(fine * (settings.stroke - stroke)))
            wide = ndimage.maximum_filter(sharp, size)
            ink = _pooled(wide, fine, np.add) / fine**2
    clipped: Array = np.clip(ink - float(np.median(ink[::2, ::2])), 0, 1)
    return clipped


def stroke_width(ink: Array) -> float:
    """Return the mean width of strokes in pixels, twice their area per perimeter; 0 without ink."""
    mask = ink > 0.5 * float(np.percentile(ink[::2, ::2], 99.5))
    if not mask.any() or float(ink.max()) < 0.05:
        return 0.0
    edges = (mask[1:] != mask[:-1]).sum() + (mask[:, 1:] != mask[:, :-1]).sum()
    # the outline of a slanting stroke is counted along both axes, 4 / pi times its length on average
    return float(2 * mask.sum() / max(1, edges * np.pi / 4))


def _paper(grey: Array, window: int) -> Array:
    """Return the grey closing of a slightly smoothed picture, smoothed.

    Blocks of pixels, much smaller than the window, are represented by their lightest.
    """
    calm = ndimage.uniform_filter(grey, 3, mode="nearest")
    step = max(1, window // 8)
    height, width = (-(-side // step) for side in calm.shape)
    room = [(0, height * step - calm.shape[0]), (0, width * step - calm.shape[1])]
    side = round(window / step)
    lightest = _pooled(np.pad(calm, room, mode="edge"), step, np.maximum)
    paper = ndimage.maximum_filter(lightest, side, mode="nearest")
    paper = ndimage.minimum_filter(paper, side, mode="nearest")
    paper = ndimage.uniform_filter(paper, max(1, side // 4), mode="nearest")
    if step == 1:
        return np.asarray(paper)
    size = (width * step, height * step)
    large = Image.fromarray(paper).resize(size, Image.Resampling.BILINEAR)
    return np.asarray(large)[: calm.shape[0], : calm.shape[1]]


def _pooled(values: Array, step: int, combine: np.ufunc) -> Array:
    """Combine blocks of ``step`` x ``step`` values; several times as fast as NumPy's reduction."""
    rows = combine.reduce([values[k::step] for k in range(step)])
    blocks: Array = combine.reduce([rows[:, k::step] for k in range(step)])
    return blocks


def _sampled(picture: Image.Image, matrix: Array, width: int, room: int, fine: int) -> Array:
    """Return the grey of a strip and of ``room`` pixels around it, at ``fine`` times its resolution.

    Beyond the picture is the median grey of the border of the part that is used.
    """
    size = np.array([width + 2 * room, HEIGHT + 2 * room])
    corners = np.array([(x - room, y - room, 1.0) for x in (0, size[0]) for y in (0, size[1])])
    spots = corners @ matrix.T  # (4, 2)
    low = np.clip(np.floor(spots.min(axis=0)) - 2, 0, np.array(picture.size) - 1).astype(int)
    high = np.clip(np.ceil(spots.max(axis=0)) + 2, low + 1, picture.size).astype(int)
    part = picture.crop((*low.tolist(), *high.tolist()))
    factor = int(np.clip(np.hypot(matrix[0, 0], matrix[1, 0]) / fine, 1, min(part.size)))
    if factor > 1:
        part = part.reduce(factor)
    values = _values(part)
    rim = np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])
    to_part = matrix / factor
    to_part[:, 2] -= low / factor + to_part[:, :2] @ (room, room)
    to_part[:, :2] /= fine
    # a border, so that the edge of the picture is not smeared outwards
    framed = Image.fromarray(np.pad(values, 1, constant_values=float(np.median(rim))))
    to_part[:, 2] += 1
    sampled = framed.transform(
        tuple((size * fine).tolist()),
        Image.Transform.AFFINE,
        to_part.ravel().tolist(),
        Image.Resampling.BILINEAR,
        fillcolor=float(np.median(rim)),
    )
    return np.asarray(sampled)


def _resized(picture: Image.Image, scale: float, size: tuple[int, int] | None = None) -> Array:
    """Return the grey of a picture at another scale, (H, W) float32 in [0, 1]."""
    size = size or (max(1, round(scale * picture.width)), max(1, round(scale * picture.height)))
    kind = Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.BILINEAR
    return _values(picture.resize(size, kind, reducing_gap=2.0))


def _values(picture: Image.Image) -> Array:
    values: Array = np.asarray(picture, dtype=np.float32) / 255
    return values
