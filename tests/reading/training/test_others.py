"""Things that are not digits."""

import pytest
import torch

from lenetscope.data.sources.mnist import read_mnist
from lenetscope.reading.training import others


@pytest.fixture(scope="module")
def digits() -> tuple[torch.Tensor, torch.Tensor]:
    train = read_mnist().train
    return train.images[:400, 0].float() / 255, train.labels[:400]


KINDS = [others.letters, others.scribbles, others.lattices, others.shapes, others.apart]


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_each_kind_has_ink_and_varies_and_is_the_same_under_a_seed(make, digits) -> None:
    torch.manual_seed(1)
    images = make(60, *digits)
    assert images.shape == (60, 28, 28)
    assert images.isfinite().all()
    assert 0 <= float(images.min()) <= float(images.max()) <= 1 + 1e-5
    assert (images.amax(dim=(1, 2)) > 0.2).float().mean() > 0.9
    assert len({each.numpy().tobytes() for each in images}) > 50
    torch.manual_seed(1)
    assert torch.equal(make(60, *digits), images)
    assert make(1, *digits).shape == (1, 28, 28)


def test_other_things_are_mixed_and_none_is_a_digit_as_it_was(digits) -> None:
    torch.manual_seed(2)
    things = others.others(300, *digits)
    assert things.shape == (300, 28, 28)
    assert (things.amax(dim=(1, 2)) > 0.2).float().mean() > 0.97
    assert things.std(dim=0).mean() > 0.1
    given = {each.numpy().tobytes() for each in digits[0]}
    assert not given & {each.numpy().tobytes() for each in things}


def test_digits_are_taken_apart_unless_they_stay_digits_so() -> None:
    torch.manual_seed(3)
    # 0 and 8 look the same when turned, and a lying 1 is a dash: those are not used
    glyphs = torch.stack([torch.full((28, 28), 0.1 * label) for label in range(10)])
    made = others.apart(400, glyphs, torch.arange(10))
    used = {round(10 * float(value)) for value in made.unique()}
    assert used == {2, 3, 4, 5, 6, 7, 9}
    letters = others.apart(5, glyphs[[0, 1, 8]], torch.tensor([0, 1, 8]))
    assert letters.shape == (5, 28, 28)
    assert letters.amax(dim=(1, 2)).min() > 0.2
