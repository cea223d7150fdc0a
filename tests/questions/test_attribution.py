"""Attribution: each method against gradients and loops by hand, without Captum; and its figure."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from conftest import SmallCNN
from lenetscope.errors import DataError, LayerError, UsageError
from lenetscope.plots import style
from lenetscope.questions.attribution import (
    METHODS,
    Attribution,
    Method,
    attribute,
    baseline_of,
    plot_attribution,
)

Digits = tuple[Tensor, Tensor]


class InPlace(nn.Module):
    """conv1, in-place ReLU, conv2, the same in-place ReLU again, and a dictionary as output."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 3, 3, padding=1)
        self.conv2 = nn.Conv2d(3, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(4 * 36, 3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.relu(self.conv2(self.relu(self.conv1(x))))
        return {"logits": self.fc(self.dropout(x.flatten(1))), "features": x}


class TwoInputs(nn.Module):
    """A layer and a second input."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Linear(2, 3)

    def forward(self, x: Tensor, *, other: Tensor) -> Tensor:
        return self.left(x) + other


class Scaled(nn.Module):
    """Returns a model's logits in another form."""

    def __init__(self, form: object) -> None:
        super().__init__()
        self.inner, self.form = SmallCNN(), form

    def forward(self, x: Tensor) -> object:
        return self.form(self.inner(x))


@pytest.fixture
def in_place() -> InPlace:
    torch.manual_seed(1)
    return InPlace()


def two_channels(count: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.rand(count, 2, 6, 6, generator=generator) - 0.3


def logit(model: nn.Module, images: Tensor, classes: Tensor) -> Tensor:
    outputs = model(images)
    outputs = outputs["logits"] if isinstance(outputs, dict) else outputs
    return outputs.gather(1, classes[:, None])[:, 0]


def gradients(model: nn.Module, images: Tensor, classes: Tensor) -> Tensor:
    images = images.clone().requires_grad_()
    return torch.autograd.grad(logit(model, images, classes).sum(), images)[0]


def test_saliency_is_the_largest_absolute_gradient_of_the_channels(in_place: InPlace) -> None:
    images = two_channels()
    classes = torch.tensor([0, 1, 2, 2, 0])
    found = attribute(in_place, images, classes, batch_size=2)
    by_hand = gradients(in_place.eval(), images, classes).abs().amax(1)
    assert torch.allclose(found.values, by_hand, atol=1e-6)
    assert (found.method, found.signed, found.completeness_gap) == ("saliency", False, None)
    assert torch.allclose(found.logit, logit(in_place, images, classes), atol=1e-6)


@pytest.mark.parametrize("baseline", [None, 0.0, torch.tensor([[[0.1]], [[-0.2]]])])
def test_integrated_gradients_are_a_riemann_sum(
    in_place: InPlace, baseline: float | Tensor | None
) -> None:
    images = two_channels()
    classes = torch.full((5,), 1)
    found = attribute(in_place, images, 1, method="integrated-gradients", baseline=baseline, steps=64)
    in_place.eval()
    if baseline is None:
        start = torch.stack([images[:, 0].min(), images[:, 1].min()]).view(1, 2, 1, 1)
    else:
        start = torch.as_tensor(baseline)
    start = start.expand_as(images)
    ways = [start + (k + 0.5) / 500 * (images - start) for k in range(500)]
    by_hand = sum(gradients(in_place, way, classes) for way in ways) / 500 * (images - start)
    assert torch.allclose(found.values, by_hand.sum(1), atol=2e-3)
    difference = logit(in_place, images, classes) - logit(in_place, start, classes)
    gap = found.values.sum((1, 2)) - difference
    assert torch.allclose(found.completeness_gap, gap, atol=1e-5)
    assert gap.abs().max() < 0.02 * difference.abs().max()


def test_the_gap_is_what_too_few_steps_leave() -> None:
    class Square(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            total = x.sum((1, 2, 3))
            return torch.stack([total**4, -total], dim=1)

    image = torch.ones(1, 1, 1, 2)
    one = attribute(Square(), image, 0, method="integrated-gradients", baseline=0, steps=1)
    # the slope 4 s^3 at the middle of the way, s = 1: 4 a pixel, 8 in all, of 2^4
    assert one.values.tolist() == [[[4, 4]]]
    assert one.completeness_gap.tolist() == [8 - 16]
    many = attribute(Square(), image, 0, method="integrated-gradients", baseline=0, steps=4)
    assert many.completeness_gap.abs().item() < 1e-4


@pytest.mark.parametrize("layer", [None, "conv1", "conv2"])
def test_grad_cam_is_maps_times_their_mean_gradient(in_place: InPlace, layer: str | None) -> None:
    images = two_channels()
    classes = torch.tensor([2, 0, 1, 1, 2])
    found = attribute(in_place, images, classes, method="grad-cam", layer=layer, batch_size=3)
    assert found.layer == (layer or "conv2")
    in_place.eval()
    first = in_place.conv1(images)
    maps = first if layer == "conv1" else in_place.conv2(first.relu())
    maps = maps.detach().requires_grad_()
    last = in_place.conv2(maps.relu()) if layer == "conv1" else maps
    wanted = in_place.fc(last.relu().flatten(1)).gather(1, classes[:, None]).sum()
    (slope,) = torch.autograd.grad(wanted, maps)
    by_hand = (slope.mean((2, 3), keepdim=True) * maps).sum(1).relu()
    assert torch.allclose(found.values, by_hand, atol=1e-6)
    assert found.values.max() > 0


def test_grad_cam_is_enlarged_to_the_size_of_the_image() -> None:
    torch.manual_seed(0)
    model = SmallCNN()
    images = torch.rand(3, 1, 10, 10)
    small = attribute(model, images, 1, method="grad-cam", layer="pool")
    model.eval()
    maps = model.pool(model.relu1(model.conv1(images))).detach().requires_grad_()
    (slope,) = torch.autograd.grad(model.fc(maps.flatten(1))[:, 1].sum(), maps)
    cam = (slope.mean((2, 3), keepdim=True) * maps).sum(1, keepdim=True).relu()
    wanted = nn.functional.interpolate(cam, (10, 10), mode="bilinear", align_corners=False)
    assert torch.allclose(small.values, wanted[:, 0], atol=1e-6)
    assert attribute(model, images, 1, method="grad-cam").layer == "conv1"


@pytest.mark.parametrize(("window", "stride"), [(3, 1), (4, 2), (3, 2), (6, 6)])
def test_occlusion_is_how_far_the_logit_falls(in_place: InPlace, window: int, stride: int) -> None:
    images = two_channels()
    classes = torch.tensor([2, 0, 1, 1, 2])
    found = attribute(in_place, images, classes, method="occlusion", window=window, stride=stride)
    in_place.eval()
    black = images.amin((0, 2, 3))[:, None, None]
    falls, covered = torch.zeros(5, 6, 6), torch.zeros(6, 6)
    whole = logit(in_place, images, classes).detach()
    places = sorted({min(p, 6) for p in range(0, 6 - window + stride, stride)})
    for top in places:
        for left in places:
            hidden = images.clone()
            patch = (slice(top, top + window), slice(left, left + window))
            hidden[(..., *patch)] = black.expand(2, 6, 6)[(..., *patch)]
            falls[(..., *patch)] += (whole - logit(in_place, hidden, classes).detach())[:, None, None]
            covered[patch] += 1
    assert torch.allclose(found.values, falls / covered, atol=1e-5)


def test_the_class_is_the_predicted_one_unless_told(digits: Digits) -> None:
    model, (images, _) = SmallCNN().eval(), digits
    predicted = model(images).argmax(1)
    assert torch.equal(attribute(model, images).target, predicted)
    assert attribute(model, images, 2).target.tolist() == [2] * 50
    runner_up = model(images).topk(2).indices[:, 1]
    found = attribute(model, images, runner_up)
    assert torch.equal(found.target, runner_up)
    assert torch.equal(found.values, attribute(model, images, runner_up.int()).values)


@pytest.mark.parametrize("method", METHODS.names())
def test_batches_modes_and_the_callers_blocks_change_nothing(method: str, digits: Digits) -> None:
    model, images = SmallCNN(), digits[0][:7]
    whole = attribute(model, images, 1, method=method)
    seen = []

    def progress(items: list) -> list:
        seen.append(len(items))
        return items

    assert whole.values.shape == (7, 10, 10)
    assert whole.values.dtype == torch.float32
    assert not whole.values.requires_grad
    assert (whole.values.min() < 0) <= whole.signed
    parts = attribute(model.eval(), images, 1, method=method, batch_size=3, progress=progress)
    assert torch.allclose(whole.values, parts.values, atol=1e-6)
    assert seen[0] > 1
    with torch.inference_mode():
        inside = attribute(model, images * 1, 1, method=method)
    assert torch.allclose(whole.values, inside.values, atol=1e-6)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    assert torch.allclose(whole.values, attribute(model, images, 1, method=method).values)


@pytest.mark.parametrize("method", METHODS.names())
def test_nothing_is_left_behind(untouched_by: object, method: str) -> None:
    untouched_by(lambda model, images, _labels: attribute(model, images, method=method))


def test_the_caller_s_images_keep_their_gradients(digits: Digits) -> None:
    model, images = SmallCNN(), digits[0][:3].clone().requires_grad_()
    model(images).sum().backward()
    gradient = images.grad.clone()
    for method in METHODS.names():
        attribute(model, images, method=method)
    assert images.requires_grad
    assert torch.equal(images.grad, gradient)


def test_layers_that_grad_cam_cannot_weight_are_refused(in_place: InPlace) -> None:
    images = two_channels()
    for layer, message in (
        ("relu", "runs 2 times per image"),
        ("relu:1", "runs 2 times per image"),
        ("fc", r"'fc' returns \(1, 3\) and runs 1 times"),
        ("conv3", "unknown layer"),
        ("conv*", "unknown layer"),
    ):
        with pytest.raises(LayerError, match=message):
            attribute(in_place, images, method="grad-cam", layer=layer)
    flat = nn.Sequential(nn.Flatten(), nn.Linear(72, 2))
    with pytest.raises(LayerError, match="has no convolution"):
        attribute(flat, images, method="grad-cam")
    assert attribute(flat, images, method="saliency").values.shape == (5, 6, 6)


def test_grad_cam_takes_the_convolution_that_runs_last() -> None:
    class Reversed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.late = nn.Conv2d(1, 2, 3, padding=1)
            self.early = nn.Conv2d(1, 1, 3, padding=1)
            self.alias = self.late

        def forward(self, x: Tensor) -> Tensor:
            return self.late(self.early(x)).mean((2, 3))

    assert attribute(Reversed(), torch.rand(2, 1, 5, 5), method="grad-cam").layer == "late"


def test_what_cannot_be_answered_is_refused(in_place: InPlace) -> None:
    images = two_channels()
    with pytest.raises(UsageError, match="takes 2 inputs"):
        attribute(TwoInputs(), images)
    for form in (
        lambda x: x[:, :1],
        lambda x: x[:, 0],
        lambda x: x[:, :, None, None],
        lambda _x: "text",
    ):
        with pytest.raises(UsageError, match="model returns"):
            attribute(Scaled(form), torch.rand(5, 1, 10, 10))
    for wrong in (images[0], images[:0], (images * 255).to(torch.uint8), images / 0):
        with pytest.raises(DataError, match="images must be"):
            attribute(in_place, wrong)
    for target in (torch.rand(5), torch.zeros(4, dtype=torch.long), torch.ones(5, 2).long(), True, 0.5):
        with pytest.raises(DataError, match="integers"):
            attribute(in_place, images, target)
    for target in (-1, 3):
        with pytest.raises(DataError, match="out of range"):
            attribute(in_place, images, target)
    with pytest.raises(UsageError, match="unknown attribution method 'occlusions'; did you mean"):
        attribute(in_place, images, method="occlusions")
    for options in ({"steps": 0}, {"stride": 0}, {"window": 2, "stride": 3}):
        with pytest.raises(UsageError, match="steps must be at least 1, window 1 to 6 pixels"):
            attribute(in_place, images, **options)
    with pytest.raises(UsageError, match="window 1 to 6 pixels"):
        attribute(in_place, images, method="occlusion", window=7)
    with pytest.raises(DataError, match=r"a baseline \(3, 1, 1\) must broadcast"):
        attribute(in_place, images, baseline=torch.zeros(3, 1, 1))
    with pytest.raises(UsageError, match="batch_size"):
        attribute(in_place, images, batch_size=0)


def test_the_background_is_black_and_not_grey() -> None:
    images = torch.tensor([[[[-1.0, 1]], [[0.2, 0.5]]], [[[0.0, 0]], [[0.1, 0.3]]]])
    assert baseline_of(images)[1, :, 0, 0].tolist() == pytest.approx([-1, 0.1])
    assert baseline_of(images).shape == images.shape


def test_a_method_of_your_own_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))
    METHODS.register("brightness")(Method(lambda request: request.images, signed=True))
    images = torch.rand(2, 1, 10, 10)
    assert torch.equal(attribute(SmallCNN(), images, method="brightness").values, images[:, 0])


def test_it_prints_as_a_table() -> None:
    found = Attribution(
        "integrated-gradients",
        torch.tensor([[[1.0, -0.25], [0, 2]]]),
        torch.tensor([7]),
        torch.tensor([3.0]),
        True,
        torch.tensor([-0.25]),
    )
    line = str(found).split("\n")[1].split()
    assert line == ["integrated-gradients", "0", "7", "+3.00", "+3.000", "-0.250", "-0.2500"]
    assert "<td" in found._repr_html_()
    assert "integrated-gradients" in found._repr_html_()


def of_method(name: str, values: np.ndarray, target: list[int], signed: bool = True) -> Attribution:
    none = torch.zeros(len(values))
    return Attribution(name, torch.from_numpy(values), torch.tensor(target), none, signed)


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape)


def test_each_method_is_a_row_with_a_colour_scale_and_each_class_a_column() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (3, 1, 8, 8)).astype(np.uint8)
    first, second = [7, 1, 9], [2, 3, 4]
    occlusion, saliency = 5 * random(2, 3, 8, 8), np.abs(random(2, 3, 8, 8))
    found = [
        of_method("occlusion", occlusion[0], first),
        of_method("occlusion", occlusion[1], second),
        of_method("saliency", saliency[0], first, signed=False),
        of_method("saliency", saliency[1], second, signed=False),
    ]
    figure = plot_attribution(pixels, found, [f"c{k}" for k in range(10)], labels=["7", "1", "4"])
    drawn = [ax for ax in figure.axes if ax.images]
    images, rows = drawn[:3], (drawn[3:9], drawn[9:])
    assert len(drawn) == 3 + 2 * 6
    assert [ax.get_title() for ax in images] == ["true 7", "true 1", "true 4"]
    assert (images[1].images[0].get_array() == pixels[1, 0]).all()
    titles = ["for c7", "for c2", "for c1", "for c3", "for c9", "for c4"]
    assert [ax.get_title() for ax in rows[0]] == titles
    assert np.allclose(rows[0][3].images[0].get_array(), occlusion[1, 1])
    assert [row[0].get_ylabel() for row in rows] == ["occlusion", "saliency"]
    for row, colours in zip(rows, (style.SIGNED, style.POSITIVE), strict=True):
        assert {ax.images[0].get_cmap().name for ax in row} == {colours}
        assert len({ax.images[0].get_clim() for ax in row}) == 1
        assert all(ax.collections for ax in row)  # the outline of the digit
        assert len(row[-1].child_axes) == 1  # the colour bar
    low, high = rows[0][0].images[0].get_clim()
    assert low == -high
    assert 0.5 * np.abs(occlusion).max() < high <= np.abs(occlusion).max()
    figure.draw_without_rendering()


@pytest.mark.parametrize(("count", "classes"), [(1, 1), (4, 2), (12, 2)])
def test_maps_fit_on_a_screen(count: int, classes: int) -> None:
    found = [of_method("a", random(count, 6, 6), [k] * count) for k in range(classes)]
    figure = plot_attribution(random(count, 3, 6, 6), found, ["x", "y"])
    assert (figure.get_size_inches() <= style.MAX_SIDE).all()
    assert figure.axes[0].get_title() == "image 0"
    figure.draw_without_rendering()


def test_maps_may_be_zero_and_one_extreme_value_does_not_make_the_others_pale() -> None:
    zero = of_method("grad-cam", np.zeros((2, 6, 6)), [0, 1], signed=False)
    plot_attribution(np.zeros((2, 6, 6)), [zero], ["a", "b"]).draw_without_rendering()
    values = random(2, 20, 20)
    values[0, 0, 0] = 1000
    figure = plot_attribution(random(2, 20, 20), [of_method("a", values, [0, 0])], ["a"])
    assert figure.axes[-1].images[0].get_clim()[1] < 10


def test_attributions_of_other_images_or_targets_cannot_be_drawn_together() -> None:
    pixels, fitting = random(2, 6, 6), of_method("a", random(2, 6, 6), [0, 0])
    for found in (
        [],
        [of_method("a", random(2, 6, 5), [0, 0])],
        [fitting, of_method("b", random(2, 6, 6), [0, 1])],
        [fitting, fitting, of_method("b", random(2, 6, 6), [0, 0])],
    ):
        with pytest.raises(DataError, match=r"give attributions \(2, 6, 6\)"):
            plot_attribution(pixels, found, ["a", "b"])
