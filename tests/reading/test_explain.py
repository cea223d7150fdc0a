"""The figure of how a number was read, and what each pixel contributes."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import nn

from lenetscope.data.preprocess import Preprocess
from lenetscope.errors import DataError
from lenetscope.plots import style
from lenetscope.reading import Reading, ctc, load_reader, read
from lenetscope.reading.explain import MOST_VIEWS, attribution, plot_reading
from lenetscope.reading.single import SingleDigits


@pytest.fixture(scope="module")
def number() -> Image.Image:
    canvas = Image.new("L", (190, 120), 230)
    ImageDraw.Draw(canvas).line((30, 30, 75, 30, 50, 90), 40, 8)
    ImageDraw.Draw(canvas).line((120, 30, 120, 90), 40, 8)
    return canvas


def test_the_figure_has_the_picture_the_line_and_the_other_views(number: Image.Image) -> None:
    found = read(number, explain=True)
    figure = plot_reading(found, title="a number")
    titles = [ax.get_title() for ax in figure.axes]
    assert figure.get_suptitle() == "a number"
    assert titles[0] == str(found)
    assert "probability of each label along the line" in titles
    assert any(title.startswith("what each pixel contributes") for title in titles)
    labels = [text.get_text() for text in figure.axes[1].texts]
    assert labels == list(found.text) == ["7", "1"]
    for ax, view in zip(figure.axes[4:], found.views[1:], strict=False):
        assert view.text in ax.get_title()
        wrong = view.text != found.text
        assert ax.title.get_color() == (style.WRONG if wrong else style.INK)
    with pytest.raises(DataError, match="explain=True"):
        plot_reading(Reading("", 0.0, 0.0))


def test_a_blank_picture_and_a_network_of_single_digits_have_a_figure(number: Image.Image) -> None:
    blank = read(Image.new("L", (60, 50), 255), explain=True)
    assert len(plot_reading(blank).axes) == 1
    reader = SingleDigits(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), (0.5,), (0.5,))
    found = read(number, reader=reader, explain=True)
    assert len(plot_reading(found, reader).axes) >= 4


def test_two_lines_have_three_rows_each_and_very_many_views_are_cut_off(number: Image.Image) -> None:
    two = Image.new("L", (190, 240), 230)
    two.paste(number, (0, 0))
    two.paste(number, (0, 120))
    found = read(two, explain=True)
    figure = plot_reading(found)
    rest = min(MOST_VIEWS, len(found.views) - 1)
    assert found.text == "71 71"
    assert len(figure.axes) == 1 + 3 * 2 + rest
    strips = [figure.axes[1], figure.axes[4]]
    assert [[text.get_text() for text in ax.texts] for ax in strips] == [["7", "1"]] * 2
    many = dataclasses.replace(found, views=(found.views[0], *[found.views[1]] * 30))
    assert len(plot_reading(many).axes) == 1 + 3 * 2 + MOST_VIEWS
    assert figure.axes[0].get_xlim() == (0, 190)
    assert figure.axes[0].images[0].get_extent() == [0, 190, 240, 0]
    boxes = [line.get_xydata() for line in figure.axes[0].lines]
    assert len(boxes) == len(found.digits) == 4
    assert all(np.ptp(box[:, 1]) == pytest.approx(62, abs=15) for box in boxes)


@pytest.mark.parametrize("text", [None, (7,), (1, 7)])
def test_contributions_add_up_to_the_advantage_over_blank_paper(
    number: Image.Image, text: tuple[int, ...] | None
) -> None:
    reader, found = load_reader(), read(number, explain=True)
    strip = found.views[0].strips[0].pixels
    text = text or tuple(map(int, found.text))
    modes = [module.training for module in reader.model.modules()]
    values = attribution(reader, strip, text)
    assert values.shape == strip.shape
    assert values.dtype == np.float32
    assert [module.training for module in reader.model.modules()] == modes
    assert not any(p.requires_grad or p.grad is not None for p in reader.model.parameters())
    preprocess = Preprocess(reader.mean, reader.std)
    with torch.no_grad():
        here, blank = (
            float(ctc.log_likelihoods(reader.model(preprocess(pixels)).positions[0], [text]))
            for pixels in (torch.from_numpy(strip.copy())[None, None], torch.zeros(1, 1, *strip.shape))
        )
    assert float(values.sum()) == pytest.approx(here - blank, rel=0.12, abs=0.4)  # nats
    assert not values[strip == 0].any()  # blank pixels of the strip are as on blank paper


def test_the_digits_own_ink_speaks_for_it(number: Image.Image) -> None:
    found = read(number, explain=True)
    strip = found.views[0].strips[0].pixels
    values = attribution(load_reader(), strip, tuple(map(int, found.text)))
    inked = values[strip > 128].sum()
    assert inked > 0.5 * values.sum() > 0
