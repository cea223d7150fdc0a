"""The installed reader: its predictions and stated results, and that it changes nothing."""

import itertools
import json
import math
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load
from safetensors.torch import save as bytes_of

from lenetscope.data.sources.mnist import read_mnist
from lenetscope.errors import DataError
from lenetscope.evaluation.reliability import reliability
from lenetscope.models.reader import ReaderNet
from lenetscope.reading.reader import USUAL_NONE, Reader, judged, load_reader
from lenetscope.reading.training.mnist_and_others import no_digits

FILE = resources.files("lenetscope.reading") / "weights" / "reader.safetensors"


@pytest.fixture(scope="module")
def test_images() -> tuple[torch.Tensor, torch.Tensor]:
    test = read_mnist().test
    return test.images, test.labels


def test_it_is_small_and_loaded_once() -> None:
    reader = load_reader()
    assert load_reader() is reader
    assert sum(p.numel() for p in reader.model.parameters()) <= 500_000
    assert len(FILE.read_bytes()) < 2_000_000
    assert not any(p.requires_grad for p in reader.model.parameters())


def test_it_classifies_mnist_as_its_metadata_says(test_images) -> None:
    reader = load_reader()
    images, labels = test_images
    judgement = reader.judge(images)
    probabilities, digitness = judgement
    errors = int((probabilities.argmax(1) != labels).sum())
    refused = int((digitness < reader.threshold).sum())
    error = reliability(judgement.with_none, labels).ece
    assert 1 - errors / len(labels) >= 0.994
    assert refused / len(labels) <= 0.01
    assert error <= 0.002
    stated = reader.facts["test"]
    assert stated["n"] == len(labels)
    # another processor rounds differently
    assert errors == pytest.approx(stated["errors"], abs=2)
    assert refused == pytest.approx(stated["refused"], abs=2)
    assert error == pytest.approx(stated["ece"], abs=2e-4)


def test_it_refuses_what_is_not_a_digit() -> None:
    raw = read_mnist().train
    others = no_digits(raw.images[:2000], raw.labels[:2000], fraction=0.02, seed=99)
    reader = load_reader()
    assert (reader.judge(others).digitness < reader.threshold).float().mean() > 0.7
    blank = torch.zeros(1, 1, 28, 28, dtype=torch.uint8)
    assert reader.judge(blank).digitness[0] < reader.threshold


def test_probabilities_are_a_softmax_and_digitness_is_one_minus_none(test_images) -> None:
    reader = load_reader()
    images = test_images[0][:300]
    logits = reader.logits(images)
    with torch.no_grad():
        scaled = (images.float() / 255 - reader.mean[0]) / reader.std[0]
        assert torch.allclose(logits, reader.model(scaled), atol=1e-4)
    softmax = logits.softmax(dim=1)
    probabilities, digitness = reader.judge(images.numpy())
    assert torch.allclose(digitness, 1 - softmax[:, 10], atol=1e-6)
    assert torch.allclose(
        probabilities / probabilities.sum(1, keepdim=True),
        (logits[:, :10] / reader.temperature).softmax(1),
    )
    as_trained = judged(logits, 1.0, none_share=USUAL_NONE)
    assert torch.allclose(as_trained.with_none, softmax, atol=1e-6)
    # by Bayes: if half as many images are "none", the odds are twice as high
    rarer = judged(logits, 1.0, none_share=2 * USUAL_NONE / (1 + USUAL_NONE))
    odds = softmax[:, :10].sum(1) / softmax[:, 10]
    assert torch.allclose(rarer.probabilities.sum(1), 2 * odds / (1 + 2 * odds), atol=1e-5)


def test_judging_changes_nothing_and_the_batch_does_not_matter(test_images) -> None:
    reader = load_reader()
    images = test_images[0][:260]
    modes = [module.training for module in reader.model.modules()]
    before = {name: value.clone() for name, value in reader.model.state_dict().items()}
    state, pixels = torch.get_rng_state(), images.clone()
    together = reader.judge(images)
    with pytest.raises(DataError):
        reader.judge(images.float())
    alone = reader.judge(images[255:256])
    assert torch.allclose(alone.probabilities[0], together.probabilities[255], atol=1e-5)
    assert [module.training for module in reader.model.modules()] == modes
    assert all(torch.equal(before[k], v) for k, v in reader.model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(images, pixels)
    assert reader.judge(images[:0]).probabilities.shape == (0, 10)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((28, 28), np.uint8),
        np.zeros((2, 3, 28, 28), np.uint8),
        np.zeros((2, 1, 28, 27), np.uint8),
        np.zeros((2, 1, 28, 28), np.float32),
    ],
)
def test_images_of_another_shape_or_dtype_are_refused(images: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"uint8 images \(N, 1, 28, 28\), not (u?int|float)"):
        load_reader().judge(images)


def test_a_saved_reader_is_loaded_again(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = ReaderNet()
    model(torch.rand(8, 1, 28, 28))
    state = torch.get_rng_state()
    reader = Reader(model.eval(), (0.1,), (0.3,), 1.5, 0.25, 0.1, {"n": 3})
    reader.save(tmp_path / "r.safetensors")
    again = Reader.load((tmp_path / "r.safetensors").read_bytes(), "r")
    assert torch.equal(torch.get_rng_state(), state)
    assert (again.mean, again.std, again.temperature) == ((0.1,), (0.3,), 1.5)
    assert (again.threshold, again.none_share, again.facts) == (0.25, 0.1, {"n": 3})
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            assert torch.equal(again.model.state_dict()[name], value.half().float())
    images = torch.randint(0, 256, (5, 1, 28, 28), dtype=torch.uint8)
    assert torch.allclose(again.logits(images), reader.logits(images), atol=0.02)


def test_damaged_and_foreign_files_are_refused() -> None:
    whole = FILE.read_bytes()
    for data in (b"", whole[:100], whole[:-7], bytes_of({"a": torch.zeros(1)})):
        with pytest.raises(DataError, match="x is damaged, or not the weights of a reader"):
            Reader.load(data, "x")

    def other(weights: dict[str, torch.Tensor], **changes: object) -> bytes:
        length = int.from_bytes(whole[:8], "little")
        about = json.loads(json.loads(whole[8 : 8 + length])["__metadata__"]["reader"])
        return bytes_of(weights, {"reader": json.dumps(about | changes)})

    with pytest.raises(DataError, match="x is of format 7; this version reads format 1"):
        Reader.load(other({"a": torch.zeros(1)}, format=7), "x")
    with pytest.raises(DataError, match="weights of another network than 'reader'"):
        Reader.load(other({"a": torch.zeros(1)}), "x")
    fields = ("format", "model", "mean", "std", "temperature", "threshold", "none_share", "facts")
    for field, value in itertools.product(fields, (None, "1", [], -5, math.nan, 2**70, ["1"])):
        with pytest.raises(DataError, match=r"x is (damaged, or not|of format)"):
            Reader.load(other({"a": torch.zeros(1)}, **{field: value}), "x")
    spoiled = {name: torch.full_like(value, math.nan) for name, value in load(whole).items()}
    with pytest.raises(DataError, match="x is damaged: it holds infinity or NaN"):
        Reader.load(other(spoiled), "x")
