"""Attribution: each method against gradients and loops by hand and Captum called directly."""

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients
from torch import Tensor, nn

from conftest import SmallCNN
from insight.test_capture import Residual, TwoInputs, same, traces
from lenetscope.errors import DataError, LayerError, UsageError
from lenetscope.insight.asking import baseline_of
from lenetscope.insight.attribution import METHODS, Attribution, Method, attribute

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


class Scaled(nn.Module):
    """Puts a model's logits in another form."""

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


def slopes(model: nn.Module, images: Tensor, classes: Tensor) -> Tensor:
    images = images.clone().requires_grad_()
    return torch.autograd.grad(logit(model, images, classes).sum(), images)[0]


def test_saliency_is_the_largest_slope_of_the_channels(in_place: InPlace) -> None:
    images = two_channels()
    classes = torch.tensor([0, 1, 2, 2, 0])
    found = attribute(in_place, images, classes, batch_size=2)
    by_hand = slopes(in_place.eval(), images, classes).abs().amax(1)
    assert torch.allclose(found.values, by_hand, atol=1e-6)
    assert (found.method, found.signed, found.completeness_gap) == ("saliency", False, None)
    assert torch.allclose(found.logit, logit(in_place, images, classes), atol=1e-6)


@pytest.mark.parametrize("baseline", ["background", 0.0, torch.tensor([[[0.1]], [[-0.2]]])])
def test_integrated_gradients_are_a_riemann_sum_and_captums(
    in_place: InPlace, baseline: str | float | Tensor
) -> None:
    images = two_channels()
    classes = torch.full((5,), 1)
    found = attribute(in_place, images, 1, method="integrated-gradients", baseline=baseline, steps=64)
    in_place.eval()
    if isinstance(baseline, str):
        start = torch.stack([images[:, 0].min(), images[:, 1].min()]).view(1, 2, 1, 1)
    else:
        start = torch.as_tensor(baseline)
    start = start.expand_as(images)
    ways = [start + (k + 0.5) / 500 * (images - start) for k in range(500)]
    by_hand = sum(slopes(in_place, way, classes) for way in ways) / 500 * (images - start)
    assert torch.allclose(found.values, by_hand.sum(1), atol=2e-3)
    captums = IntegratedGradients(lambda x: in_place(x)["logits"]).attribute(
        images, start, target=1, n_steps=64
    )
    assert torch.allclose(found.values, captums.sum(1), atol=1e-6)

    difference = logit(in_place, images, classes) - logit(in_place, start, classes)
    gap = found.values.sum((1, 2)) - difference
    assert torch.allclose(found.completeness_gap, gap, atol=1e-5)
    assert gap.abs().max() < 0.02 * difference.abs().max()
    assert torch.allclose(found.baseline_logit, logit(in_place, start, classes), atol=1e-6)


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
def test_grad_cam_is_maps_times_their_mean_slope(in_place: InPlace, layer: str | None) -> None:
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


def test_grad_cam_is_brought_up_to_the_size_of_the_image() -> None:
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

    def track(items: range) -> range:
        seen.append(len(items))
        return items

    assert whole.values.shape == (7, 10, 10)
    assert whole.values.dtype == torch.float32
    assert not whole.values.requires_grad
    assert (whole.values.min() < 0) <= whole.signed
    parts = attribute(model.eval(), images, 1, method=method, batch_size=3, track=track)
    assert torch.allclose(whole.values, parts.values, atol=1e-6)
    assert seen[0] > 1
    with torch.inference_mode():
        inside = attribute(model, images * 1, 1, method=method)
    assert torch.allclose(whole.values, inside.values, atol=1e-6)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    assert torch.allclose(whole.values, attribute(model, images, 1, method=method).values)


@pytest.mark.parametrize("method", METHODS.names())
@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_as_before(method: str, fails: bool, digits: Digits) -> None:
    images = digits[0][:3].clone().requires_grad_()
    model = SmallCNN().train()
    model.pool.eval()
    model.fc.bias.requires_grad_(False)
    model(images).sum().backward()
    passes = []

    def count(_layer: nn.Module, _inputs: object, _outputs: object) -> None:
        np.random.rand()
        torch.rand(1)
        passes.append(1)
        if fails and len(passes) > 3:
            raise RuntimeError("in the middle")

    model.fc.register_forward_hook(count)
    before, flags = traces(model), [p.requires_grad for p in model.parameters()]
    gradient = images.grad.clone()
    if fails:
        with pytest.raises(RuntimeError, match="in the middle"):
            for _ in range(5):
                attribute(model, images, method=method)
    else:
        attribute(model, images, method=method)
    assert same(before, traces(model))
    assert [p.requires_grad for p in model.parameters()] == flags
    assert images.requires_grad
    assert torch.equal(images.grad, gradient)


def test_layers_that_grad_cam_cannot_weight_are_refused(in_place: InPlace) -> None:
    images = two_channels()
    for layer, message in (
        ("relu", "layer 'relu' runs 2 times for an image"),
        ("fc", r"'fc' puts out \(1, 3\), not maps .* choose a convolution: 'conv.' or 'conv.'"),
        ("conv3", "unknown layer 'conv3'; did you mean 'conv"),
        ("conv*", "unknown layer 'conv"),
    ):
        with pytest.raises(LayerError, match=message):
            attribute(in_place, images, method="grad-cam", layer=layer)
    flat = nn.Sequential(nn.Flatten(), nn.Linear(72, 2))
    with pytest.raises(LayerError, match="has no convolution"):
        attribute(flat, images, method="grad-cam")
    assert attribute(flat, images, method="saliency").values.shape == (5, 6, 6)

    shared = Residual()
    wrapped = nn.Sequential(shared, nn.Flatten(), nn.Linear(25, 2))
    found = attribute(wrapped, torch.rand(2, 1, 5, 5), method="grad-cam")
    assert found.layer == "0.conv2"  # the one that runs last


def test_what_cannot_be_asked_is_refused(in_place: InPlace) -> None:
    images = two_channels()
    with pytest.raises(UsageError, match="needs 2 inputs, 'x' and 'other', and only images can"):
        attribute(TwoInputs(), images)
    for form, message in (
        (lambda x: x[:, :1], r"a tensor \(5, 1\), and not logits \(N, K\)"),
        (lambda x: x[:, 0], r"a tensor \(5,\), and not"),
        (lambda x: x[:, :, None, None], r"a tensor \(5, 3, 1, 1\)"),
    ):
        with pytest.raises(UsageError, match=message):
            attribute(Scaled(form), torch.rand(5, 1, 10, 10))
    with pytest.raises(UsageError, match="puts out no tensor"):
        attribute(Scaled(lambda _x: "text"), torch.rand(5, 1, 10, 10))
    for wrong in (images[0], images[:0], (images * 255).to(torch.uint8)):
        with pytest.raises(DataError, match=r"floats \(N, C, H, W\)"):
            attribute(in_place, wrong)
    with pytest.raises(DataError, match="infinite or no number"):
        attribute(in_place, images / 0)
    for target in (torch.rand(5), torch.zeros(4, dtype=torch.long), torch.ones(5, 2).long(), True):
        with pytest.raises(
            DataError, match=r"is none: give None, one integer for all, or integers \(5,\)"
        ):
            attribute(in_place, images, target)
    for target in (-1, 3):
        with pytest.raises(DataError, match=f"targets go from {target} to {target}, .* 0 to 2"):
            attribute(in_place, images, target)
    with pytest.raises(UsageError, match="unknown attribution method 'occlusions'; did you mean"):
        attribute(in_place, images, method="occlusions")
    for options in ({"steps": 0}, {"stride": 0}, {"window": 2, "stride": 3}):
        with pytest.raises(UsageError, match="cannot be: steps and stride are 1 or more"):
            attribute(in_place, images, **options)
    with pytest.raises(UsageError, match="a window of 7 pixels is larger than images of"):
        attribute(in_place, images, method="occlusion", window=7)
    with pytest.raises(UsageError, match="'black' is no baseline; give 'background', a number"):
        attribute(in_place, images, baseline="black")
    with pytest.raises(DataError, match=r"a baseline \(3, 1, 1\) does not fit"):
        attribute(in_place, images, baseline=torch.zeros(3, 1, 1))
    with pytest.raises(UsageError, match="a batch of 0 images"):
        attribute(in_place, images, batch_size=0)


def test_the_background_is_black_and_not_grey() -> None:
    images = torch.tensor([[[[-1.0, 1]], [[0.2, 0.5]]], [[[0.0, 0]], [[0.1, 0.3]]]])
    assert baseline_of(images)[1, :, 0, 0].tolist() == pytest.approx([-1, 0.1])
    assert baseline_of(images).shape == images.shape


def test_a_method_of_ones_own_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))
    METHODS.register("brightness")(Method(lambda asked: asked.images, signed=True))
    images = torch.rand(2, 1, 10, 10)
    assert torch.equal(attribute(SmallCNN(), images, method="brightness").values, images[:, 0])


def test_it_shows_itself_as_a_table() -> None:
    found = Attribution(
        "integrated-gradients",
        torch.tensor([[[1.0, -0.25], [0, 2]]]),
        torch.tensor([7]),
        torch.tensor([3.0]),
        torch.tensor([0.0]),
        True,
        torch.tensor([-0.25]),
    )
    assert str(found).split("\n")[2].split() == ["0", "7", "+3.00", "+3.000", "-0.250", "-0.2500"]
    assert "<td" in found._repr_html_()
    assert "integrated-gradients" in found._repr_html_()
