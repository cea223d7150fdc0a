"""Preferred images: where the best image is known, and what holds for every one."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from conftest import SmallCNN
from insight.test_capture import Residual, TwoInputs, same, traces
from lenetscope.errors import DataError, LayerError, UsageError
from lenetscope.insight.preference import Climb, preferred_images

FREE = Climb(steps=60, jitter=0, blur=0, total_variation=0, l2=0)
FRAME = {"image_shape": (1, 6, 6), "value_range": (-1.0, 3.0)}


@pytest.fixture
def linear() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 4), nn.ReLU(inplace=True), nn.Dropout(0.5))


def test_a_linear_unit_wants_white_where_its_weight_is_positive(linear: nn.Sequential) -> None:
    climb = Climb(steps=200, step_size=0.1, jitter=0, blur=0, total_variation=0, l2=0)
    found = preferred_images(linear, "1", climb=climb, **FRAME)
    weights = linear[1].weight.detach()
    best = torch.where(weights > 0, 3.0, -1.0)
    clear = weights.abs() > 0.2 * weights.abs().mean()
    assert torch.equal(found.images.flatten(1)[clear], best[clear])
    reached = (found.images.flatten(1) * weights).sum(1) + linear[1].bias
    assert torch.allclose(found.reached, reached, atol=1e-5)
    assert (found.reached > found.start).all()
    assert found.shades[clear.view(found.images.shape)].unique().tolist() == [0, 1]
    assert (found.real, found.real_image) == (None, None)


def test_the_centre_of_a_filter_wants_its_signs_and_nothing_around_it() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(inplace=True))
    found = preferred_images(model, "0", image_shape=(2, 9, 9), value_range=(0, 1),
                             climb=Climb(jitter=0, blur=0, total_variation=0, l2=0.05))  # fmt: skip
    patch, weights = found.images[:, :, 3:6, 3:6], model[0].weight.detach()
    clear = weights.abs() > 0.5 * weights.abs().mean()
    assert torch.equal(patch[clear] > 0.5, weights[clear] > 0)
    assert found.images.shape == (3, 2, 9, 9)
    outside = found.images.clone()
    outside[:, :, 3:6, 3:6] = 0.5
    assert (outside - 0.5).abs().max() < (patch - 0.5).abs().mean()
    assert torch.allclose(found.reached, model[0](found.images)[:, :, 4, 4][range(3), range(3)])

    mean = preferred_images(model, "0", [1], where="mean", image_shape=(2, 9, 9), value_range=(0, 1))
    assert torch.allclose(mean.reached, model[0](mean.images)[:, 1].mean((1, 2)), atol=1e-6)
    assert mean.reached > model[0](found.images)[1, 1].mean()


@pytest.mark.parametrize("layer", ["conv1", "relu1", "flatten", "fc", None])
def test_real_images_tell_what_is_usual(layer: str | None, digits: tuple[Tensor, Tensor]) -> None:
    torch.manual_seed(0)
    model, images = SmallCNN(), digits[0]
    found = preferred_images(model, layer, [2, 0], images=images, batch_size=20, climb=FREE)
    with torch.no_grad():
        model.eval()
        seen = model.conv1(images)
        seen = {"relu1": seen.relu(), "flatten": model.pool(seen.relu()).flatten(1)}.get(layer, seen)
        seen = model(images) if layer in ("fc", None) else seen
    usual = (seen.amax((2, 3)) if seen.ndim == 4 else seen)[:, [2, 0]].max(0)
    assert torch.allclose(found.real, usual.values, atol=1e-6)
    assert torch.equal(found.real_image, usual.indices)
    assert found.units.tolist() == [2, 0]
    low, high = images.min(), images.max()
    assert found.images.shape == (2, 1, 10, 10)
    assert found.images.min() >= low - 1e-6
    assert found.images.max() <= high + 1e-6
    assert 0 <= found.shades.min() <= found.shades.max() <= 1 + 1e-6
    assert [row.unit for row in found.rows] == [2, 0]
    assert found.rows[0].real == pytest.approx(usual.values[0].item(), abs=1e-6)
    assert "highest on real images" in found._repr_html_()
    assert "activation reached" in str(found)


def test_one_seed_one_picture_whatever_the_batches(linear: nn.Sequential) -> None:
    found = [
        preferred_images(
            linear.train(), "1", seed=seed, batch_size=batch, climb=Climb(steps=20), **FRAME
        )
        for seed, batch in ((0, 250), (0, 250), (0, 3), (1, 250))
    ]
    assert torch.equal(found[0].images, found[1].images)
    assert torch.allclose(found[0].images, found[2].images, atol=1e-4)
    assert not torch.allclose(found[0].images, found[3].images, atol=1e-2)
    seen = []
    preferred_images(
        linear, "1", batch_size=3, climb=FREE, track=lambda x: seen.append(len(x)) or x, **FRAME
    )
    assert seen == [2]


def test_each_cost_does_what_it_says(linear: nn.Sequential) -> None:
    def made(**changes: float) -> Tensor:
        climb = Climb(**{"steps": 60, "jitter": 0, "blur": 0, "total_variation": 0, "l2": 0} | changes)
        return preferred_images(linear, "1", climb=climb, **FRAME).images - 1  # mid-range is 1

    def roughness(images: Tensor) -> Tensor:
        return images.diff(dim=2).square().sum() + images.diff(dim=3).square().sum()

    free = made()
    assert roughness(made(blur=0.6)) < 0.5 * roughness(free)
    assert roughness(made(total_variation=0.7)) < 0.5 * roughness(free)
    assert made(l2=2).square().sum() < 0.8 * free.square().sum()
    assert not torch.equal(made(jitter=1), free)


def test_an_in_place_relu_and_a_second_call_are_told_apart() -> None:
    torch.manual_seed(0)
    model = Residual().eval()
    x = torch.rand(4, 1, 6, 6)
    with torch.no_grad():
        hidden = model.conv1(x)
        first = hidden.relu()
        second = (x + model.norm(model.conv2(first))).relu()
    for layer, wanted in (("conv1", hidden), ("relu", first), ("relu:1", second)):
        found = preferred_images(model, layer, images=x, where="mean", climb=FREE)
        assert torch.allclose(found.real, wanted.mean((2, 3)).amax(0), atol=1e-6), layer
        assert (found.reached >= found.start).all()
    with pytest.raises(
        LayerError, match="layer 'relu' runs 2 times for an image: there is no 'relu:2'"
    ):
        preferred_images(model, "relu:2", images=x)


def test_a_dead_unit_stays_grey_and_says_zero() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 2), nn.ReLU())
    with torch.no_grad():
        model[1].weight[0] = 0
        model[1].bias.copy_(torch.tensor([-1.0, 10.0]))
    found = preferred_images(model, "2", **FRAME)
    assert found.reached[0] == 0
    assert found.reached[1] > 10
    assert (found.shades[0] - 0.5).abs().max() < 0.25


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_as_before(fails: bool, digits: tuple[Tensor, Tensor]) -> None:
    model, images = SmallCNN().train(), digits[0][:3]
    model.pool.eval()
    model.fc.bias.requires_grad_(False)
    model(images).sum().backward()
    passes = []

    def count(_layer: nn.Module, _inputs: object, _outputs: object) -> None:
        torch.rand(1)
        np.random.rand()
        passes.append(1)
        if fails and len(passes) > 3:
            raise RuntimeError("in the middle")

    model.fc.register_forward_hook(count)
    before, flags = traces(model), [p.requires_grad for p in model.parameters()]
    if fails:
        with pytest.raises(RuntimeError, match="in the middle"):
            preferred_images(model, "conv1", images=images)
    else:
        with torch.inference_mode():
            preferred_images(model, "conv1", images=images, climb=FREE)
    assert same(before, traces(model))
    assert [p.requires_grad for p in model.parameters()] == flags


def test_what_cannot_be_is_refused(linear: nn.Sequential) -> None:
    with pytest.raises(LayerError, match="unknown layer '7'"):
        preferred_images(linear, "7", **FRAME)
    with pytest.raises(LayerError, match="unknown layer"):
        preferred_images(linear, "*", **FRAME)
    for units in ([4], [-1], [], [0.5]):
        with pytest.raises(LayerError, match="layer '1' has units 0 to 3; .* are none of them"):
            preferred_images(linear, "1", units, **FRAME)
    row = nn.Sequential(nn.Flatten(2), nn.Conv1d(1, 2, 3))
    with pytest.raises(LayerError, match=r"layer '1' puts out \(8, 2, 34\); a unit is a channel"):
        preferred_images(row, "1", **FRAME)
    with pytest.raises(LayerError, match=r"the model puts out \(8, 2, 34\)"):
        preferred_images(row, **FRAME)
    with pytest.raises(UsageError, match="needs 2 inputs"):
        preferred_images(TwoInputs(), "left", **FRAME)
    with pytest.raises(UsageError, match="give real images, or both image_shape"):
        preferred_images(linear, "1", image_shape=(1, 6, 6))
    with pytest.raises(UsageError, match="have no range; give a value_range, the lower value first"):
        preferred_images(linear, "1", image_shape=(1, 6, 6), value_range=(1, -1))
    with pytest.raises(UsageError, match="where 'corner' is 'mean' or 'centre'"):
        preferred_images(linear, "1", where="corner", **FRAME)
    with pytest.raises(DataError, match="floats"):
        preferred_images(linear, "1", images=torch.zeros(3, 6, 6))
    for options in ({"steps": 0}, {"step_size": 0}, {"blur": -1}, {"jitter": -1}):
        with pytest.raises(UsageError, match="and the others not below 0"):
            Climb(**options)
    with pytest.raises(UsageError, match="a step_size of 0.5 overshoots"):
        Climb(step_size=0.5)
