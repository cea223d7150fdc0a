"""The most exciting images, and what a unit sees of them: against whole recordings and arithmetic."""

import pytest
import torch
from torch import Tensor, nn

from conftest import SmallCNN
from lenetscope.errors import DataError, LayerError, UsageError
from lenetscope.insight.excitation import most_exciting, receptive_fields
from lenetscope.models import LeNet


def test_it_finds_by_hand_what_a_pixel_excites() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1))
    images = torch.zeros(3, 1, 4, 5)
    images[0, 0, 1, 2], images[2, 0, 3, 4], images[1, 0, 0, 0] = 5, 7, -2
    found = most_exciting(model, images, "0", 2, batch_size=2)
    assert found.values.tolist() == [[7, 5], [2, 0]]
    assert found.images.tolist() == [[2, 0], [1, 0]]  # of the two zeros the first
    assert found.places.tolist() == [[[3, 4], [1, 2]], [[0, 0], [0, 0]]]
    assert found.boxes.tolist() == [[[3, 4, 4, 5], [1, 2, 2, 3]], [[0, 0, 1, 1], [0, 0, 1, 1]]]
    assert found.patches(images).flatten(1).tolist() == [[7, 5], [-2, 0]]


@pytest.mark.parametrize("layer", ["conv1", "relu2", "fc1"])
@pytest.mark.parametrize("batch_size", [7, 20])
def test_the_best_are_those_of_a_sort_of_everything(layer: str, batch_size: int) -> None:
    torch.manual_seed(0)
    model, images = LeNet((1, 8, 8)).eval(), torch.rand(20, 1, 8, 8)
    seen = []
    handle = model.get_submodule(layer).register_forward_hook(lambda *a: seen.append(a[2].detach()))
    model(images)
    handle.remove()
    maps = seen[0].flatten(2) if seen[0].ndim > 2 else seen[0][:, :, None]
    found = most_exciting(model, images, layer, 3, batch_size=batch_size)
    peaks = maps.max(dim=2).values
    assert torch.allclose(found.values.T, peaks.sort(dim=0, descending=True).values[:3], atol=1e-6)
    for unit, (chosen, places) in enumerate(zip(found.images, found.places, strict=True)):
        width = seen[0].shape[-1] if seen[0].ndim > 2 else 1
        flat = places[:, 0] * width + places[:, 1]
        assert torch.allclose(maps[chosen, unit, flat], found.values[unit], atol=1e-6)


def field(place: int, size: int, layers: list[tuple[int, int, int, int]]) -> tuple[int, int]:
    """Return what a place sees by arithmetic: (kernel, stride, padding, dilation), last layer first."""
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


def test_a_layer_that_pixels_do_not_move_sees_the_whole_image() -> None:
    dead = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
    with torch.no_grad():
        dead[0].bias.fill_(-100)
    found = most_exciting(dead, torch.rand(3, 1, 6, 6), "1", 1)
    assert found.boxes.tolist() == [[[0, 0, 6, 6]]] * 2
    cut = nn.Sequential(nn.Conv2d(1, 2, 3))
    cut.register_forward_hook(lambda _m, _i, out: out)
    cut[0].register_forward_hook(lambda _m, _i, out: out.detach())
    assert most_exciting(cut, torch.rand(3, 1, 6, 6), "0", 1).boxes.tolist() == [[[0, 0, 6, 6]]] * 2


def test_patches_at_an_edge_stand_where_the_image_does() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, bias=False))
    with torch.no_grad():
        model[0].weight.fill_(1)
    images = torch.zeros(2, 1, 8, 8)
    images[0, 0, 0, 0], images[1, 0, 7, 7] = 9, 1
    # the unit is 9 at rows and columns 0 and 1; the first in reading order is the corner
    patches = most_exciting(model, images, "0", 2).patches(images)
    assert patches.shape == (1, 2, 1, 3, 3)
    corner = patches[0, 0, 0]
    assert corner[0].isnan().all()
    assert corner[:, 0].isnan().all()
    assert corner[1:, 1:].tolist() == [[9, 0], [0, 0]]


def test_calls_of_a_reused_layer_vectors_and_sequences() -> None:
    relu = nn.ReLU()
    model = nn.Sequential(nn.Conv2d(1, 2, 1), relu, nn.Flatten(), nn.Linear(18, 3), relu)
    images = torch.rand(5, 1, 3, 3)
    first, second = (most_exciting(model, images, name) for name in ("1", "1:1"))
    assert first.values.shape == (2, 5)  # k is more than there are images
    assert second.values.shape == (3, 5)
    assert second.layer == "1:1"
    assert torch.equal(most_exciting(model, images, "4:1").values, second.values)
    line = nn.Sequential(nn.Flatten(2), nn.Conv1d(1, 2, 3))
    found = most_exciting(line, images, "1", 1)
    assert (found.places[..., 0] == 0).all()
    assert (found.places[..., 1] < 7).all()
    with pytest.raises(LayerError, match="there is no '1:2': the layer runs 2 times"):
        most_exciting(model, images, "1:2")


def test_nothing_is_left_behind(untouched_by: object) -> None:
    untouched_by(lambda model, images, labels: most_exciting(model, images, "relu1", 2))


def test_it_refuses_what_it_cannot_answer() -> None:
    model, images = SmallCNN(), torch.rand(2, 1, 10, 10)
    with pytest.raises(UsageError, match="k must be at least 1"):
        most_exciting(model, images, "conv1", 0)
    with pytest.raises(DataError, match=r"\(N, C, H, W\)"):
        most_exciting(nn.Linear(3, 2), torch.rand(2, 3), "0")
    with pytest.raises(DataError, match="N of at least 1"):
        most_exciting(model, images[:0], "conv1")
    with pytest.raises(LayerError, match="did you mean 'conv1'"):
        most_exciting(model, images, "conv")
    with pytest.raises(DataError, match="not numbers"):
        most_exciting(model, images * torch.nan, "conv1")
    volume = nn.Sequential(nn.Unflatten(1, (1, 1)), nn.Conv3d(1, 1, (1, 3, 3)))
    with pytest.raises(LayerError, match="maps of 3 dimensions"):
        most_exciting(volume, images, "1")

    class Two(SmallCNN):
        def forward(self, x: Tensor, mask: Tensor) -> Tensor:
            return super().forward(x * mask)

    with pytest.raises(UsageError, match=r"takes 2 inputs \(x, mask\)"):
        most_exciting(Two(), images, "conv1")

    class Idle(SmallCNN):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean(dim=(2, 3))

    with pytest.raises(LayerError, match="'conv1' does not run"):
        most_exciting(Idle(), images, "conv1")
