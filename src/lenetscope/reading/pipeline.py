"""Reads the number written in a picture.

The picture is seen in several ways (`strips`), and the network reads each. The probability of a text is
its mean over the views, weighted by how likely each view's own best text is; so a view that makes
no sense, such as the negative of the picture, hardly counts, and views that disagree make it low.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from lenetscope.errors import UsageError
from lenetscope.models.reader import OTHER, PER_POSITION, single
from lenetscope.pictures import open_picture
from lenetscope.reading import ctc
from lenetscope.reading.grey import to_grey
from lenetscope.reading.reader import Recogniser, load_reader
from lenetscope.reading.results import Alternative, Digit, Reading
from lenetscope.reading.settings import SETTINGS
from lenetscope.reading.strips import Strip, View, find_views

Array = npt.NDArray[Any]
Text = tuple[ctc.Labels, ...]
"""The labels of each line."""


def read(
    image: Any,
    *,
    reader: Recogniser | None = None,
    threshold: float | None = None,
    explain: bool = False,
    name: str | None = None,
) -> Reading:
    """Read the number written in a picture.

    Args:
        image: a path, the bytes of a file, an open binary file, a `PIL.Image.Image`, or pixels as an
            array or tensor.
        reader: reads strips; by default the network of the recipe ``reader`` that is installed.
        threshold: score in [0, 1] (`Reading.score`) below which a text is refused; by default the
            reader's own.
        explain: whether to keep the picture and the ways in which it was seen, for `plot_reading`.
        name: of the picture in messages.

    Returns:
        The digits, and the reason not to trust them if there is one.

    Raises:
        ImageError: if it is not a picture, or damaged or too large.
        UsageError: if the threshold is not in [0, 1].
    """
    reader = load_reader() if reader is None else reader
    if threshold is not None and not 0 <= threshold <= 1:
        raise UsageError(f"the threshold must be between 0 and 1, not {threshold}.")
    picture, scale = open_picture(image, name)
    shorter, longer = sorted(picture.size)
    reading = Reading("", 0.0, 0.0, rejected="too narrow for a digit")
    if longer <= SETTINGS.oblong * shorter and not shorter < SETTINGS.narrowest <= longer:
        seen = look(picture, reader)
        reading = _reading(seen, scale, reader.threshold if threshold is None else threshold)
    size = (round(picture.width / scale), round(picture.height / scale))
    if not explain:
        return replace(reading, size=size, views=())
    picture.thumbnail((SETTINGS.look, SETTINGS.look))
    return replace(reading, size=size, picture=np.asarray(picture.convert("L")))


@dataclass(frozen=True)
class Seen:
    """What the network says about one view.

    Attributes:
        view: the strips.
        positions: per strip (12, T) log-probabilities.
        text: the likeliest digits.
        log_likelihood: of these digits.
        log_digitness: log-probability that there are digits and nothing else.
    """

    view: View
    positions: list[Tensor]
    text: Text
    log_likelihood: float
    log_digitness: float

    @property
    def evidence(self) -> float:
        """Log-likelihood per digit, less the view's doubt: how much sense it makes to see it so."""
        return self.per_digit - self.view.doubt

    @property
    def per_digit(self) -> float:
        """Mean log-likelihood per digit."""
        return self.log_likelihood / sum(map(len, self.text))

    def likelihoods(self, texts: Sequence[Text]) -> Array:
        """Return the likelihood of each text in this view."""
        found = np.zeros(len(texts))
        fitting = [k for k, text in enumerate(texts) if len(text) == len(self.positions)]
        if fitting:
            each = [
                ctc.log_likelihoods(p, [texts[k][line] for k in fitting]).numpy()
                for line, p in enumerate(self.positions)
            ]
            found[fitting] = np.exp(np.sum(each, axis=0))
        return found


def look(picture: Image.Image, reader: Recogniser) -> list[Seen]:
    """Return what the network says about the views of a picture, the likeliest first.

    The other kind of ink, and then hairlines, are looked for only while the best text is doubtful.

    Args:
        picture: of mode L or RGB.
        reader: reads strips.
    """
    seen: list[Seen] = []
    picture = to_grey(picture)
    for settings, enough in ((SETTINGS, SETTINGS.sure), (SETTINGS.for_hairlines(), SETTINGS.doubt)):
        each = find_views(picture, settings)
        while not (seen and seen[0].per_digit > enough) and (views := next(each, None)) is not None:
            seen = sorted(seen + _seen(views, reader), key=lambda one: -one.evidence)
    return seen


def _seen(views: Sequence[View], reader: Recogniser) -> list[Seen]:
    positions = iter(reader.positions([strip.pixels for view in views for strip in view.strips]))
    found = []
    for view in views:
        own = [next(positions) for _ in view.strips]
        lines = [tuple(label for label in ctc.best_path(p) if label != OTHER) for p in own]
        kept = [k for k, line in enumerate(lines) if line]
        if not kept:  # the likeliest single digit, if unlikely
            logits = torch.cat([single(p[None])[:, :OTHER] for p in own])  # (lines, 10)
            kept = [int(logits.amax(dim=1).argmax())]
            lines[kept[0]] = (int(logits[kept[0]].argmax()),)
        view = replace(view, strips=[view.strips[k] for k in kept])
        own, text = [own[k] for k in kept], tuple(lines[k] for k in kept)
        likely = sum(float(ctc.log_likelihoods(p, [t])) for p, t in zip(own, text, strict=True))
        found.append(Seen(view, own, text, likely, sum(map(reader.log_digitness, own))))
    return found


def _reading(seen: list[Seen], scale: float, threshold: float) -> Reading:
    if not seen:
        return Reading("", 0.0, 0.0, rejected="blank: there is no ink in the picture")
    weights = _weights(seen)
    texts = list(dict.fromkeys(each.text for each in seen))
    table = np.array([each.likelihoods(texts) for each in seen])  # (views, texts)
    probabilities = weights @ table
    best = int(probabilities.argmax())
    text, confidence = texts[best], float(probabilities[best])
    chosen = next(each for each in seen if each.text == text)
    digits = [
        digit
        for strip, positions, line in zip(chosen.view.strips, chosen.positions, text, strict=True)
        for digit in _digits(strip, positions, line, scale)
    ]
    # of a kind of ink, over all views, however well a text fits: in one a shoe may resemble a digit
    kinds = np.array([max(o.evidence for o in seen if o.view.light == e.view.light) for e in seen])
    plausible = np.exp(kinds - kinds.max() - [each.view.doubt for each in seen])
    digitness = float(np.average([math.exp(each.log_digitness) for each in seen], weights=plausible))
    alternatives = tuple(
        Alternative(each.view.name, _shown(each.text), float(weight), each.view.strips)
        for each, weight in sorted(
            zip(seen, weights, strict=True), key=lambda pair: pair[0] is not chosen
        )
    )
    found = Reading(_shown(text), min(1.0, confidence), digitness, tuple(digits), views=alternatives)
    if found.score >= threshold:
        return found
    reason = f"it may be no number (score {found.score:.3f}, below the threshold of {threshold:g})"
    return replace(found, rejected=reason)


def _weights(seen: list[Seen]) -> Array:
    """Return the weight of each view, by evidence; those of one kind of ink weigh as their best one.

    They resemble each other: that several of them agree is hardly more evidence than one.
    """
    evidence = np.array([each.evidence for each in seen])
    light = np.array([each.view.light for each in seen])
    weights: Array = np.exp(evidence - evidence.max())
    for kind in np.unique(light):
        same = light == kind
        weights[same] *= weights[same].max() / weights[same].sum()
    weights /= weights.sum()
    return weights


def _shown(text: Text) -> str:
    return " ".join("".join(map(str, line)) for line in text)


def _digits(strip: Strip, positions: Tensor, line: ctc.Labels, scale: float) -> list[Digit]:
    """Return the digits of a line, each with its probability if the others are right."""
    found = []
    spans = ctc.align(positions, line)
    for k, (first, last) in enumerate(spans):
        others = [label for label in range(OTHER + 1) if label != line[k]]
        texts = [
            line,
            *((*line[:k], label, *line[k + 1 :]) for label in others),
            line[:k] + line[k + 1 :],
        ]
        likely = ctc.log_likelihoods(positions, texts).softmax(dim=0)
        ranked = sorted(zip(others[:-1], likely[1:-2].tolist(), strict=True), key=lambda pair: -pair[1])
        before = 0 if k == 0 else (spans[k - 1][1] + first) // 2
        after = positions.shape[1] if k + 1 == len(spans) else -(-(last + spans[k + 1][0]) // 2)
        before, after = max(before, first - SETTINGS.reach), min(after, last + SETTINGS.reach)
        columns = slice(PER_POSITION * before, PER_POSITION * after)
        found.append(
            Digit(
                label=str(line[k]),
                probability=float(likely[0]),
                box=_box(strip, columns, scale),
                alternatives=tuple((str(label), p) for label, p in ranked[:3]),
                image=strip.pixels[:, columns],
            )
        )
    return found


def _box(strip: Strip, columns: slice, scale: float) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom, in the picture, of the ink in some columns of a strip."""
    ink = strip.pixels[:, columns] > SETTINGS.inked
    x, y = np.flatnonzero(ink.any(axis=0)), np.flatnonzero(ink.any(axis=1))
    if not len(x):
        x, y = np.array([0, ink.shape[1] - 1]), np.array([0, ink.shape[0] - 1])
    corners = np.array(
        [(columns.start + a, b, 1.0) for a in (x[0], x[-1] + 1) for b in (y[0], y[-1] + 1)]
    )
    across, down = strip.to_picture @ corners.T / scale
    return float(across.min()), float(down.min()), float(across.max()), float(down.max())
