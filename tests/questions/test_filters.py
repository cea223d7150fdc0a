"""Filters of convolutions of every kind: each weight stands where the convolution uses it."""

import numpy as np
import pytest
import torch
from torch import nn

from conftest import SmallCNN
from lenetscope.errors import DataError, LayerError, UsageError
from lenetscope.plots import style
from lenetscope.questions.filters import filter_pages, filters_of, plot_filters

KINDS = [
    nn.Conv1d(4, 6, 3, groups=2),
    nn.Conv2d(4, 6, (3, 2)),
    nn.Conv2d(4, 8, 3, groups=4),
    nn.Conv3d(2, 3, (2, 3, 4)),
    nn.ConvTranspose1d(4, 6, 3),
    nn.ConvTranspose2d(4, 6, 3, groups=2),
    nn.ConvTranspose3d(2, 4, 2, groups=2),
]


@pytest.mark.parametrize("layer", KINDS, ids=str)
def test_each_weight_is_how_an_input_channel_moves_a_filter(layer: nn.Module) -> None:
    weights = filters_of(nn.Sequential(layer), "0")
    count, per_group = layer.out_channels, layer.in_channels // layer.groups
    assert weights.shape == (count, per_group, *layer.kernel_size)
    assert weights.dtype == np.float32
    transposed = "Transpose" in type(layer).__name__
    with torch.no_grad():
        layer.bias.zero_()
        for filter_number in range(count):
            group = filter_number // (count // layer.groups)
            for channel in range(per_group):
                kernel = torch.from_numpy(weights[filter_number, channel])
                source = torch.zeros(
                    1, layer.in_channels, *(1 if transposed else k for k in kernel.shape)
                )
                # a single spike spreads the kernel; an image like the kernel gives its length
                source[0, group * per_group + channel] = 1.0 if transposed else kernel
                answer = layer(source)[0, filter_number]
                expected = kernel if transposed else (kernel**2).sum()
                assert torch.allclose(answer.squeeze(), expected.squeeze(), atol=1e-5)


def test_half_precision_becomes_float32() -> None:
    weights = filters_of(SmallCNN().bfloat16(), "conv1")
    assert weights.dtype == np.float32
    assert weights.shape == (4, 1, 3, 3)


def test_a_layer_without_filters_is_an_error() -> None:
    model = nn.Sequential(
        nn.Conv1d(1, 2, 3), nn.Flatten(), nn.ConvTranspose2d(1, 2, 3), nn.LazyConv2d(4, 3)
    )
    wanted = "'1' is a Flatten and has no filters; layers that have filters: '0', '2' or '3'"
    with pytest.raises(LayerError, match=wanted):
        filters_of(model, "1")
    with pytest.raises(LayerError, match="'0' is a ReLU and has no filters.$"):
        filters_of(nn.Sequential(nn.ReLU()), "0")
    with pytest.raises(LayerError, match="'3' has no weights yet: run the model once"):
        filters_of(model, "3")
    for name in ("conv9", "conv*"):
        with pytest.raises(LayerError, match="unknown layer"):
            filters_of(SmallCNN(), name)


def test_the_filters_are_a_copy() -> None:
    model = SmallCNN()
    before = model.conv1.weight.detach().clone()
    filters_of(model, "conv1")[:] = 7
    assert torch.equal(model.conv1.weight, before)


def test_nothing_is_left_behind(untouched_by: object) -> None:
    def ask(model: nn.Module, images: torch.Tensor, _labels: object) -> None:
        plot_filters(filters_of(model, "conv1"), "conv1")
        model(images)  # which the question itself does not need

    untouched_by(ask)


@pytest.mark.parametrize(
    ("shape", "pages"),
    [
        ((64, 32, 3, 3), 4),
        ((32, 1, 3, 3), 1),
        ((65, 1, 3, 3), 2),
        ((512, 512, 3, 3), 512),
        ((16, 33, 1, 1), 2),
        ((20, 4, 9), 2),
        ((3, 2, 4, 3, 3), 1),
    ],
)
def test_pages_show_every_weight_once(shape: tuple[int, ...], pages: int) -> None:
    weights = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) + 1
    assert filter_pages(weights) == pages
    drawn = []
    for page in range(min(pages, 20)):
        figure = plot_filters(weights, "conv", page=page)
        width, height = figure.get_size_inches()
        assert width <= 10
        assert height <= style.MAX_SIDE
        picture = figure.axes[0].images[0]
        assert picture.get_clim() == (-weights.max(), weights.max())  # one scale for all pages
        values = np.ma.filled(picture.get_array(), np.nan)
        drawn += values[~np.isnan(values)].tolist()
    assert len(drawn) == len(set(drawn))
    if pages <= 20:
        assert sorted(drawn) == weights.flatten().tolist()


def test_titles_and_ticks_tell_which_filters_are_shown() -> None:
    weights = np.random.default_rng(0).normal(size=(64, 48, 3, 3))
    ax = plot_filters(weights, "conv", page=3).axes[0]
    assert ax.get_title() == "conv: filters 16 to 31 of 64, 3x3, channels 32 to 47 of 48"
    assert [t.get_text() for t in ax.get_yticklabels()][:2] == ["16", "17"]
    assert [t.get_text() for t in ax.get_xticklabels()][:2] == ["32", "33"]
    first = ax.images[0].get_array()[:3, :3]
    assert np.isclose(first, weights[16, 32]).all()
    ax = plot_filters(weights[:, :32], "conv2").axes[0]
    assert ax.get_title() == "conv2: filters 0 to 15 of 64, 3x3, 32 channels"
    ax = plot_filters(weights[:20, :1], "conv1").axes[0]
    assert ax.get_title() == "conv1: 20 filters of 3x3, one channel"
    assert [t.get_text() for t in ax.get_yticklabels()] == ["0", "+8", "+16"]
    ax = plot_filters(np.ones((70, 1, 3, 3)), "conv1", page=1).axes[0]
    assert ax.get_title() == "conv1: filters 64 to 69 of 70, 3x3, one channel"
    assert [t.get_text() for t in ax.get_yticklabels()] == ["64"]
    ax = plot_filters(weights[:8, :2], "conv", groups=4).axes[0]
    assert ax.get_xlabel() == "input channel of the group"
    assert ax.get_title() == "conv: 8 filters of 3x3, 2 channels per group"


def test_a_volume_shows_its_slices_and_a_line_its_strip() -> None:
    weights = np.random.default_rng(0).normal(size=(2, 3, 4, 5, 6))
    ax = plot_filters(weights, "conv").axes[0]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0", "1", "2"]
    assert ax.get_xlabel() == "input channel, 4 slices each"
    assert np.isclose(ax.images[0].get_array()[:5, 7:13], weights[0, 0, 1]).all()
    line = plot_filters(weights[0, :, :, 0], "conv").axes[0].images[0].get_array()
    assert np.isclose(line[0, :6], weights[0, 0, 0, 0]).all()


def test_zero_is_white_and_another_colour_scale_can_be_asked_for() -> None:
    weights = np.random.default_rng(0).normal(size=(8, 3, 7, 7))
    picture = plot_filters(weights, "conv").axes[0].images[0]
    low, high = picture.get_clim()
    assert low == -high == -np.abs(weights).max()
    assert picture.cmap(picture.norm(0.0))[:3] == pytest.approx((1, 1, 1), abs=0.05)
    figure = plot_filters(weights, "conv", cmap="gray", figsize=(3, 2), dpi=50)
    assert figure.axes[0].images[0].get_cmap().name == "gray"
    assert figure.get_size_inches().tolist() == [3, 2]
    assert figure.dpi == 50
    figure.draw_without_rendering()


def test_pages_and_shapes_that_there_are_none_of_are_errors() -> None:
    for page in (-1, 2):
        with pytest.raises(UsageError, match=f"no page {page}: the pages of layer 'conv' are 0 to 1"):
            plot_filters(np.ones((20, 2, 3, 3)), "conv", page=page)
    for shape in ((3, 3), (0, 1, 3, 3), (1,) * 6):
        with pytest.raises(DataError, match="filters are"):
            plot_filters(np.ones(shape), "conv")
