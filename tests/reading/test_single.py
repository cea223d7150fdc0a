"""Networks of single digits read strips of one digit."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import nn

from lenetscope.data.sources.mnist import read_mnist
from lenetscope.errors import UsageError
from lenetscope.reading import ctc, read
from lenetscope.reading.single import SingleDigits, like_mnist


class Tall(nn.Module):
    """Says 1 if the ink is narrow, else 0."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        wide = (images > 0).any(dim=2).sum(dim=2)[:, 0]
        logits = torch.zeros(len(images), 10)
        logits[:, 1] = torch.where(wide < 8, 5.0, 0.0)
        logits[:, 0] = torch.where(wide < 8, 0.0, 5.0)
        return logits


def test_a_strip_is_brought_to_the_format_of_mnist() -> None:
    strip = np.zeros((28, 60), np.uint8)
    strip[4:24, 40:46] = 255
    image = like_mnist(strip)
    rows, columns = np.nonzero(image > 128)
    assert (rows.min(), rows.max()) == (4, 23)
    assert columns.mean() == pytest.approx(13.5, abs=1)
    assert not like_mnist(np.zeros((28, 30), np.uint8)).any()
    digits = read_mnist().train.images[:50, 0].numpy()
    again = np.stack([like_mnist(digit) for digit in digits])
    assert np.abs(again.astype(int) - digits).mean() < 12


def test_the_text_is_one_digit_and_nothing_is_said_of_other_things() -> None:
    reader = SingleDigits(Tall(), (0.5,), (0.5,))
    strip = np.zeros((28, 40), np.uint8)
    strip[4:24, 18:21] = 255
    (positions,) = reader.positions([strip])
    likely = float(np.exp(5) / (np.exp(5) + 9))
    assert ctc.best_path(positions) == (1,)
    assert float(ctc.log_likelihoods(positions, [(1,)]).exp()) == pytest.approx(likely, abs=1e-6)
    assert reader.log_digitness(positions) == 0
    canvas = Image.new("L", (120, 120), 230)
    ImageDraw.Draw(canvas).line((60, 30, 60, 90), 40, 8)
    found = read(canvas, reader=reader)
    assert (found.text, found.confidence) == ("1", pytest.approx(likely, abs=0.03))
    assert (found.digitness, found.score) == (1, found.confidence)
    assert read(canvas, reader=reader, threshold=0.99).rejected is not None


def test_a_network_of_other_images_or_classes_is_refused() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).train()
    SingleDigits(network, (0.5,), (0.5,)).positions([np.zeros((28, 30), np.uint8)])
    assert network.training
    with pytest.raises(UsageError, match="3 classes"):
        SingleDigits(nn.Sequential(nn.Flatten(), nn.Linear(784, 3)), (0.5,), (0.5,))
    with pytest.raises(UsageError, match="does not take 28x28"):
        SingleDigits(nn.Linear(3, 10), (0.5,), (0.5,))


def test_strips_of_other_widths_are_read_together_and_none_is_no_error() -> None:
    reader = SingleDigits(Tall(), (0.5,), (0.5,))
    narrow, wide = np.zeros((28, 30), np.uint8), np.zeros((28, 90), np.uint8)
    narrow[4:24, 14:17] = wide[4:24, 30:60] = 255
    found = reader.positions([narrow, wide, narrow])
    assert [tuple(each.shape) for each in found] == [(12, 15), (12, 45), (12, 15)]
    places = [ctc.align(each, ctc.best_path(each)) for each in found]
    assert places == [[(7, 8)], [(22, 23)], [(7, 8)]]  # where the ink is
    assert [ctc.best_path(each) for each in found] == [(1,), (0,), (1,)]
    assert torch.equal(found[0], found[2])
    assert reader.positions([]) == []


@pytest.mark.parametrize("size", [(300, 100), (90, 90), (28, 28)])
def test_a_picture_without_ink_is_blank_for_it_too(size: tuple[int, int]) -> None:
    reader = SingleDigits(Tall(), (0.5,), (0.5,))
    gradient = np.broadcast_to(np.linspace(120, 140, size[1]), size).astype(np.uint8)
    found = read(gradient, reader=reader)
    assert found.rejected or found.text in "01"
    assert read(np.full(size, 200, np.uint8), reader=reader).rejected is not None
