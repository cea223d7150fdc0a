"""The loss of lines, by hand."""

import math

import pytest
import torch

from lenetscope.models.reader import LineOutputs
from lenetscope.training.losses import LineLoss


def outputs(*lines: list[list[float]]) -> LineOutputs:
    """Return the outputs for probabilities of 3 labels, the last blank, per line and position."""
    positions = torch.tensor(lines).transpose(1, 2).log()  # (N, 3, T)
    return LineOutputs(positions[..., 0], positions)


def test_the_mean_is_over_characters() -> None:
    one = [[0.5, 0.2, 0.3], [0.1, 0.1, 0.8]]
    two = [[0.6, 0.3, 0.1], [0.2, 0.7, 0.1]]
    # "0" on the first line: 00, 0-, -0; "01" on the second: one path only
    first, second = 0.5 * 0.1 + 0.5 * 0.8 + 0.3 * 0.1, 0.6 * 0.7
    loss = LineLoss()(outputs(one, two), torch.tensor([[0, -1], [0, 1]]))
    assert float(loss) == pytest.approx(-(math.log(first) + math.log(second)) / 3, rel=1e-5)


def test_single_characters_empty_lines_and_lines_that_do_not_fit() -> None:
    one = [[0.5, 0.2, 0.3], [0.1, 0.1, 0.8]]
    single = LineLoss()(outputs(one), torch.tensor([1]))
    assert torch.equal(single, LineLoss()(outputs(one), torch.tensor([[1]])))
    empty = LineLoss()(outputs(one), torch.tensor([[-1]]))
    assert float(empty) == pytest.approx(-math.log(0.3 * 0.8), rel=1e-5)
    assert float(LineLoss()(outputs(one), torch.tensor([[1, 1]]))) == 0  # needs a blank between


def test_logits_of_one_character_are_a_classification() -> None:
    logits, labels = torch.randn(5, 11), torch.tensor([0, 3, 10, 9, 1])
    expected = torch.nn.functional.cross_entropy(logits, labels)
    assert torch.equal(LineLoss()(logits, labels), expected)


def test_only_lines_that_fit_have_gradients_and_what_is_padded_does_not_count() -> None:
    raw = torch.randn(3, 4, 5, requires_grad=True)  # three lines of 5 positions, 4 labels
    positions = raw.log_softmax(dim=1)
    lines = LineOutputs(positions[..., 0], positions)
    loss = LineLoss()(lines, torch.tensor([[0, 1, -1, -1, -1], [2, -1, -1, -1, -1], [1, 1, 1, 1, 1]]))
    (gradient,) = torch.autograd.grad(loss, raw)
    assert gradient.isfinite().all()
    assert gradient[:2].abs().sum() > 0.1
    assert not gradient[2].any()
    narrow = LineLoss()(lines, torch.tensor([[0, 1, -1, -1, -1], [2, -1, -1, -1, -1], [-1] * 5]))
    same = LineLoss()(lines, torch.tensor([[0, 1], [2, -1], [-1, -1]]))
    assert torch.equal(narrow, same)


def test_the_loss_is_that_of_the_mean_over_characters_of_several_batches() -> None:
    torch.manual_seed(0)
    positions = torch.randn(6, 12, 9).log_softmax(dim=1)
    labels = torch.randint(0, 11, (6, 3))
    labels[0, 1:] = -1
    labels[3, 2:] = -1

    def loss(part: slice) -> float:
        return float(LineLoss()(LineOutputs(positions[part, :11, 0], positions[part]), labels[part]))

    parts = [slice(0, 2), slice(2, 6)]
    counts = [int((labels[part] >= 0).sum()) for part in parts]
    mean = sum(loss(part) * count for part, count in zip(parts, counts, strict=True)) / sum(counts)
    assert loss(slice(0, 6)) == pytest.approx(mean, rel=1e-5)
