"""The installed reader: what it says, its stated results, and the file that holds it."""

import dataclasses
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
from lenetscope.models.reader import ReaderNet
from lenetscope.reading import ctc
from lenetscope.reading.reader import FORMAT, Reader, load_reader
from lenetscope.reading.results import score_of

WEIGHTS = resources.files("lenetscope.reading") / "weights" / "reader.safetensors"


def test_it_is_small_and_loaded_once() -> None:
    reader = load_reader()
    assert load_reader() is reader
    assert len(WEIGHTS.read_bytes()) < 2_000_000
    assert not any(p.requires_grad for p in reader.model.parameters())


def test_single_digits_are_read_as_its_metadata_says() -> None:
    reader, test = load_reader(), read_mnist().test
    images, labels = test.images[:, 0].numpy(), test.labels.tolist()
    found = reader.positions(images)
    exact = sum(ctc.best_path(p) == (label,) for p, label in zip(found, labels, strict=True))
    likely = [float(ctc.log_likelihoods(p, [ctc.best_path(p)]).exp()) for p in found]
    refused = sum(
        score_of(math.exp(reader.log_digitness(p)), each, 1) < reader.threshold
        for p, each in zip(found, likely, strict=True)
    )
    stated = reader.facts["test"]
    assert exact / len(labels) >= 0.99
    assert refused / len(labels) <= 0.01
    assert stated["n"] == len(labels)
    # another processor rounds differently
    assert exact == pytest.approx(stated["exact"], abs=3)
    assert refused == pytest.approx(stated["refused"], abs=3)
    assert stated["ece"] < 0.01


def test_positions_are_probabilities_and_the_batch_does_not_matter() -> None:
    reader = load_reader()
    images = list(read_mnist().test.images[:6, 0].numpy())
    strips = [*images[:3], np.concatenate(images, axis=1)]
    before = {name: value.clone() for name, value in reader.model.state_dict().items()}
    state = torch.get_rng_state()
    together = reader.positions(strips)
    assert [tuple(each.shape) for each in together] == [(12, 14)] * 3 + [(12, 84)]
    for strip, each in zip(strips, together, strict=True):
        assert torch.allclose(each.exp().sum(dim=0), torch.ones(each.shape[1]), atol=1e-5)
        assert torch.allclose(reader.positions([strip])[0], each, atol=1e-3)
    assert reader.positions([]) == []
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[k], v) for k, v in reader.model.state_dict().items())
    assert reader.single(images).argmax(dim=1).tolist() == [7, 2, 1, 0, 4, 1]


def test_strips_of_one_width_give_the_same_in_any_batch() -> None:
    reader = load_reader()
    images = read_mnist().test.images[:30, 0].numpy()
    pairs = [np.concatenate([a, b], axis=1) for a, b in itertools.pairwise(images)]
    together = reader.positions(pairs)
    for some in (pairs[:1], pairs[5:12], pairs[::-1]):
        found = reader.positions(some)
        for strip, each in zip(some, found, strict=True):
            number = next(k for k, pair in enumerate(pairs) if pair is strip)
            assert torch.allclose(each.exp(), together[number].exp(), atol=1e-4)
            assert torch.allclose(each, together[number], atol=1e-2, rtol=1e-4)


@pytest.mark.parametrize("width", [1, 28, 31, 32, 33, 61, 100])
def test_strips_are_padded_with_paper_and_every_second_column_is_a_position(width: int) -> None:
    reader = dataclasses.replace(load_reader(), lead=0)
    strip = np.concatenate(list(read_mnist().test.images[:4, 0].numpy()), axis=1)[:, :width]
    (positions,) = reader.positions([strip])
    assert positions.shape == (12, -(-width // 2))
    assert positions.dtype == torch.float32
    padded = np.pad(strip, ((0, 0), (0, -width % 32)))
    with torch.no_grad():
        scaled = (torch.from_numpy(padded)[None, None].float() / 255 - reader.mean[0]) / reader.std[0]
        wanted = reader.model(scaled).positions[0] / reader.temperature
    wanted = wanted.log_softmax(dim=0)[:, : positions.shape[1]]
    assert torch.allclose(positions.exp(), wanted.exp(), atol=1e-4)


def test_labels_are_moved_to_the_middle_of_their_digits() -> None:
    reader, images = load_reader(), read_mnist().test.images[:300, 0].numpy()
    early = dataclasses.replace(reader, lead=0)
    offsets = []
    for image, before, after in zip(
        images, early.positions(images), reader.positions(images), strict=True
    ):
        assert torch.equal(after[:, reader.lead :], before[:, : 14 - reader.lead])
        assert ctc.best_path(after[:, : reader.lead]) == ()
        if len(text := ctc.best_path(after)) == 1:
            ((first, last),) = ctc.align(after, text)
            columns = np.flatnonzero((image > 60).any(axis=0))
            offsets.append(columns[[0, -1]].mean() + 0.5 - (first + last))  # two columns per position
    assert len(offsets) > 290
    assert abs(np.mean(offsets)) < 1
    assert np.std(offsets) < 2.5


def test_the_temperature_makes_positions_less_sure() -> None:
    plain = dataclasses.replace(load_reader(), lead=0)
    strip = np.concatenate(list(read_mnist().test.images[:2, 0].numpy()), axis=1)
    (sure,) = plain.positions([strip])
    (less,) = dataclasses.replace(plain, temperature=3 * plain.temperature).positions([strip])
    assert torch.allclose(less, (sure / 3).log_softmax(dim=0), atol=1e-3)


def test_blank_paper_has_no_digits() -> None:
    reader = load_reader()
    blank = np.zeros((28, 80), np.uint8)
    assert ctc.best_path(reader.positions([blank])[0]) == ()
    assert reader.log_digitness(reader.positions([blank])[0]) < math.log(0.5)


def test_a_strip_of_several_digits_is_a_text() -> None:
    reader, test = load_reader(), read_mnist().test
    images, labels = test.images[:200, 0].numpy(), test.labels[:200].tolist()
    strips = [np.concatenate(list(images[k : k + 5, :, 3:25]), axis=1) for k in range(0, 200, 5)]
    texts = [ctc.best_path(positions) for positions in reader.positions(strips)]
    wanted = [tuple(labels[k : k + 5]) for k in range(0, 200, 5)]
    assert sum(a == b for a, b in zip(texts, wanted, strict=True)) >= 34


def test_a_saved_reader_is_loaded_again(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = ReaderNet()
    model(torch.rand(8, 1, 28, 28))
    state = torch.get_rng_state()
    reader = Reader(model.eval(), (0.1,), (0.3,), 1.5, 2, 0.25, {"n": 3})
    reader.save(tmp_path / "r.safetensors")
    again = Reader.load((tmp_path / "r.safetensors").read_bytes(), "r")
    assert torch.equal(torch.get_rng_state(), state)
    assert (again.mean, again.std, again.temperature) == ((0.1,), (0.3,), 1.5)
    assert (again.lead, again.threshold, again.facts) == (2, 0.25, {"n": 3})
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            assert torch.equal(again.model.state_dict()[name], value.half().float())
    image = np.random.default_rng(0).integers(0, 256, (28, 40), dtype=np.uint8)
    assert torch.allclose(again.positions([image])[0], reader.positions([image])[0], atol=0.05)


def test_damaged_and_foreign_files_are_refused() -> None:
    whole = WEIGHTS.read_bytes()
    for data in (b"", whole[:100], whole[:-7], bytes_of({"a": torch.zeros(1)})):
        with pytest.raises(DataError, match="x is damaged, or not the weights of a reader"):
            Reader.load(data, "x")

    def other(weights: dict[str, torch.Tensor], **changes: object) -> bytes:
        length = int.from_bytes(whole[:8], "little")
        about = json.loads(json.loads(whole[8 : 8 + length])["__metadata__"]["reader"])
        return bytes_of(weights, {"reader": json.dumps(about | changes)})

    def refuse(data: bytes) -> None:
        with pytest.raises(DataError, match=r"^x ") as told:
            Reader.load(data, "x")
        assert "\n" not in str(told.value)

    with pytest.raises(DataError, match=f"x is of format 7; this version reads format {FORMAT}"):
        Reader.load(other({"a": torch.zeros(1)}, format=7), "x")
    with pytest.raises(DataError, match="weights of another network than 'reader'"):
        Reader.load(other({"a": torch.zeros(1)}), "x")
    fields = ("format", "model", "mean", "std", "temperature", "threshold", "facts")
    for field, value in itertools.product(fields, (None, "1", [], -5, math.nan, 2**70, ["1"])):
        with pytest.raises(DataError, match=r"x is (damaged, or not|of format)"):
            Reader.load(other({"a": torch.zeros(1)}, **{field: value}), "x")
    spoiled = {name: torch.full_like(value, math.nan) for name, value in load(whole).items()}
    with pytest.raises(DataError, match="x is damaged: it holds infinity or NaN"):
        Reader.load(other(spoiled), "x")
    weights = load(whole)
    name = next(iter(weights))
    refuse(other({key: value for key, value in weights.items() if key != name}))
    refuse(other(weights | {"more": torch.zeros(3)}))
    refuse(other(weights | {name: weights[name][:-1].clone()}))
    refuse(bytes_of(weights))
    for size in range(0, len(whole), len(whole) // 12):
        refuse(whole[:size])


@pytest.mark.parametrize(
    "header", ["[" * 100_000, json.dumps({"__metadata__": {"reader": "[" * 100_000}})]
)
def test_a_file_of_endlessly_nested_lists_is_refused(header: str) -> None:
    with pytest.raises(DataError, match=r"^x is damaged"):
        Reader.load(len(header).to_bytes(8, "little") + header.encode(), "x")


def test_files_with_random_bytes_are_refused_or_loaded() -> None:
    whole, random = WEIGHTS.read_bytes(), np.random.default_rng(0)
    header, refused = 8 + int.from_bytes(whole[:8], "little"), 0
    for _ in range(100):
        data = bytearray(whole)
        for place in random.integers(0, header, 5):
            data[place] = random.integers(256)
        try:
            Reader.load(bytes(data), "x")
        except DataError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 80
