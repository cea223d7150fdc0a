"""The temperature, and the reader at the end of a training."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lenetscope import Architecture, Recipe
from lenetscope.data.dataset import LabelledImages
from lenetscope.data.sources.mnist import read_mnist
from lenetscope.errors import UsageError
from lenetscope.models.reader import BLANK, LineOutputs
from lenetscope.reading import ctc
from lenetscope.reading.reader import FILE, Reader, reader_of
from lenetscope.reading.results import score_of
from lenetscope.reading.training import lines as composing
from lenetscope.reading.training.calibration import (
    _ece,
    fit_lead,
    fit_temperature,
    write_reader,
)
from lenetscope.runs.folder import Run
from lenetscope.runs.writer import RunWriter
from lenetscope.training.losses import LineLoss


def sampled(count: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return true log-probabilities (count, 12, 2 length), and labels drawn from them.

    A character stands at every second position, and nothing new in between.
    """
    right = 1.5 * torch.randn(count, 12, 2 * length)
    right[:, BLANK, ::2], right[:, BLANK, 1::2] = -40, 40
    right = right.log_softmax(dim=1)
    labels = torch.distributions.Categorical(logits=right[:, :, ::2].transpose(1, 2)).sample()
    return right, labels


@pytest.mark.parametrize("temperature", [0.6, 1.0, 2.5])
def test_a_known_temperature_is_found(temperature: float) -> None:
    torch.manual_seed(0)
    lines = []
    for count, length in ((2500, 1), (800, 3)):
        right, labels = sampled(count, length)
        lines.append(((right * temperature).log_softmax(dim=1), labels))
    assert fit_temperature(lines) == pytest.approx(temperature, rel=0.05)


@pytest.mark.parametrize("lead", [0, 2, 3])
def test_a_known_lead_is_found(lead: int) -> None:
    class Early:
        """Says 5 so many positions before the middle of the ink, and blank elsewhere."""

        def positions(self, images: np.ndarray) -> list[torch.Tensor]:
            found = torch.full((len(images), 12, 14), -20.0)
            found[:, BLANK] = 0.0
            for each, image in zip(found, images, strict=True):
                columns = np.flatnonzero(image.any(axis=0))
                place = (columns[0] + columns[-1]) // 4 - lead
                each[5, place], each[BLANK, place] = 0.0, -20.0
            return list(found)

    images = torch.zeros(40, 1, 28, 28, dtype=torch.uint8)
    for number, image in enumerate(images):
        image[0, 4:24, 8 + number % 7 : 12 + number % 9 + number % 7] = 255
    assert fit_lead(Early(), LabelledImages(images, torch.full((40,), 5))) == lead


def test_the_temperature_is_the_likeliest_and_counts_characters_not_widths() -> None:
    torch.manual_seed(1)
    lines = []
    for count, length, sharper in ((30, 1, 3.0), (600, 4, 1.5)):
        right, labels = sampled(count, length)
        labels[0, -1] = -1  # a shorter line
        lines.append(((right * sharper).log_softmax(dim=1), labels))

    def unlikely(temperature: float) -> float:
        total = 0.0
        for positions, labels in lines:
            scaled = (positions / temperature).log_softmax(dim=1)
            loss = LineLoss()(LineOutputs(scaled, scaled), labels)
            total += float(loss) * int((labels >= 0).sum())
        return total

    found = fit_temperature(lines)
    assert unlikely(found) <= min(unlikely(found * 1.05), unlikely(found / 1.05))
    assert found == pytest.approx(1.5, rel=0.08)


def test_the_calibration_error_is_that_of_the_probability_to_be_right() -> None:
    assert _ece([0.9] * 10, [True] * 9 + [False]) == pytest.approx(0, abs=1e-6)
    assert _ece([0.9] * 10, [True] * 5 + [False] * 5) == pytest.approx(0.4, abs=1e-5)
    assert _ece([1.0 + 1e-9, 0.0], [True, False]) == 0


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave 500 images of MNIST to train on and 200 to test."""
    raw = read_mnist()
    train = LabelledImages(raw.train.images[:500], raw.train.labels[:500])
    test = LabelledImages(raw.test.images[:200], raw.test.labels[:200])
    monkeypatch.setattr(composing, "read_mnist", lambda *_: replace(raw, train=train, test=test))


def test_the_end_of_a_training_writes_a_reader_and_facts_that_are_true(
    tmp_path: Path, few: None
) -> None:
    recipe = Recipe.load(
        "reader", epochs=1, warmup=0, batch_size=100, holdout=150, threads=1, device="cpu"
    )
    arch = Architecture.from_recipe(recipe)
    run = arch.start_run(tmp_path / "run")
    arch.train(callbacks=[RunWriter(run)], progress=False)
    with pytest.raises(UsageError, match=FILE):
        reader_of(run)
    state = torch.get_rng_state()
    reader = write_reader(Run.open(tmp_path / "run"))
    assert torch.equal(torch.get_rng_state(), state)
    again = reader_of(run)
    assert isinstance(again, Reader)
    assert (again.temperature, again.lead, again.threshold) == (reader.temperature, reader.lead, 0.5)
    assert (again.mean, again.std) == (tuple(recipe.mean), tuple(recipe.std))
    assert 0.2 < again.temperature < 5
    facts = again.facts
    assert facts["epochs"] == 1
    assert (facts["held out"]["n"], facts["test"]["n"]) == (150, 200)
    assert 0 < facts["lines"]["n"] <= 150 * 3
    for part in ("lines", "held out", "test"):
        assert 0 <= facts[part]["exact"] <= facts[part]["n"]
        assert 0 <= facts[part]["refused"] <= facts[part]["n"]
        assert all(math.isfinite(facts[part][name]) for name in ("ece", "ece_before"))
    # what it states is what the loaded one does
    test = read_mnist().test
    images, labels = test.images[:200, 0].numpy(), test.labels[:200].tolist()
    found = again.positions(images)
    texts = [ctc.best_path(positions) for positions in found]
    right = [text == (label,) for text, label in zip(texts, labels, strict=True)]
    assert sum(right) == facts["test"]["exact"]
    digitness = np.exp([again.log_digitness(positions) for positions in found])
    sure = [float(ctc.log_likelihoods(p, [t]).exp()) for p, t in zip(found, texts, strict=True)]
    scores = [
        score_of(each, p, len(text)) for each, p, text in zip(digitness, sure, texts, strict=True)
    ]
    assert sum(score < again.threshold for score in scores) == facts["test"]["refused"]
    assert _ece(sure, right) == pytest.approx(facts["test"]["ece"], abs=1e-4)
    assert (run.path / FILE).stat().st_size < 2_000_000
