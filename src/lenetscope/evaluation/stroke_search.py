"""Strokes that change a prediction, and the search for the smallest: see `questions.counterfactual`.

The search: one correlation with the gradient of the margin, the target's logit minus the largest other
one, scores every stroke of a bank at every place; the best are drawn and tried, and a beam keeps those
that promise the least ink in all. What reaches the target is then mended as long as that saves ink:
strokes are dropped, cut, moved, turned and bent.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from lenetscope.errors import DataError
from lenetscope.evaluation.outputs import require_logits

MARGIN = 0.1
"""By how much the target's logit must exceed all others: more than rounding of pixels changes it."""
CHANGED = 0.5
"""Of what a stroke covers, the part that must change: neither a halo around ink nor a shaved edge."""
LENGTHS = (1.0, 1.8, 3.0, 4.5)
"""Lengths of the strokes that are tried at every place, in widths of the pen; none becomes shorter."""
PRICE = 0.5
"""What a stroke costs beside its ink, in squares of the pen's width: one line rather than two dabs."""
RUBBER = 1.3
"""Width of the strokes that erase, in widths of the pen: what they cross is cut."""
BENDS = (0.0, -1.1, 1.1, -2.4, 2.4)
"""By how many radians they turn on their way."""
ANGLES, POINTS = 8, 7
"""Directions of the strokes on half a turn, and points of the line that stands for an arc."""
TRIED, KEPT, MENDED, VARIANTS = 12, 4, 3, 48
"""Strokes of a length that are tried at each step, changes that are pursued, and that are mended, and
how many variants of each of their strokes are tried at once."""
X, Y, ANGLE, LENGTH, BEND, WIDTH, ADDED = range(7)
"""Columns of the tensors that describe strokes: their middle in pixels, direction there in radians,
length in pixels, by how many radians they turn, width in pixels, and 1 for added, 0 for erased."""


@dataclass
class Change:
    """Strokes on an image, and what becomes of it.

    Attributes:
        strokes: (S, 7).
        image: (C, H, W), with all of them.
        ink: (S,) that each changes, in pixels of full ink.
        margin: of the target over the largest other logit.
        cost: what the search makes small.
    """

    strokes: Tensor
    image: Tensor
    ink: Tensor
    margin: float
    cost: float

    @property
    def reached(self) -> bool:
        """Whether the target is predicted, with some certainty."""
        return self.margin >= MARGIN


class StrokeSearch:
    """The search for one image and one target.

    Args:
        model: in evaluation mode.
        image: (C, H, W), on the model's device.
        target: the class to be predicted.
        budget: images that may be given to the model.
        seconds: after which the search ends.
        seed: of the small changes that are tried in the end.

    Attributes:
        tried: images that were given to the model.
        ink: (H, W), how much ink the image has, from 0 to 1.

    Raises:
        DataError: if the image has a single colour.
    """

    def __init__(
        self, model: nn.Module, image: Tensor, target: int, budget: int, seconds: float, seed: int
    ) -> None:
        self.model, self.image, self.target = model, image, target
        self.left, self.tried, self.end = budget, 0, time.monotonic() + seconds
        self.generator = torch.Generator().manual_seed(seed)
        border = torch.cat([image[:, 0], image[:, -1], image[:, :, 0], image[:, :, -1]], dim=1)
        self.paper = border.median(dim=1).values[:, None, None]  # (C, 1, 1)
        distance = (image - self.paper).float().norm(dim=0)  # (H, W)
        self.span = float(distance.max())
        if self.span == 0:
            raise DataError("the image has a single colour: there is nothing to change by strokes.")
        row, left = divmod(int(distance.argmax()), image.shape[2])
        self.colours = torch.stack([self.paper, image[:, row, left, None, None]])  # (2, C, 1, 1)
        self.ink = distance / self.span  # (H, W)
        self.pen = pen_width(self.ink.cpu().numpy())
        self.price = PRICE * self.pen**2
        reach = math.ceil((max(LENGTHS) + RUBBER) * self.pen / 2) + 1
        middle = torch.tensor([reach, reach, *[0] * 5], device=image.device)
        self.banks = [_bank(self.pen, added).to(image.device) for added in (0, 1)]  # (T, 7) each
        self.stamps = [
            stroke_masks(bank + middle, 2 * reach + 1, 2 * reach + 1)[:, None] for bank in self.banks
        ]  # (T, 1, k, k) each
        self.step = max(1, round(self.pen / 3))

    def run(self, most: int) -> Change:
        """Return the cheapest change of so many strokes at most; if none is enough, the nearest."""
        start = self._changes(torch.empty(1, 0, 7, device=self.image.device))[0]
        return start if start.margin >= 0 else self._best(start, most)

    def steps(self, change: Change) -> Tensor:
        """Return the image, and after each stroke, (S+1, C, H, W)."""
        images = [self.image]
        masks = stroke_masks(change.strokes, *self.image.shape[1:]).to(self.image.dtype)
        for mask, added in zip(masks, change.strokes[:, ADDED].long(), strict=True):
            images.append(images[-1] + mask * (self.colours[added] - images[-1]))
        return torch.stack(images)

    @property
    def _goes_on(self) -> bool:
        return self.left > 0 and time.monotonic() < self.end

    def _best(self, start: Change, most: int) -> Change:
        """Add strokes until the target is reached, and return the cheapest change, mended."""
        reached: list[Change] = []
        pursued, nearest = [start], start
        for _ in range(most):
            tried = [each for change in pursued for each in self._with_one_more(change)]
            if not tried:
                break
            nearest = max([nearest, *tried], key=lambda change: change.margin)
            reached += [change for change in tried if change.reached]
            cheapest = min((change.cost for change in reached), default=math.inf)

            def promise(change: Change) -> float:
                gained = change.margin - start.margin
                return change.cost * (MARGIN - start.margin) / gained if gained > 0 else math.inf

            open_ = [c for c in tried if not c.reached and promise(c) < cheapest]
            pursued = self._apart(sorted(open_, key=promise), KEPT)
            if not pursued:
                break
        if not reached:
            return nearest
        best = self._apart(sorted(reached, key=lambda change: change.cost), MENDED)
        return min((self._mended(change) for change in best), key=lambda change: change.cost)

    def _with_one_more(self, change: Change) -> list[Change]:
        """Try the most promising further strokes."""
        if not self._goes_on:
            return []
        image = change.image.clone().requires_grad_()
        margin = self._margins(image[None])[0]
        (slope,) = torch.autograd.grad(margin, image)
        found = []
        for added in (0, 1):
            towards = self.colours[added] - change.image  # (C, H, W)
            fields = torch.stack([(slope * towards).sum(0), self._distance(towards)]).float()
            found.append(self._promising(fields, MARGIN - change.margin, added))
        strokes = torch.cat(found)  # (n, 7)
        before = change.strokes[None].expand(len(strokes), -1, -1)
        return self._changes(torch.cat([before, strokes[:, None]], dim=1))

    def _promising(self, fields: Tensor, need: float, added: int) -> Tensor:
        """Return the strokes that, by the gradient, cost least for what they gain, (n, 7)."""
        height, width = self.image.shape[1:]
        bank, stamps = self.banks[added], self.stamps[added]
        reach = stamps.shape[-1] // 2
        gain, cost = functional.conv2d(fields[:, None], stamps, padding=reach, stride=self.step)
        estimate = (cost + self.price) * (need / gain.clamp(min=1e-9)).clamp(min=1)  # (T, h, w)
        height, width = self.image.shape[1:]
        y = torch.arange(0, height, self.step, device=gain.device)[:, None]  # (h, 1)
        x = torch.arange(0, width, self.step, device=gain.device)  # (w,)
        lines = stroke_lines(bank)[..., None, None]  # (T, P, 2, 1, 1)
        (left, top), (right, bottom) = lines.amin(1).unbind(1), lines.amax(1).unbind(1)
        allowed = (x + left >= 0) & (x + right < width) & (y + top >= 0) & (y + bottom < height)
        allowed &= (cost >= CHANGED * stamps.sum((2, 3), keepdim=True)[:, 0]) & (gain > 0)
        chosen = []
        for rows in torch.arange(len(bank), device=gain.device).view(len(LENGTHS), -1):
            best, which = torch.where(allowed, estimate, math.inf)[rows].min(dim=0)  # (h, w)
            around = -functional.max_pool2d(-best[None], 3, 1, 1)[0]
            best = torch.where(best > around, math.inf, best).flatten()
            places = best.argsort(stable=True)[:TRIED]
            places = places[best[places] < math.inf]
            strokes = bank[rows[which.flatten()[places]]]
            strokes[:, X] = x[places % len(x)].float()
            strokes[:, Y] = y[places // len(x), 0].float()
            chosen.append(strokes)
        return torch.cat(chosen)

    def _mended(self, change: Change) -> Change:
        """Drop, cut, move, turn and bend strokes as long as that saves ink."""
        size, failures = 1.0, 0
        while self._goes_on and failures < 4:
            count = len(change.strokes)
            rest = [torch.cat([change.strokes[:k], change.strokes[k + 1 :]]) for k in range(count)]
            tried = self._changes(torch.stack(rest)) if count > 1 else []
            tried += self._changes(self._varied(change.strokes, size))
            best = min((c for c in tried if c.reached), key=lambda c: c.cost, default=change)
            if best.cost < change.cost - 0.02:
                change, failures = best, 0
            else:
                size, failures = size * 0.6, failures + 1
        return change

    def _varied(self, strokes: Tensor, size: float) -> Tensor:
        """Return strokes (S, 7) of which one is changed a little at random, (n, S, 7)."""
        which = torch.arange(len(strokes), device=strokes.device).repeat_interleave(VARIANTS)
        some = strokes[which]  # (n, 7)
        noise = torch.randn(some.shape, generator=self.generator).to(strokes.device) * size
        noise[::3, LENGTH] = 0  # as long, but elsewhere
        cut = (noise[:, LENGTH].abs() * 0.35 * self.pen).minimum(
            some[:, LENGTH] - LENGTHS[0] * self.pen
        )
        along = cut / 2 * noise[:, ADDED].sign()  # it is cut at one of its ends: the middle moves
        some[:, X] += along * some[:, ANGLE].cos() + noise[:, X] * 0.25 * self.pen
        some[:, Y] += along * some[:, ANGLE].sin() + noise[:, Y] * 0.25 * self.pen
        some[:, ANGLE] += noise[:, ANGLE] * 0.25
        some[:, BEND] = (some[:, BEND] + noise[:, BEND] * 0.3).clamp(min(BENDS), max(BENDS))
        some[:, LENGTH] -= cut
        varied = strokes.repeat(len(which), 1, 1)  # (n, S, 7)
        varied[torch.arange(len(which)), which] = some
        height, width = self.image.shape[1:]
        last = torch.tensor([width - 1, height - 1], device=strokes.device)
        lines = stroke_lines(some)
        return varied[((lines >= 0) & (lines <= last)).all(dim=2).all(dim=1)]

    def _changes(self, strokes: Tensor) -> list[Change]:
        """Draw sets of strokes (n, S, 7) and ask the network; idle strokes are left out."""
        count, many = strokes.shape[:2]
        images = self.image.expand(count, -1, -1, -1)  # (n, C, H, W)
        # most strokes of the sets are the same, and drawn once
        once, which = torch.unique(strokes.flatten(0, 1), dim=0, return_inverse=True)
        masks = stroke_masks(once, *self.image.shape[1:]).to(images.dtype)
        masks = masks[which.view(count, many)]  # (n, S, H, W)
        ink = torch.zeros(count, many, device=strokes.device)
        for k in range(many):
            mask = masks[:, k, None]  # (n, 1, H, W)
            drawn = images + mask * (self.colours[strokes[:, k, ADDED].long()] - images)
            ink[:, k] = self._distance(drawn - images).sum((1, 2))
            images = drawn
        enough = (ink >= CHANGED * masks.sum((2, 3)) - 1e-4).all(dim=1)
        strokes, images, ink = strokes[enough], images[enough], ink[enough]
        if not len(images):
            return []
        with torch.no_grad():
            margins = self._margins(images).tolist()
        costs = (ink.sum(dim=1) + many * self.price).tolist()
        return [Change(*each) for each in zip(strokes, images, ink, margins, costs, strict=True)]

    def _margins(self, images: Tensor) -> Tensor:
        """Return by how much the target's logit exceeds the largest other one, (n,)."""
        self.left, self.tried = self.left - len(images), self.tried + len(images)
        logits = require_logits(self.model(images)).float()  # (n, K)
        others = logits.index_fill(1, torch.tensor([self.target], device=logits.device), -math.inf)
        return logits[:, self.target] - others.amax(dim=1)

    def _distance(self, difference: Tensor) -> Tensor:
        """Return the lengths of differences of colours (…, C, H, W), in that of paper and ink."""
        one = difference.shape[-3] == 1
        lengths = difference.squeeze(-3).abs() if one else torch.linalg.vector_norm(difference, dim=-3)
        return lengths.float() / self.span

    def _apart(self, changes: Sequence[Change], count: int) -> list[Change]:
        """Return the first changes whose last strokes are not nearly the same."""
        chosen: list[Change] = []
        for change in changes:
            last = change.strokes[-1]
            if all(
                each.strokes[-1, ADDED] != last[ADDED]
                or (each.strokes[-1, :2] - last[:2]).norm() > self.pen
                for each in chosen
            ):
                chosen.append(change)
            if len(chosen) == count:
                break
        return chosen


def pen_width(ink: npt.NDArray[np.floating]) -> float:
    """Return the width of a drawing's lines in pixels: twice the median distance from middle to edge.

    It is between a fourteenth and a sixth of the shorter side, also for what is no drawing.

    >>> bar = np.zeros((28, 28))
    >>> bar[10:13, 4:24] = 1
    >>> pen_width(bar)
    3.0

    Args:
        ink: (H, W) from 0 to 1.
    """
    from scipy.ndimage import distance_transform_edt
    from skimage.morphology import skeletonize

    drawn = ink > 0.5
    middle = distance_transform_edt(np.pad(drawn, 1))[1:-1, 1:-1][skeletonize(drawn)]
    side = min(ink.shape)
    return float(np.clip(2 * np.median(middle) - 1, side / 14, side / 6))


def _bank(pen: float, added: int) -> Tensor:
    """Return the strokes that are tried, their middle at (0, 0), (T, 7), of each length as many."""
    width = pen if added else pen * RUBBER
    return torch.tensor(
        [
            (0, 0, math.pi * angle / ANGLES, length * pen, bend, width, added)
            for length in LENGTHS
            for bend in BENDS
            for angle in range(ANGLES)
        ]
    )


def stroke_lines(strokes: Tensor) -> Tensor:
    """Return points along the middles of strokes (S, 7), (S, P, 2)."""
    along = torch.arange(1 - POINTS, POINTS, 2, device=strokes.device)[:-1] + 1  # of the pieces
    heading = strokes[:, ANGLE, None] + strokes[:, BEND, None] * along / (2 * POINTS - 2)  # (S, P-1)
    pieces = torch.stack([heading.cos(), heading.sin()], dim=2)  # (S, P-1, 2)
    points = functional.pad(pieces.cumsum(dim=1), (0, 0, 1, 0))  # (S, P, 2)
    points = points * strokes[:, LENGTH, None, None] / (POINTS - 1)
    return points - points[:, None, POINTS // 2] + strokes[:, None, :2]


def stroke_masks(strokes: Tensor, height: int, width: int) -> Tensor:
    """Return how much strokes (S, 7) cover each pixel, from 0 to 1, (S, H, W)."""
    x = torch.arange(width, device=strokes.device).float()  # (W,)
    y = torch.arange(height, device=strokes.device).float()[:, None]  # (H, 1)
    lines = stroke_lines(strokes)[..., None, None]  # (S, P, 2, 1, 1)
    nearest = torch.full((len(strokes), height, width), math.inf, device=strokes.device)
    for k in range(POINTS - 1):
        x0, y0 = lines[:, k].unbind(1)  # (S, 1, 1)
        dx, dy = (lines[:, k + 1] - lines[:, k]).unbind(1)
        along = ((x - x0) * dx + (y - y0) * dy).div_(dx * dx + dy * dy).clamp_(0, 1)  # (S, H, W)
        distance = (x - x0 - along * dx).square_().add_((y - y0 - along * dy).square_())
        nearest = torch.minimum(nearest, distance)
    return (strokes[:, WIDTH, None, None] / 2 + 0.5 - nearest.sqrt()).clamp(0, 1)
