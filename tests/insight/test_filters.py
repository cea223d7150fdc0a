"""Filters of convolutions of every kind: each weight stands where the convolution uses it."""

import numpy as np
import pytest
import torch
from torch import nn

from conftest import SmallCNN
from lenetscope.errors import LayerError
from lenetscope.insight.filters import filters_of

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


def test_what_has_no_filters_is_told() -> None:
    model = nn.Sequential(
        nn.Conv1d(1, 2, 3), nn.Flatten(), nn.ConvTranspose2d(1, 2, 3), nn.LazyConv2d(4, 3)
    )
    with pytest.raises(
        LayerError, match="'1' is a Flatten and has no filters; those .* '0', '2' or '3'"
    ):
        filters_of(model, "1")
    with pytest.raises(LayerError, match="'3' has no weights yet: run the model once"):
        filters_of(model, "3")
    with pytest.raises(LayerError, match="unknown layer 'conv9'"):
        filters_of(SmallCNN(), "conv9")
    with pytest.raises(LayerError, match="unknown layer 'conv\\*'"):
        filters_of(SmallCNN(), "conv*")
