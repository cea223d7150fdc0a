"""Likelihoods of texts: against an enumeration of all paths."""

import functools
import itertools
import math

import pytest
import torch

from lenetscope.models.reader import BLANK, OTHER, single
from lenetscope.reading import ctc


def random_positions(length: int, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    return (2 * torch.randn(12, length)).log_softmax(dim=0)


def text_of(path: tuple[int, ...]) -> tuple[int, ...]:
    new = [label for k, label in enumerate(path) if k == 0 or label != path[k - 1]]
    return tuple(label for label in new if label != BLANK)


@functools.cache
def all_paths(length: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return each path, and the text that it is read as."""
    return [(path, text_of(path)) for path in itertools.product(range(12), repeat=length)]


def paths(positions: torch.Tensor) -> list[tuple[tuple[int, ...], tuple[int, ...], float]]:
    """Return each path with its text and its probability."""
    every, likely = all_paths(positions.shape[1]), positions.exp().double()
    index = torch.tensor([path for path, _ in every])  # (paths, T)
    probabilities = likely.T[torch.arange(positions.shape[1]), index].prod(dim=1).tolist()
    return [(*pair, p) for pair, p in zip(every, probabilities, strict=True)]


@pytest.mark.parametrize("length", [1, 2, 4])
def test_a_likelihood_is_the_sum_over_all_paths(length: int) -> None:
    positions = random_positions(length)
    texts = [(), (3,), (3, 3), (1, 7), (OTHER,), (1, 2, 3), (5, 5, 5)]
    sums = dict.fromkeys(texts, 0.0)
    for _, text, probability in paths(positions):
        if text in sums:
            sums[text] += probability
    found = ctc.log_likelihoods(positions, texts).exp().tolist()
    assert found == pytest.approx(list(sums.values()), abs=1e-7)
    assert found[-1] == 0  # five times would need blanks between


@pytest.mark.parametrize("length", [1, 2, 3])
def test_digitness_is_the_probability_of_digits_and_nothing_else(length: int) -> None:
    for seed in range(3):
        positions = random_positions(length, seed)
        wanted = sum(p for path, text, p in paths(positions) if text and OTHER not in path)
        assert math.exp(ctc.log_digitness(positions)) == pytest.approx(wanted, rel=1e-5)


def test_digitness_of_what_is_certain() -> None:
    certain = torch.full((12, 5), -40.0)
    for label, wanted in ((BLANK, 0.0), (OTHER, 0.0), (3, 1.0)):
        positions = certain.clone()
        positions[label] = 0
        found = ctc.log_digitness(positions)
        assert math.isfinite(found)
        assert math.exp(found) == pytest.approx(wanted, abs=1e-6)


def test_likelihoods_of_other_lengths_are_found_together() -> None:
    positions = random_positions(40, seed=2)
    texts = [(), (1,), (2,) * 20, (2,) * 21, tuple(range(10)) * 4, tuple(range(10)) * 5]
    together = ctc.log_likelihoods(positions, texts)
    assert together.dtype == torch.float64
    alone = torch.cat([ctc.log_likelihoods(positions, [text]) for text in texts])
    assert torch.allclose(together, alone)
    assert (together == -math.inf).tolist() == [False] * 3 + [True, False, True]
    assert float(together[0]) == pytest.approx(float(positions[BLANK].sum()), rel=1e-6)


def test_likelihoods_have_gradients() -> None:
    logits = torch.randn(12, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x: ctc.log_likelihoods(x.log_softmax(dim=0), [(3, 3), (1, OTHER)]), logits
    )


@pytest.mark.parametrize("text", [(3,), (OTHER,), (1, 7), (4, 4), (1, 2, 1), (1, 2, 3, 4)])
def test_the_alignment_is_the_likeliest_path_of_the_text(text: tuple[int, ...]) -> None:
    for seed in range(3):
        positions = random_positions(4, seed)
        best = max((p, path) for path, read, p in paths(positions) if read == text)[1]
        spans = ctc.align(positions, text)
        drawn = [BLANK] * 4
        for (first, last), label in zip(spans, text, strict=True):
            assert first < last
            drawn[first:last] = [label] * (last - first)
        assert tuple(drawn) == best


def test_a_long_line_is_aligned_in_order() -> None:
    positions, text = random_positions(400, seed=3), tuple(range(10)) * 9 + (9, 9)
    spans = ctc.align(positions, text)
    assert len(spans) == len(text)
    assert all(first < last for first, last in spans)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))
    assert spans[-2][1] < spans[-1][0]  # a blank between two that are alike


def test_the_best_path_collapses_what_repeats() -> None:
    for seed in range(5):
        positions = random_positions(4, seed)
        _, best = max((p, text) for _, text, p in paths(positions))
        assert ctc.best_path(positions) == best
    assert ctc.best_path(torch.eye(12)[[11, 11]].T) == ()
    assert ctc.best_path(torch.eye(12)[[7, 7, 11, 7, OTHER, OTHER, 2]].T) == (7, 7, OTHER, 2)


@pytest.mark.parametrize("length", [1, 2, 6, 420])
def test_one_digit_is_a_line_of_length_one(length: int) -> None:
    positions = torch.stack([random_positions(length, seed) for seed in range(3)])
    logits = single(positions)
    assert logits.shape == (3, 11)
    for each, row in zip(positions, logits, strict=True):
        expected = ctc.log_likelihoods(each, [(digit,) for digit in range(10)]).float()
        assert torch.allclose(row[:10], expected, atol=1e-3)
        assert float(row[10].exp()) == pytest.approx(1 - float(expected.exp().sum()), abs=1e-5)


def test_one_digit_in_a_long_blank_line_is_certain() -> None:
    positions = torch.full((12, 420), -30.0)
    positions[BLANK] = 0
    positions[:, 200] = positions[:, 200].roll(4)  # label 3
    logits = single(positions.log_softmax(dim=0)[None])[0]
    assert logits.isfinite().all()
    assert float(logits[3].exp()) == pytest.approx(1, abs=1e-5)
    assert float(logits[10].exp()) < 1e-5
