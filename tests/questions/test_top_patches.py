"""Top-activating patches: against whole recordings, and receptive fields against arithmetic."""

import numpy as np
import pytest
import torch
from matplotlib.patches import Rectangle
from torch import Tensor, nn

from conftest import SmallCNN
from lenetscope.errors import DataError, LayerError, UsageError
from lenetscope.models.lenet import LeNet
from lenetscope.plots import style
from lenetscope.questions.top_patches import (
    TopPatches,
    plot_top_patches,
    receptive_fields,
    top_activating,
)


def test_by_hand() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1))
    images = torch.zeros(3, 1, 4, 5)
    images[0, 0, 1, 2], images[2, 0, 3, 4], images[1, 0, 0, 0] = 5, 7, -2
    found = top_activating(model, images, "0", 2, batch_size=2)
    assert found.values.tolist() == [[7, 5], [2, 0]]
    assert found.images.tolist() == [[2, 0], [1, 0]]  # of the two zeros the first
    assert found.boxes.tolist() == [[[3, 4, 4, 5], [1, 2, 2, 3]], [[0, 0, 1, 1], [0, 0, 1, 1]]]
    assert found.patches(images).flatten(1).tolist() == [[7, 5], [-2, 0]]


@pytest.mark.parametrize("layer", ["conv1", "relu2", "fc1"])
@pytest.mark.parametrize("batch_size", [7, 20])
def test_the_top_are_those_of_a_sort_of_everything(layer: str, batch_size: int) -> None:
    torch.manual_seed(0)
    model, images = LeNet((1, 8, 8)).eval(), torch.rand(20, 1, 8, 8)
    seen = []
    handle = model.get_submodule(layer).register_forward_hook(lambda *a: seen.append(a[2].detach()))
    model(images)
    handle.remove()
    maps = seen[0].flatten(2) if seen[0].ndim > 2 else seen[0][:, :, None]
    found = top_activating(model, images, layer, 3, batch_size=batch_size)
    peaks = maps.max(dim=2).values
    assert torch.allclose(found.values.T, peaks.sort(dim=0, descending=True).values[:3], atol=1e-6)
    for unit, chosen in enumerate(found.images):
        assert torch.allclose(peaks[chosen, unit], found.values[unit], atol=1e-6)


def field(place: int, size: int, layers: list[tuple[int, int, int, int]]) -> tuple[int, int]:
    """Return a receptive field by arithmetic: (kernel, stride, padding, dilation), last layer first."""
    low, high = place, place
    for kernel, stride, padding, dilation in layers:
        low, high = low * stride - padding, high * stride - padding + (kernel - 1) * dilation
    return max(low, 0), min(high + 1, size)


def test_receptive_fields_of_the_reference_network() -> None:
    torch.manual_seed(0)
    model, images = LeNet(), torch.rand(4, 1, 28, 28) * 2 - 1
    conv, pool = (3, 1, 1, 1), (2, 2, 0, 1)
    for layer, chain, side in (
        ("conv1", [conv], 28),
        ("relu1", [pool, conv], 14),
        ("conv2", [conv, pool, conv], 14),
        ("pool2", [pool, conv, pool, conv], 7),
    ):
        places = [0, side - 1, side * (side // 2) + 3, side * side - 1]
        found = receptive_fields(model, images, layer, places)
        for place in places:
            top, bottom = field(place // side, 28, chain)
            left, right = field(place % side, 28, chain)
            assert found[place] == (top, left, bottom, right), layer


def test_receptive_fields_with_strides_dilation_and_a_branch() -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide = nn.Conv2d(3, 4, 3, stride=2, padding=2, dilation=2)
            self.thin = nn.Conv2d(3, 4, 1, stride=2)
            self.sum = nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            x = nn.functional.relu_(x)  # in place, on what it was given
            return self.sum(self.wide(x) + self.thin(x)).mean(dim=(2, 3))

    torch.manual_seed(1)
    images = torch.rand(2, 3, 9, 11)
    before = images.clone()
    found = receptive_fields(Branches(), images - 0.5, "sum", [0, 8])
    assert found[0] == (0, 0, 3, 3)
    assert found[8] == (0, 2, 5, 7)  # row 1, column 2 of maps 5x6
    assert torch.equal(images, before)


def test_a_layer_that_no_pixel_moves_has_the_whole_image_as_its_field() -> None:
    dead = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
    with torch.no_grad():
        dead[0].bias.fill_(-100)
    found = top_activating(dead, torch.rand(3, 1, 6, 6), "1", 1)
    assert found.boxes.tolist() == [[[0, 0, 6, 6]]] * 2
    cut = nn.Sequential(nn.Conv2d(1, 2, 3))
    cut[0].register_forward_hook(lambda _m, _i, out: out.detach())
    assert top_activating(cut, torch.rand(3, 1, 6, 6), "0", 1).boxes.tolist() == [[[0, 0, 6, 6]]] * 2


def test_patches_at_an_edge_stand_where_the_image_does() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, bias=False))
    with torch.no_grad():
        model[0].weight.fill_(1)
    images = torch.zeros(2, 1, 8, 8)
    images[0, 0, 0, 0], images[1, 0, 7, 7] = 9, 1
    # the unit is 9 at rows and columns 0 and 1; the first in reading order is the corner
    patches = top_activating(model, images, "0", 2).patches(images)
    assert patches.shape == (1, 2, 1, 3, 3)
    corner = patches[0, 0, 0]
    assert corner[0].isnan().all()
    assert corner[:, 0].isnan().all()
    assert corner[1:, 1:].tolist() == [[9, 0], [0, 0]]


def test_calls_of_a_reused_layer_vectors_and_sequences() -> None:
    relu = nn.ReLU()
    model = nn.Sequential(nn.Conv2d(1, 2, 1), relu, nn.Flatten(), nn.Linear(18, 3), relu)
    images = torch.rand(5, 1, 3, 3)
    first, second = (top_activating(model, images, name) for name in ("1", "1:1"))
    assert first.values.shape == (2, 5)  # k is more than there are images
    assert second.values.shape == (3, 5)
    assert second.layer == "1:1"
    assert torch.equal(top_activating(model, images, "4:1").values, second.values)
    line = nn.Sequential(nn.Flatten(2), nn.Conv1d(1, 2, 3))
    found = top_activating(line, images, "1", 1)
    assert torch.allclose(found.values[:, 0], line(images).amax(dim=(0, 2)))
    with pytest.raises(LayerError, match="'1:2' does not run"):
        top_activating(model, images, "1:2")


def test_nothing_is_left_behind(untouched_by: object) -> None:
    untouched_by(lambda model, images, labels: top_activating(model, images, "relu1", 2))


def test_what_cannot_be_answered_is_an_error() -> None:
    model, images = SmallCNN(), torch.rand(2, 1, 10, 10)
    with pytest.raises(UsageError, match="k must be at least 1"):
        top_activating(model, images, "conv1", 0)
    for wrong in (torch.rand(2, 3), images[:0], images * torch.nan):
        with pytest.raises(DataError, match="images"):
            top_activating(model, wrong, "conv1")
    with pytest.raises(LayerError, match="did you mean 'conv1'"):
        top_activating(model, images, "conv")
    with pytest.raises(LayerError, match="'conv1' does not run"):
        top_activating(Idle(), images, "conv1")
    with pytest.raises(UsageError, match=r"takes 2 inputs \(x, mask\)"):
        top_activating(Two(), images, "conv1")
    volume = nn.Sequential(nn.Unflatten(1, (1, 1)), nn.Conv3d(1, 1, (1, 3, 3)))
    with pytest.raises(LayerError, match="maps of 3 dimensions"):
        top_activating(volume, images, "1")
    with torch.no_grad():
        model.conv1.bias.fill_(torch.nan)
    with pytest.raises(DataError, match="not numbers"):
        top_activating(model, images, "conv1")


class Two(SmallCNN):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return super().forward(x * mask)


class Idle(SmallCNN):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


def answer(
    units: int, k: int, channels: int = 1, box: tuple[int, ...] = (2, 1, 5, 4)
) -> tuple[TopPatches, np.ndarray]:
    """Return a made-up answer, and 20 images."""
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(units, k, generator=generator).sort(descending=True).values
    images = torch.randint(0, 20, (units, k), generator=generator)
    boxes = torch.tensor(box).expand(units, k, 4)
    pixels = torch.randint(0, 256, (20, channels, 8, 8), generator=generator).to(torch.uint8)
    return TopPatches("conv2", values, images, boxes), pixels.numpy()


def test_images_kernels_and_frames_stand_where_they_belong() -> None:
    found, pixels = answer(10, 3)
    weights = np.random.default_rng(1).normal(size=(10, 6, 3, 3))
    figure = plot_top_patches(found, pixels, weights=weights, labels=range(20), page=1)
    ax = figure.axes[0]
    assert ax.get_title() == "conv2: top-activating patches of units 8 to 9 of 10"
    assert [t.get_text() for t in ax.get_yticklabels()] == ["8", "9"]
    kernels = [i.get_array() for i in ax.images if i.get_array().shape == (3, 3)]
    sizes = np.linalg.norm(weights[8].reshape(6, -1), axis=1)
    strongest = np.argsort(-sizes)[:4]
    assert np.isclose(kernels[:4], weights[8, strongest]).all()
    texts = [t.get_text() for t in ax.texts]
    assert texts[:4] == [str(c) for c in strongest]
    assert f"{found.images[8, 0]}: {found.values[8, 0]:.3g}" in texts
    shown = [i for i in ax.images if i.get_array().shape == (8, 8)]
    assert np.isclose(shown[0].get_array(), pixels[found.images[8, 0], 0] / 255).all()
    assert len(shown) == 6
    frames = [p for p in ax.patches if isinstance(p, Rectangle)]
    assert len(frames) == 6
    left, _, bottom, top = shown[0].get_extent()
    assert frames[0].get_xy() == pytest.approx((left + 1 / 8, top + 2 / 8))
    assert (frames[0].get_width(), frames[0].get_height()) == pytest.approx((3 / 8, 3 / 8))
    assert bottom == top + 1
    low, high = ax.images[0].get_clim()
    assert low == -high
    figure.draw_without_rendering()
    assert (figure.get_size_inches() <= style.MAX_SIDE).all()


def test_vectors_colour_and_fields_as_large_as_the_image() -> None:
    found, pixels = answer(3, 9, channels=3, box=(0, 0, 8, 8))
    ax = plot_top_patches(found, pixels).axes[0]
    assert not ax.patches
    assert len(ax.images) == 18  # six of nine
    assert ax.images[0].get_array().shape == (8, 8, 3)
    assert ax.get_title() == "conv2: top-activating patches of 3 units"


def test_weights_and_pages_that_do_not_fit_are_errors() -> None:
    found, pixels = answer(10, 3)
    with pytest.raises(DataError, match="weights must be"):
        plot_top_patches(found, pixels, weights=np.ones((9, 1, 3, 3)))
    for page in (-1, 2):
        with pytest.raises(UsageError, match=f"no page {page}: the pages of 'conv2' are 0 to 1"):
            plot_top_patches(found, pixels, page=page)
