"""Makes the reader of a finished run of the recipe ``reader``: its weights, temperature and lead.

The temperature is fitted on lines composed of digits that the run held out (C. Guo et al., "On
calibration of modern neural networks", ICML 2017).
"""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from lenetscope.data.dataset import LabelledImages
from lenetscope.data.splits import load
from lenetscope.evaluation.reliability import reliability
from lenetscope.models.reader import OTHER, PER_POSITION, LineOutputs
from lenetscope.reading import ctc
from lenetscope.reading.reader import FILE, Reader
from lenetscope.reading.results import score_of
from lenetscope.reading.single import inked
from lenetscope.reading.training.lines import compose
from lenetscope.runs.folder import Run
from lenetscope.training.losses import LineLoss

Lines = list[tuple[Tensor, Tensor]]
"""Positions (N, 12, T) and characters (N, L) of lines of one width each."""

THRESHOLD = 0.5
"""Score below which a text is refused: it is likelier that a digit is wrong, or is none."""

LENGTHS = (1, 2, 3, 4, 5, 6, 7)
"""Characters of the lines that the temperature is fitted on, as many digits for each."""


def write_reader(run: Run, data_dir: Path | None = None) -> Reader:
    """Fit a run's network, write `reader.FILE` into the run's folder, and return the reader."""
    recipe = run.recipe()
    splits = load(recipe, data_dir or run.data_dir())
    run.require_same_data(splits)
    model = run.load_model()
    for value in model.state_dict().values():  # as it will be loaded
        if value.is_floating_point():
            value.copy_(value.half().float())
    plain = Reader(model, recipe.mean, recipe.std, 1.0, 0, 0.0, {})
    lead = fit_lead(plain, splits.valid)
    lines = _lines(replace(plain, lead=lead), splits.valid, recipe.seed)
    temperature = fit_temperature(lines)
    reader = replace(plain, lead=lead, temperature=temperature)
    single = {"held out": _single(reader, splits.valid), "test": _single(reader, splits.test)}
    facts: dict[str, Any] = {
        "epochs": len(run.history()),
        "seconds": round(sum(row["train_seconds"] for row in run.history())),
        "lines": _figures(lines, temperature),
    }
    facts |= {
        name: _figures([(torch.stack(found), labels[:, None])], 1.0)
        for name, (found, labels) in single.items()
    }
    reader = replace(reader, threshold=THRESHOLD, facts=facts)
    reader.save(run.path / FILE)
    return reader


def fit_lead(reader: Reader, digits: LabelledImages) -> int:
    """Return by how many positions the network says what a digit is before the middle of its ink.

    Connectionist temporal classification does not ask where: any place before the next digit will do.

    Args:
        reader: without a lead.
        digits: single ones.
    """
    images = torch.as_tensor(digits.images[:])[:, 0].numpy()
    early = []
    for image, positions, label in zip(
        images, reader.positions(images), digits.labels.tolist(), strict=True
    ):
        columns = np.flatnonzero(inked(image).any(axis=0))
        ((first, last),) = ctc.align(positions, (label,))
        early.append(columns[[0, -1]].mean() - (PER_POSITION * (first + last) - 1) / 2)  # columns
    return max(0, round(float(np.median(early)) / PER_POSITION))


def fit_temperature(lines: Lines) -> float:
    """Return the temperature by which to divide log-probabilities for the highest likelihood."""
    loss = LineLoss()
    counts = [int((labels >= 0).sum()) for _, labels in lines]

    def unlikely(log_temperature: float) -> float:
        scaled = [(each / math.exp(log_temperature)).log_softmax(dim=1) for each, _ in lines]
        losses = [
            float(loss(LineOutputs(each, each), labels))
            for each, (_, labels) in zip(scaled, lines, strict=True)
        ]
        return float(np.average(losses, weights=counts))

    found = minimize_scalar(unlikely, bounds=(-1.5, 1.5), method="bounded", options={"xatol": 1e-3})
    return math.exp(float(found.x))


def _lines(reader: Reader, digits: LabelledImages, seed: int) -> Lines:
    """Compose lines of digits of every length, and return what the network says along them."""
    found, images = [], torch.as_tensor(digits.images[:])
    for length in LENGTHS:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + length)
            lines, written = compose(images, digits.labels, length=length)
        used = (written != OTHER).all(dim=1) & (written >= 0).any(dim=1)
        found.append((torch.stack(reader.positions(lines[used, 0].numpy())), written[used]))
    return found


def _single(reader: Reader, digits: LabelledImages) -> tuple[list[Tensor], Tensor]:
    return reader.positions(torch.as_tensor(digits.images[:])[:, 0].numpy()), digits.labels


def _figures(lines: Lines, temperature: float) -> dict[str, Any]:
    """Return how many lines there are, how many are read exactly, and so on."""
    right: list[bool] = []
    before, after, refused = list[float](), list[float](), 0
    for positions, labels in lines:
        written = [tuple(label for label in line if label >= 0) for line in labels.tolist()]
        scaled = (positions / temperature).log_softmax(dim=1)
        texts = [ctc.best_path(each) for each in scaled]
        right += [text == line for text, line in zip(texts, written, strict=True)]
        before += ctc.log_likelihoods(positions, texts).exp().tolist()
        likely = ctc.log_likelihoods(scaled, texts).exp().tolist()
        after += likely
        refused += sum(
            score_of(math.exp(ctc.log_digitness(each)), p, len(text)) < THRESHOLD
            for each, p, text in zip(scaled, likely, texts, strict=True)
        )
    counts = {"n": len(right), "exact": sum(right), "refused": refused}
    return counts | {"ece_before": _ece(before, right), "ece": _ece(after, right)}


def _ece(confidence: list[float], right: list[bool]) -> float:
    """Return the calibration error of the probability that a text is right."""
    likely: npt.NDArray[Any] = np.array(confidence).clip(0, 1)
    found = reliability(np.stack([1 - likely, likely], axis=1), np.array(right).astype(int))
    return round(found.ece, 5)
