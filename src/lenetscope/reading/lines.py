"""Finds where the lines of a number are in a picture, and how tall their digits are.

Nothing is removed here: ink is told from paper only to find places. Grey strips are then cut out of the
picture (`strips`). Where a ruled line or a frame joins all digits, long straight runs of ink are left
out to find the digits, and both findings are kept.

The threshold is Otsu's, over the pixels that exceed the noise of the paper (N. Otsu, "A threshold
selection method from gray-level histograms", IEEE Trans. SMC 9(1), 1979).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from skimage.filters import apply_hysteresis_threshold, threshold_otsu

from lenetscope.reading.settings import SETTINGS, Settings

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Line:
    """A line of writing, in pixels of the picture that it was found in.

    Attributes:
        centre: x and y of the middle of its ink.
        angle: by which it rises, in radians; y is downwards.
        length: of its ink along the line.
        height: of its ink across the line.
        digit: height of its digits.
        left_out: ink outside of all lines, as a fraction of that of their digits.
    """

    centre: tuple[float, float]
    angle: float
    length: float
    height: float
    digit: float
    left_out: float = 0.0


@dataclass(frozen=True)
class Layout:
    """The lines of a picture, as found in one way.

    Attributes:
        lines: from top to bottom.
        own: (H, W) bool, ink of the digits; None if it is not known.
        rules: (H, W) bool, long straight runs; None if there are none.
    """

    lines: list[Line]
    own: Array | None = None
    rules: Array | None = None


def find_layouts(ink: Array, settings: Settings = SETTINGS) -> list[Layout]:
    """Return the lines of a picture, found in up to three ways; none if there is no ink.

    Args:
        ink: (H, W) in [0, 1], 0 for paper.
        settings: see `Settings`.
    """
    mask = ink_mask(ink, settings)
    if mask is None:
        return []
    found = [_grouped(mask, ink, None, settings)]
    rules = long_runs(mask, settings)
    if rules is not None:
        found.append(_grouped(mask & ~rules, ink, rules, settings))
    return [layout for layout in found if layout.lines]


def ink_mask(ink: Array, settings: Settings = SETTINGS) -> Array | None:
    """Return which pixels are ink, (H, W) bool; None if none are.

    Pixels fainter than the threshold count if they are connected to ink.
    """
    floor = max(settings.faintest, settings.noise * noise_of(ink))
    above = ink[ink > floor]
    if above.size < settings.fewest:
        return None
    threshold = float(threshold_otsu(above)) if np.ptp(above) > 1e-6 else floor
    threshold = min(threshold, 0.6 * float(np.percentile(above, 95)))
    mask: Array = apply_hysteresis_threshold(ink, max(floor, 0.45 * threshold), max(floor, threshold))
    return mask if mask.any() else None


def noise_of(values: Array) -> float:
    """Return the standard deviation of a picture's noise, estimated from differences of near pixels.

    In more than half of all such pairs both are paper or both are ink, so the median is used. They are
    some pixels apart, because the grain of an enlarged or blurred picture is larger than a pixel.
    """
    steps = np.abs(values[::3, 5::2] - values[::3, :-5:2])
    return float(np.median(steps)) / 0.6745 / 2**0.5 if steps.size else 0.0


def long_runs(mask: Array, settings: Settings = SETTINGS) -> Array | None:
    """Return runs of ink along rows or columns that are longer than a stroke, (H, W) bool, or None."""
    found = np.zeros_like(mask)
    for axis in (0, 1):
        length = max(settings.shortest_rule, round(settings.rule * mask.shape[axis]))
        if mask.shape[axis] > length:
            thick = ndimage.maximum_filter1d(mask.view(np.uint8), 3, 1 - axis, mode="constant")
            runs = ndimage.minimum_filter1d(thick, length, axis, mode="constant")
            runs = ndimage.maximum_filter1d(runs, length, axis, mode="constant")
            found |= (runs > 0) & mask
    return found if found.any() and not (mask & ~found).sum() < settings.fewest else None


def _grouped(mask: Array, ink: Array, rules: Array | None, settings: Settings) -> Layout:
    """Group the connected pieces of a mask into lines."""
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    mass = np.bincount(labels.ravel(), ink.ravel(), count + 1)[1:]
    heaviest = np.argsort(-mass)[: settings.most_pieces]
    slices = ndimage.find_objects(labels)
    places = [slices[k] for k in heaviest]  # rows and columns
    boxes = np.array([[x.start, y.start, x.stop, y.stop] for y, x in places], dtype=float)
    size, mass = boxes[:, 2:] - boxes[:, :2], mass[heaviest]
    edge = _at_edge(boxes, size, mask.shape)
    usable = ~edge if (~edge).any() else np.ones(len(edge), dtype=bool)
    tall = float(size[usable].max(axis=1)[mass[usable] >= 0.3 * mass[usable].max()].max())
    if tall < settings.smallest:
        return Layout([])
    big = usable & (size[:, 1] >= settings.part * tall)
    if not big.any():
        big = usable & (size.max(axis=1) >= settings.part * tall)
    numbers = np.flatnonzero(big)
    centres = (boxes[big, :2] + boxes[big, 2:]) / 2
    height = float(np.median(size[big, 1]))
    apart = np.abs(centres[:, None] - centres[None])  # (M, M, 2)
    gaps = np.maximum(boxes[big, None, :2], boxes[None, big, :2]) - np.minimum(
        boxes[big, None, 2:], boxes[None, big, 2:]
    )
    near = (gaps[..., 0] < settings.spacing * height) & (apart[..., 1] <= settings.drift * height)
    level = (-gaps[..., 1] >= 0.35 * np.minimum(size[big, None, 1], size[None, big, 1])) & (
        gaps[..., 0] < 3 * settings.spacing * height
    )
    near = (near & (apart[..., 1] <= 1.2 * apart[..., 0])) | level | ((gaps <= 0).all(axis=2))
    _, groups = connected_components(csr_array(near), directed=False)
    lines, own = list[Line](), np.zeros(count + 1, dtype=bool)
    weights = np.bincount(groups, mass[big])
    highest = np.array([size[numbers[groups == g], 1].max() for g in range(len(weights))])
    for group in np.argsort([centres[groups == g, 1].mean() for g in range(len(weights))]):
        if weights[group] < settings.lightest * weights.max() or highest[group] < 0.4 * highest.max():
            continue
        members = numbers[groups == group]
        line = _line(boxes[members], settings)
        inside = _along(boxes, line, 0.5 * line.digit) & ~edge
        inside[members] = True
        lines.append(_line(boxes[members], settings, boxes[inside]))
        own[heaviest[inside] + 1] = True
    if len(lines) > settings.most_lines:
        largest = np.argsort([-line.length * line.digit for line in lines])[: settings.most_lines]
        lines = [lines[k] for k in sorted(largest)]
    kept = float(mass[own[heaviest + 1]].sum())
    out = float(mass[~own[heaviest + 1]].sum()) / max(kept, 1e-6)
    lines = [Line(e.centre, e.angle, e.length, e.height, e.digit, out) for e in lines]
    return Layout(lines, own[labels], rules)


def _at_edge(boxes: Array, size: Array, shape: tuple[int, ...]) -> Array:
    """Return which pieces reach in from the edge of the picture, or run round it, (M,) bool."""
    height, width = shape
    touching = (
        (boxes[:, 0] <= 0).astype(int)
        + (boxes[:, 2] >= width)
        + (boxes[:, 1] <= 0)
        + (boxes[:, 3] >= height)
    )
    frame = (size[:, 0] > 0.85 * width) & (size[:, 1] > 0.85 * height)
    free = touching == 0
    if not free.any():
        return np.asarray(frame & ~frame.all())
    tall = size[free, 1].max()
    odd = (touching > 1) | (size[:, 1] > 1.8 * tall) | (size[:, 1] < 0.5 * tall)
    return np.asarray(frame | ((touching > 0) & odd & (tall > 0.12 * min(shape))))


def _line(boxes: Array, settings: Settings, extent: Array | None = None) -> Line:
    """Return the line through some digits.

    Args:
        boxes: (M, 4), left, top, right and bottom of its digits.
        settings: see `Settings`.
        extent: (K, 4), boxes of all that belongs to it.
    """
    extent = boxes if extent is None else extent
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    heights = boxes[:, 3] - boxes[:, 1]
    digit, angle = float(np.percentile(heights, 75)), 0.0
    if len(boxes) > 2 and np.ptp(centres[:, 0]) > 1.5 * digit:
        slope, offset = np.polyfit(centres[:, 0], centres[:, 1], 1)
        off = np.abs(centres[:, 1] - slope * centres[:, 0] - offset).max()
        if settings.level < abs(slope) < settings.steepest and off < 0.5 * digit:
            angle = float(np.arctan(slope))
    cosine, sine = np.cos(angle), np.sin(angle)
    middle = (extent[:, :2] + extent[:, 2:]) / 2
    half = (extent[:, 2:] - extent[:, :2]) / 2
    along, across = middle @ (cosine, sine), middle @ (-sine, cosine)
    x = (along - half[:, 0]).min(), (along + half[:, 0]).max()
    y = (across - half[:, 1]).min(), (across + half[:, 1]).max()
    u, v = (x[0] + x[1]) / 2, (y[0] + y[1]) / 2
    centre = (float(u * cosine - v * sine), float(u * sine + v * cosine))
    return Line(centre, angle, float(x[1] - x[0]), float(y[1] - y[0]), digit)


def _along(boxes: Array, line: Line, margin: float) -> Array:
    """Return which pieces are centred on a line or close to it, (M,) bool."""
    x, y = ((boxes[:, :2] + boxes[:, 2:]) / 2 - line.centre).T
    cosine, sine = np.cos(line.angle), np.sin(line.angle)
    along, across = x * cosine + y * sine, y * cosine - x * sine
    fits = np.abs(across) <= line.height / 2
    return np.asarray(fits & (np.abs(along) <= line.length / 2 + margin))
