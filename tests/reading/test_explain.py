"""The figure of a reading's steps."""

import numpy as np
import pytest

from lenetscope.errors import DataError
from lenetscope.plots import style
from lenetscope.reading import Reading, Step
from lenetscope.reading.explain import plot_steps


def test_one_row_for_the_picture_and_one_per_digit() -> None:
    image = np.zeros((28, 28), dtype=np.uint8)
    steps = (
        Step("picture", np.ones((30, 40)), image, "3", 0.4, None),
        Step("ink", np.ones((30, 40)), image, "7", 0.9, None),
        Step("box", np.ones((28, 28)), image, "7", 1.0, 0),
    )
    figure = plot_steps(Reading("7", 1.0, steps=steps), "a picture")
    axes = [ax for part in figure.subfigs for ax in part.axes]
    titles = {ax.get_title(): ax.title.get_color() for ax in axes if ax.get_title()}
    assert list(titles) == ["picture", "ink", "3  40 %", "7  90 %", "digit 1: box", "7  >99 %"]
    assert titles["3  40 %"] == style.WRONG
    assert titles["7  90 %"] == style.INK
    assert figure.get_suptitle() == "a picture"
    with pytest.raises(DataError, match="explain=True"):
        plot_steps(Reading("", 0.0))
