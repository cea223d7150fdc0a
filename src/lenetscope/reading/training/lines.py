"""The augmentation ``lines``: composes lines of several characters from single digits.

A batch of digits becomes fewer lines, each in one hand: with one slant, one size, one pen and one
spacing, from overlapping to wide, on a slope. In some lines digits are drawn as people of other
countries write them, and between the digits stand marks, which are not read, or letters and other
things, which are read as `OTHER`. Then come the paper and the camera (`paper`).

Random numbers are torch's global ones, so that a resumed training draws the same.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from lenetscope.data.augmentations import AUGMENTATIONS
from lenetscope.data.dataset import RawDataset
from lenetscope.data.sources import DATASETS
from lenetscope.data.sources.mnist import read_mnist
from lenetscope.models.reader import OTHER
from lenetscope.reading.training import paper, strokes
from lenetscope.reading.training.drawing import draw, thin, uniform, widen
from lenetscope.reading.training.others import others

HEIGHT, PATCH = 28, 40
"""Height of a line, and width of the frame in which one character is placed, in pixels."""


@dataclass(frozen=True)
class Mixture:
    """How often lines have what; fractions unless said otherwise."""

    lengths: tuple[float, ...] = (0.22, 0.16, 0.14, 0.14, 0.12, 0.09, 0.07, 0.06)
    """of the batches have lines of 1, 2, … characters; per character, so that all lengths count."""
    drawn: float = 0.4
    """of the lines have digits of other hands, half of them all digits, half of them some."""
    flagged: float = 0.5
    """of these hands write a 1 with a long flag, and then mostly a 7 with a bar."""
    marks: float = 0.4
    """of the lines have marks: two in five of these in front, half at the end."""
    between: float = 0.15
    """of the places between have a mark then, in these lines."""
    alone: float = 0.05
    """of the lines of one character, among these, show a mark alone."""
    others: float = 0.1
    """of the lines have letters or other things, in half of their places or in all."""
    single_others: float = 0.2
    """of the lines of one character show something else."""
    pencil: float = 0.1
    """of the lines are redrawn one pixel wide."""
    wide: float = 0.45
    """of the lines have wider or narrower strokes."""
    nested: float = 0.7
    """of the narrow lines have characters that reach over and under each other; else side by side."""
    nested_apart: float = 0.3
    """of the other lines, too, the gaps are between ink in the same rows."""
    over: float = 0.2
    """of the marks reach into the digits beside them."""
    joined: float = 0.12
    """of the lines have characters that the pen joins, half of the neighbours."""


MIXTURE = Mixture()


@DATASETS.register("mnist-lines")
def read_mnist_lines(data_dir: Path | None = None, download: bool = False) -> RawDataset:
    """Read MNIST, to be composed to lines; an eleventh class is for what is not one digit.

    Raises what `data.sources.mnist.mnist_folder` does.
    """
    raw = read_mnist(data_dir, download)
    return replace(raw, classes=(*raw.classes, "none"), name="mnist-lines")


def compose(
    images: Tensor, labels: Tensor, mixture: Mixture = MIXTURE, length: int | None = None
) -> tuple[Tensor, Tensor]:
    """Compose lines of a batch of digits.

    Args:
        images: (B, 1, 28, 28) uint8, light on dark.
        labels: (B,) int64.
        mixture: of what.
        length: characters per line; drawn at random if None.

    Returns:
        Lines (N, 1, 28, W) uint8, with N the digits divided by the characters per line, rounded down;
        and their characters (N, L) int64, without marks and filled up with -1.
    """
    if length is None:
        length = 1 + int(torch.multinomial(torch.tensor(mixture.lengths), 1))
    length = min(length, len(images))
    count = len(images) // length
    glyphs = images[: count * length, 0].float().div(255)  # (N L, 28, 28)
    found = labels[: count * length].clone().reshape(count, length)
    glyphs = _other_hands(glyphs, found, mixture)
    glyphs, found = _other_characters(glyphs, found, mixture)
    glyphs = _pens(glyphs, count, length, mixture)
    canvas = _placed(_patches(glyphs, count, length), found < 0, mixture)
    lines = paper.photographed(canvas)
    order = (found < 0).to(torch.int8).argsort(dim=1, stable=True)  # marks last
    return lines.mul_(255).round_().clamp_(0, 255).to(torch.uint8)[:, None], found.gather(1, order)


AUGMENTATIONS.register("lines")(compose)


def _other_hands(glyphs: Tensor, labels: Tensor, mixture: Mixture) -> Tensor:
    """Redraw digits of some lines as strokes, each line in one hand."""
    count, length = labels.shape
    table = strokes.shapes("digits")
    first = torch.tensor(table.first)
    variants = first[1:] - first[:-1]  # (10,) shapes of each digit
    shape = (torch.rand(count, 10) * variants).long()  # of each digit in each hand
    flagged = torch.rand(count) < mixture.flagged
    ones, sevens = torch.tensor(strokes.FLAGGED_ONES), torch.tensor(strokes.BARRED_SEVENS)
    shape[flagged, 1] = ones[torch.randint(len(ones), (int(flagged.sum()),))]
    barred = flagged & (torch.rand(count) < 0.85)
    shape[barred, 7] = sevens[torch.randint(len(sevens), (int(barred.sum()),))]
    rate = torch.where(torch.rand(count) < 0.5, 1.0, 0.5) * (torch.rand(count) < mixture.drawn)
    chosen = (torch.rand(count, length) < rate[:, None]).flatten().nonzero()[:, 0]
    if not len(chosen):
        return glyphs
    line, digit = chosen // length, labels.flatten()[chosen]
    habit = 0.35 * torch.randn(count, 10, table.points.shape[1], 2)
    hand = habit[line, digit] + 0.22 * torch.randn(len(chosen), table.points.shape[1], 2)
    pen = uniform(count, 0.15, 2.0)[line]
    stretch = torch.stack([uniform(count, 0.45, 0.95), torch.ones(count)], dim=1)[line]
    drawn = strokes.write(first[digit] + shape[line, digit], "digits", hand, pen, stretch)
    return glyphs.index_copy(0, chosen, drawn)


def _other_characters(glyphs: Tensor, labels: Tensor, mixture: Mixture) -> tuple[Tensor, Tensor]:
    """Replace some digits by marks, labelled -1, and some by letters and other things."""
    count, length = labels.shape
    kind = torch.rand(count, length)
    share = torch.where(torch.rand(count) < 0.5, 1.0, 0.5)[:, None]
    odd = mixture.single_others if length == 1 else mixture.others
    strange = (kind < share) & (torch.rand(count, 1) < odd)
    place = torch.arange(length).expand(count, -1)
    before, after = (place == 0) & (length > 1), (place == length - 1) & (length > 1)
    between = mixture.between if length > 1 else mixture.alone
    likely = torch.where(before, 0.4, torch.where(after, 0.5, between))
    marked = (torch.rand(count, length) < likely) & (torch.rand(count, 1) < mixture.marks) & ~strange
    digits = glyphs  # without marks, for others to take apart
    places = marked.flatten().nonzero()[:, 0]
    if len(places):
        kind = torch.where(before, 0, torch.where(after, 2, 1)).flatten()[places]
        glyphs = glyphs.index_copy(0, places, _marks(kind))
    places = strange.flatten().nonzero()[:, 0]
    if len(places):
        glyphs = glyphs.index_copy(0, places, others(len(places), digits, labels.flatten()))
    labels = torch.where(strange, OTHER, torch.where(marked, -1, labels))
    return glyphs, labels


def _marks(kind: Tensor) -> Tensor:
    """Draw points, commas, dashes and the like, which stand before (0), between (1) or after (2)."""
    count, table = len(kind), strokes.shapes("marks")
    first = torch.tensor(table.first)
    which = first[kind] + (torch.rand(count) * (first[1:] - first[:-1])[kind]).long()
    hand = 0.3 * torch.randn(count, table.points.shape[1], 2)
    stretch = torch.stack([uniform(count, 0.5, 1), torch.ones(count)], dim=1)
    stretch = stretch * uniform((count, 1), 0.75, 1.3)
    return strokes.write(which, "marks", hand, uniform(count, 0.2, 1.6), stretch)


def _pens(glyphs: Tensor, count: int, length: int, mixture: Mixture) -> Tensor:
    """Redraw some lines one pixel wide; widen or narrow the strokes of others."""
    fine = (torch.rand(count) < mixture.pencil).repeat_interleave(length).nonzero()[:, 0]
    if len(fine):
        glyphs = glyphs.index_copy(0, fine, thin(glyphs[fine] > 0.4).float())
    amount = uniform(count, -0.7, 1.0) * (torch.rand(count) < mixture.wide)
    glyphs = widen(glyphs, amount.repeat_interleave(length))
    more = torch.rand(count) * (torch.rand(count) < 0.15)
    return widen(glyphs, more.repeat_interleave(length))


def _patches(glyphs: Tensor, count: int, length: int) -> Tensor:
    """Scale, slant and rotate characters, alike within a line but for small differences.

    Returns:
        (N, L, 28, 40), a character in the middle of each patch.
    """
    each = (count, length)
    size = uniform((count, 1), 0.66, 1.22)  # of 20 pixels
    size = torch.where(torch.rand(count, 1) < 0.1, uniform((count, 1), 1.2, 1.4), size)
    uneven = torch.where(torch.rand(count, 1) < 0.12, 0.2, 0.07)
    size = (size * torch.exp(uneven * torch.randn(each))).clamp_max(1.45)
    aspect = torch.exp(0.12 * torch.randn(count, 1) + 0.05 * torch.randn(each))
    slant = uniform((count, 1), -0.35, 0.35) + 0.07 * torch.randn(each)
    tilt = 4 if length > 1 else 8  # degrees: a number is levelled before it is read, a digit is not
    angle = math.radians(tilt) * (torch.randn(count, 1) + torch.randn(each))
    cos, sin = angle.cos() / size, angle.sin() / size
    zero = torch.zeros(each)
    x_of, y_of = PATCH / 28, HEIGHT / 28  # from pixels of the patch to those of the image
    rows = [
        [cos * aspect * x_of, (cos * slant - sin) * y_of, zero],
        [sin * aspect * x_of, (sin * slant + cos) / aspect * y_of, zero],
    ]
    affine = torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2).reshape(-1, 2, 3)
    grid = functional.affine_grid(affine, [count * length, 1, HEIGHT, PATCH], align_corners=False)
    moved = functional.grid_sample(glyphs[:, None], grid, align_corners=False)
    return moved.reshape(count, length, HEIGHT, PATCH)


def _placed(patches: Tensor, marks: Tensor, mixture: Mixture) -> Tensor:
    """Put the characters of each line beside each other, apart, nested or touching.

    Args:
        patches: (N, L, 28, 40).
        marks: (N, L) bool, whether a character is a mark.
        mixture: says how often.

    Returns:
        (N, 28, W), with some paper around; W is a multiple of 4.
    """
    count, length = patches.shape[:2]
    jitter = (1.5 * torch.randn(count, 1) + 0.9 * torch.randn(count, length)).clamp(-5, 5).round()
    patches = _lowered(patches, jitter.long())
    left, right = _outlines(patches > 0.3)  # (N, L, 28) each
    first, last = left.amin(dim=2), right.amax(dim=2)
    kind = torch.rand(count)
    gap = torch.where(kind < 0.6, uniform(count, 0, 4), uniform(count, 4, 16))
    nested = torch.rand(count) < torch.where(kind < 0.4, mixture.nested, mixture.nested_apart)
    narrow = torch.where(nested, uniform(count, -1, 3), uniform(count, -4, 1))
    gap = torch.where(kind < 0.4, narrow, gap)
    over = uniform((count, length), 2, 11) * (torch.rand(count, length) < mixture.over)
    places = [-first[:, 0]]
    reached = right[:, 0] + places[0][:, None]  # (N, 28), the last ink of each row
    for k in range(1, length):
        before = places[-1] + (first[:, k - 1] + last[:, k - 1]) / 2
        end = places[-1] + last[:, k - 1]
        # where it touches the ink on its left, within a row; but at most half of it below that
        near = (functional.max_pool1d(reached[:, None], 3, 1, 1)[:, 0] - left[:, k]).amax(dim=1)
        half = (last[:, k] - first[:, k]) / 2
        near = torch.maximum(near, end - first[:, k] - half)
        place = torch.where(nested, near, end - first[:, k]) + gap + torch.randn(count)
        # no closer than the network can tell two alike apart
        place = torch.maximum(place, before + 6 - (first[:, k] + last[:, k]) / 2)
        place = place - over[:, k] * (marks[:, k] ^ marks[:, k - 1])
        places.append(place)
        reached = torch.maximum(reached, right[:, k] + place[:, None])
    at = torch.stack(places, dim=1)  # (N, L)
    end = (at + last).amax(dim=1)
    width = -(-max(28, int(end.max()) + 4) // 4) * 4
    x = at + (1 + torch.rand(count) * (width - end - 2))[:, None]
    slope = 0.06 * torch.randn(count, 1)
    drift = (slope * (x + PATCH / 2 - width / 2)).clamp(-5, 5)
    x, drift = x.round(), drift.round()
    lines = torch.zeros(count, HEIGHT, width)
    columns = torch.arange(width)
    for k, patch in enumerate(_lowered(patches, drift.long()).unbind(dim=1)):
        from_x = columns - x[:, k, None].long()  # (N, W)
        inside = (from_x >= 0) & (from_x < PATCH)
        wanted = from_x.clamp(0, PATCH - 1)[:, None].expand(-1, HEIGHT, -1)
        lines = torch.maximum(lines, patch.gather(2, wanted) * inside[:, None])
    some = (torch.rand(count) < mixture.joined).nonzero()[:, 0]
    if length > 1 and len(some):
        joins = _joins(left + x[..., None], right + x[..., None], drift)[some]
        joins[torch.rand(joins.shape[:2]) < 0.5] = math.nan
        drawn = draw(joins, uniform(len(some), 0, 1), HEIGHT, width)
        lines = lines.index_copy(0, some, torch.maximum(lines[some], drawn))
    return lines


def _joins(left: Tensor, right: Tensor, drift: Tensor) -> Tensor:
    """Return segments (N, L - 1, 4) from each character to the next, about level; NaN if far apart.

    Args:
        left: (N, L, 28), first column of ink in each row, see `_outlines`.
        right: (N, L, 28), and the one after the last.
        drift: (N, L), by which the rows are lowered.
    """
    count, length, rows = left.shape
    inked = (left < right).float().flatten(0, 1)
    start = torch.multinomial(inked, 1).reshape(count, length)[:, :-1]
    end = (start + torch.randint(-4, 5, start.shape)).clamp(0, rows - 1)
    from_x = right[:, :-1].gather(2, start[..., None])[..., 0] - 1
    to_x = left[:, 1:].gather(2, end[..., None])[..., 0]
    to_x = torch.where(to_x - from_x > 14, math.nan, to_x)
    return torch.stack([from_x, start + drift[:, :-1], to_x, end + drift[:, 1:]], dim=2)


def _lowered(patches: Tensor, rows: Tensor) -> Tensor:
    """Move patches (N, L, 28, 40) down by whole rows (N, L), but not so far that ink is cut off."""
    inked = (patches > 0.3).any(dim=3).to(torch.uint8)
    top, bottom = inked.argmax(dim=2), inked.flip(2).argmax(dim=2)
    rows = torch.minimum(torch.maximum(rows, -top), bottom)
    wanted = torch.arange(HEIGHT) - rows[..., None]  # (N, L, 28)
    inside = (wanted >= 0) & (wanted < HEIGHT)
    wanted = wanted.clamp(0, HEIGHT - 1)[..., None].expand(-1, -1, -1, patches.shape[3])
    moved: Tensor = patches.gather(2, wanted) * inside[..., None]
    return moved


def _outlines(inked: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first column of ink in each row (N, L, 28), and the one after the last.

    Rows without ink have columns that are far from all others.
    """
    some = inked.any(dim=3)
    some |= ~some.any(dim=2, keepdim=True)  # a character without ink takes the whole patch
    first = inked.to(torch.uint8).argmax(dim=3).float()
    last = PATCH - inked.flip(3).to(torch.uint8).argmax(dim=3).float()
    return torch.where(some, first, 1e3), torch.where(some, last, -1e3)
