"""Activation maximization: where the best image is known, and what holds for every one."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from conftest import SmallCNN
from lenetscope.errors import DataError, LayerError, UsageError
from lenetscope.plots import style
from lenetscope.questions.activation_maximization import (
    Ascent,
    Maximized,
    maximize_activation,
    plot_maximized,
)

FREE = Ascent(steps=60, jitter=0, blur=0, total_variation=0, l2=0)


def plain(low: float, high: float, *shape: int) -> Tensor:
    """Return two images, one of the lowest and one of the highest value."""
    return torch.stack([torch.full(shape, float(low)), torch.full(shape, float(high))])


FRAME = {"images": plain(-1, 3, 1, 6, 6)}


@pytest.fixture
def linear() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 4), nn.ReLU(inplace=True), nn.Dropout(0.5))


def test_a_linear_unit_is_highest_for_white_where_its_weight_is_positive(linear: nn.Sequential) -> None:
    ascent = Ascent(steps=200, step_size=0.1, jitter=0, blur=0, total_variation=0, l2=0)
    found = maximize_activation(linear, "1", ascent=ascent, **FRAME)
    weights = linear[1].weight.detach()
    best = torch.where(weights > 0, 3.0, -1.0)
    clear = weights.abs() > 0.2 * weights.abs().mean()
    assert torch.equal(found.images.flatten(1)[clear], best[clear])
    reached = (found.images.flatten(1) * weights).sum(1) + linear[1].bias
    assert torch.allclose(found.activation, reached, atol=1e-5)
    assert found.shades[clear.view(found.images.shape)].unique().tolist() == [0, 1]
    assert torch.allclose(found.images, -1 + 4 * found.shades, atol=1e-6)
    assert (found.activation > found.highest).all()


def test_the_centre_of_a_filter_takes_its_signs_and_leaves_what_is_around_it_grey() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(inplace=True))
    frame = {"images": plain(0, 1, 2, 9, 9)}
    ascent = Ascent(jitter=0, blur=0, total_variation=0, l2=0.05)
    found = maximize_activation(model, "0", ascent=ascent, **frame)
    patch, weights = found.images[:, :, 3:6, 3:6], model[0].weight.detach()
    clear = weights.abs() > 0.5 * weights.abs().mean()
    assert torch.equal(patch[clear] > 0.5, weights[clear] > 0)
    assert found.images.shape == (3, 2, 9, 9)
    outside = found.images.clone()
    outside[:, :, 3:6, 3:6] = 0.5
    assert (outside - 0.5).abs().max() < (patch - 0.5).abs().mean()
    assert torch.allclose(found.activation, model[0](found.images)[:, :, 4, 4][range(3), range(3)])

    mean = maximize_activation(model, "0", [1], where="mean", **frame)
    assert torch.allclose(mean.activation, model[0](mean.images)[:, 1].mean((1, 2)), atol=1e-6)
    assert mean.activation > model[0](found.images)[1, 1].mean()


@pytest.mark.parametrize("layer", ["conv1", "relu1", "flatten", "fc", None])
def test_real_images_show_what_is_usual(layer: str | None, digits: tuple[Tensor, Tensor]) -> None:
    torch.manual_seed(0)
    model, images = SmallCNN(), digits[0]
    found = maximize_activation(model, layer, [2, 0], images=images, batch_size=20, ascent=FREE)
    with torch.no_grad():
        model.eval()
        seen = model.conv1(images)
        seen = {"relu1": seen.relu(), "flatten": model.pool(seen.relu()).flatten(1)}.get(layer, seen)
        seen = model(images) if layer in ("fc", None) else seen
    usual = (seen.amax((2, 3)) if seen.ndim == 4 else seen)[:, [2, 0]].max(0)
    assert torch.allclose(found.highest, usual.values, atol=1e-6)
    assert torch.equal(found.highest_image, usual.indices)
    assert found.units.tolist() == [2, 0]
    low, high = images.min(), images.max()
    assert found.images.shape == (2, 1, 10, 10)
    assert found.images.min() >= low - 1e-6
    assert found.images.max() <= high + 1e-6
    assert 0 <= found.shades.min() <= found.shades.max() <= 1
    assert [row.unit for row in found.rows] == [2, 0]
    assert found.rows[0].highest == pytest.approx(usual.values[0].item(), abs=1e-6)
    assert "highest on real images" in found._repr_html_()
    assert str(found) == str(found.rows)


def test_one_seed_gives_one_image_whatever_the_batches(linear: nn.Sequential) -> None:
    found = [
        maximize_activation(
            linear.train(), "1", seed=seed, batch_size=batch, ascent=Ascent(steps=20), **FRAME
        )
        for seed, batch in ((0, 250), (0, 250), (0, 3), (1, 250))
    ]
    assert torch.equal(found[0].images, found[1].images)
    assert torch.allclose(found[0].images, found[2].images, atol=1e-4)
    assert not torch.allclose(found[0].images, found[3].images, atol=1e-2)
    seen = []
    first = maximize_activation(
        linear, "1", 3, batch_size=2, ascent=FREE, progress=lambda x: seen.append(len(x)) or x, **FRAME
    )
    assert seen == [2]
    assert first.units.tolist() == [0, 1, 2]
    assert maximize_activation(linear, "1", 9, ascent=FREE, **FRAME).units.tolist() == [0, 1, 2, 3]


def test_each_penalty_does_what_it_says(linear: nn.Sequential) -> None:
    def made(**changes: float) -> Tensor:
        ascent = Ascent(
            **{"steps": 60, "jitter": 0, "blur": 0, "total_variation": 0, "l2": 0} | changes
        )
        return maximize_activation(linear, "1", ascent=ascent, **FRAME).images - 1  # mid-range is 1

    def roughness(images: Tensor) -> Tensor:
        return images.diff(dim=2).square().sum() + images.diff(dim=3).square().sum()

    free = made()
    assert roughness(made(blur=0.6)) < 0.5 * roughness(free)
    assert roughness(made(total_variation=0.7)) < 0.5 * roughness(free)
    assert made(l2=2).square().sum() < 0.8 * free.square().sum()
    assert not torch.equal(made(jitter=1), free)


class Residual(nn.Module):
    """One ReLU that runs twice, in place, and a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 1, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(x + self.conv2(self.relu(self.conv1(x)))).mean((2, 3))


def test_an_in_place_relu_and_a_second_call_are_told_apart() -> None:
    torch.manual_seed(0)
    model, x = Residual().eval(), torch.rand(4, 1, 6, 6)
    with torch.no_grad():
        hidden = model.conv1(x)
        first = hidden.relu()
        second = (x + model.conv2(first)).relu()
    for layer, wanted in (("conv1", hidden), ("relu", first), ("relu:1", second)):
        found = maximize_activation(model, layer, images=x, where="mean", ascent=FREE)
        assert torch.allclose(found.highest, wanted.mean((2, 3)).amax(0), atol=1e-6), layer
    with pytest.raises(LayerError, match="'relu:2' does not run"):
        maximize_activation(model, "relu:2", images=x)


def test_a_dead_unit_stays_grey_and_returns_zero() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 2), nn.ReLU())
    with torch.no_grad():
        model[1].weight[0] = 0
        model[1].bias.copy_(torch.tensor([-1.0, 10.0]))
    found = maximize_activation(model, "2", **FRAME)
    assert found.activation[0] == 0
    assert found.activation[1] > 10
    assert (found.shades[0] - 0.5).abs().max() < 0.25


def test_nothing_is_left_behind(untouched_by: object) -> None:
    def ask(model: nn.Module, images: Tensor, _labels: Tensor) -> None:
        with torch.inference_mode():
            maximize_activation(model, "conv1", images=images, ascent=FREE)
            maximize_activation(model, images=images.clone(), ascent=FREE)

    untouched_by(ask)


def test_what_cannot_be_answered_is_an_error(linear: nn.Sequential) -> None:
    for name in ("7", "*"):
        with pytest.raises(LayerError, match="unknown layer"):
            maximize_activation(linear, name, **FRAME)
    for units in ([4], [-1], [], [0.5]):
        with pytest.raises(LayerError, match="1 has units 0 to 3; .* are not among them"):
            maximize_activation(linear, "1", units, **FRAME)
    row = nn.Sequential(nn.Flatten(2), nn.Conv1d(1, 2, 3))
    with pytest.raises(LayerError, match=r"1 returns \(8, 2, 34\); a unit is a channel"):
        maximize_activation(row, "1", **FRAME)
    with pytest.raises(LayerError, match=r"the model returns \(8, 2, 34\)"):
        maximize_activation(row, **FRAME)
    with pytest.raises(UsageError, match="takes 2 inputs"):
        maximize_activation(nn.Bilinear(2, 2, 1), **FRAME)
    with pytest.raises(DataError, match="the range of pixels"):
        maximize_activation(linear, "1", images=plain(1, 1, 1, 6, 6))
    with pytest.raises(UsageError, match="where 'corner' is not one of"):
        maximize_activation(linear, "1", where="corner", **FRAME)
    with pytest.raises(UsageError, match="batch_size"):
        maximize_activation(linear, "1", batch_size=0, **FRAME)
    with pytest.raises(DataError, match="images"):
        maximize_activation(linear, "1", images=torch.zeros(3, 6, 6))
    for options in ({"steps": 0}, {"step_size": 0}, {"blur": -1}, {"jitter": -1}, {"step_size": 0.5}):
        with pytest.raises(UsageError, match="is not possible"):
            Ascent(**options)


def answer(units: int, channels: int = 1) -> Maximized:
    """Return a made-up answer: grey (U, C, 12, 12) with something in the middle of it."""
    shades = torch.full((units, channels, 12, 12), 0.5)
    generator = torch.Generator().manual_seed(0)
    shades[:, :, 4:8, 4:8] = torch.rand(units, channels, 4, 4, generator=generator)
    shades[:, :, 4, 4] = 1
    numbers, real = torch.arange(units), torch.full((units,), 2.5)
    return Maximized("conv2", numbers + 5, shades, shades, numbers.float(), real, numbers)


def test_every_unit_is_drawn_with_its_number_and_activations() -> None:
    found = answer(10)
    figure = plot_maximized(found)
    tiles = [ax for ax in figure.axes if ax.images]
    assert [ax.get_title() for ax in tiles] == [str(k) for k in range(5, 15)]
    assert [ax.get_xlabel() for ax in tiles][:2] == ["0.0 | 2.5", "1.0 | 2.5"]
    assert {ax.images[0].get_clim() for ax in tiles} == {(0, 1)}
    assert np.allclose(tiles[3].images[0].get_array(), found.shades[3, 0, 4:8, 4:8])
    assert "conv2: activation maximization of 10 units" in figure.get_suptitle()
    assert "highest on real images" in figure.get_suptitle()
    figure.draw_without_rendering()


def test_units_may_have_names() -> None:
    assert [ax.get_title() for ax in plot_maximized(answer(2), ["a", "b"]).axes] == ["a", "b"]
    with pytest.raises(DataError, match="there are 2 units, and 1 names"):
        plot_maximized(answer(2), ["a"])


@pytest.mark.parametrize(("channels", "shape"), [(1, (4, 4)), (2, (4, 4)), (3, (4, 4, 3))])
def test_colour_stays_colour(channels: int, shape: tuple[int, ...]) -> None:
    figure = plot_maximized(answer(3, channels))
    assert figure.axes[0].images[0].get_array().shape == shape


def test_grey_alone_is_not_cropped_to_nothing() -> None:
    found = answer(1)
    found.shades[:] = 0.5
    assert plot_maximized(found).axes[0].images[0].get_array().shape == (12, 12)


@pytest.mark.parametrize("units", [1, 8, 128])
def test_it_fits_on_a_screen(units: int) -> None:
    assert (plot_maximized(answer(units)).get_size_inches() <= style.MAX_SIDE).all()
