"""Images that do not show digits: their number, their reproducibility and what they are made of."""

import pytest
import torch

from lenetscope import Recipe
from lenetscope.data.sources.mnist import read_mnist
from lenetscope.data.splits import load
from lenetscope.reading.training.crowds import crowds
from lenetscope.reading.training.letters import STROKES, write
from lenetscope.reading.training.mnist_and_others import (
    KINDS,
    NONE,
    no_digits,
    quarters,
    read_mnist_and_others,
    turned,
)
from lenetscope.reading.training.ones import flagged_ones


@pytest.fixture(scope="module")
def train() -> tuple[torch.Tensor, torch.Tensor]:
    raw = read_mnist().train
    return raw.images[:500], raw.labels[:500]


def test_the_images_are_reproducible_and_the_global_random_stream_is_not_changed(train) -> None:
    state = torch.get_rng_state()
    first = no_digits(*train, fraction=0.01)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(12)
    assert torch.equal(no_digits(*train, fraction=0.01), first)
    assert not torch.equal(no_digits(*train, fraction=0.01, seed=1), first)
    assert first.shape == (sum(max(1, round(0.01 * n)) for n in KINDS.values()), 1, 28, 28)
    assert first.dtype == torch.uint8


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_each_kind_makes_the_requested_number(make, train) -> None:
    torch.manual_seed(3)
    digits = train[0][:, 0].float() / 255
    for count in (1, 50):
        pictures = make(count, digits, train[1])
        assert pictures.shape == (count, 28, 28)
        assert pictures.isfinite().all()
    assert len(pictures.flatten(1).unique(dim=0)) > 40
    assert make.__doc__


def test_quarters_are_those_of_a_digit_and_in_another_order() -> None:
    digits = torch.arange(784.0).reshape(1, 28, 28) / 784
    torch.manual_seed(0)
    for picture in quarters(20, digits, torch.tensor([5])):
        assert torch.equal(picture.flatten().sort().values, digits.flatten())
        assert not torch.equal(picture, digits[0])
        corner = picture[:14, :14]
        starts = [digits[0, y : y + 14, x : x + 14] for y in (0, 14) for x in (0, 14)]
        assert any(torch.equal(corner, start) for start in starts)


def test_digits_that_stay_digits_when_turned_are_left_out() -> None:
    digits = torch.arange(10.0)[:, None, None].expand(10, 28, 28) / 10
    torch.manual_seed(0)
    values = (turned(400, digits, torch.arange(10)).amax((1, 2)) * 10).round().int()
    assert set(values[:200].tolist()) == {2, 3, 4, 5, 6, 7, 9}
    assert set(values[200:].tolist()) == {3, 4, 7}


def test_every_sign_is_drawn_within_the_frame() -> None:
    torch.manual_seed(1)
    for name in STROKES:
        pictures = write(name, 20)
        assert pictures.shape == (20, 28, 28)
        ink = pictures.sum((1, 2))
        assert (ink > 5).all(), name
        border = ink - pictures[:, 2:-2, 2:-2].sum((1, 2))
        assert border.sum() / ink.sum() < 0.1, name


def test_a_crowd_fills_the_box() -> None:
    train = read_mnist().train
    digits = torch.as_tensor(train.images[:500, 0]).float() / 255
    torch.manual_seed(0)
    pictures = crowds(80, digits, train.labels[:500])
    inked = pictures > 0.25
    sides = torch.stack([inked.any(dim=axis).sum(dim=1) for axis in (1, 2)])  # (2, N)
    assert (sides.amax(dim=0) - 20).abs().max() <= 2
    rows, stacks = sides[:, :54], sides[:, 54:64]
    assert (rows[0] > rows[1]).float().mean() > 0.8
    assert (stacks[1] > stacks[0]).all()
    axis = torch.arange(28) + 0.5
    for pixels in (pictures.sum(1), pictures.sum(2)):
        assert ((pixels * axis).sum(1) / pixels.sum(1) - 14).abs().max() < 0.5


@pytest.mark.slow
def test_the_dataset_is_mnist_and_an_eleventh_class() -> None:
    raw, plain = read_mnist_and_others(), read_mnist()
    total = sum(KINDS.values())
    assert total == 28_000
    assert raw.classes == (*plain.classes, NONE)
    assert torch.equal(raw.train.images[:60_000], plain.train.images)
    assert torch.equal(raw.train.labels[:60_000], plain.train.labels)
    assert raw.train.labels[60_000:].tolist() == [1] * 4000 + [10] * total
    assert torch.equal(raw.test.images, plain.test.images)
    splits = load(Recipe.load("reader"))
    assert len(splits.valid.labels) == 8000
    assert len(splits.train.labels) == 84_000


def test_flags_are_added_at_the_upper_left_of_ones_and_no_ink_is_removed() -> None:
    bar = torch.zeros(3, 1, 28, 28, dtype=torch.uint8)
    bar[1, 0, 4:24, 13:15] = 255
    state = torch.get_rng_state()
    drawn = flagged_ones(bar, torch.tensor([7, 1, 0]), count=200)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(drawn, flagged_ones(bar, torch.tensor([7, 1, 0]), count=200))
    assert (drawn >= bar[1]).all()
    flag = (drawn[:, 0, :19, :12] > 128).flatten(1).any(dim=1)
    assert flag.float().mean() > 0.9
    assert not drawn[:, 0, :19, 17:].any()
    assert not drawn[:, 0, :3].any()
    foot = (drawn[:, 0, 20:, 17:] > 128).flatten(1).any(dim=1).float().mean()
    assert 0.1 < foot < 0.4
