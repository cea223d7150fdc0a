"""Deletion and insertion: curves and areas by hand where the truth is known."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from conftest import SmallCNN
from insight.test_capture import same, traces
from lenetscope.errors import DataError, UsageError
from lenetscope.insight.attribution import Attribution, attribute
from lenetscope.insight.faithfulness import deletion_insertion

WEIGHTS = (3.0, -2.0, 1.0, 0.5)


class Linear(nn.Module):
    """Logits (weights · pixels, 0) of 2x2 images: what each pixel does is its weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.tensor(WEIGHTS))

    def forward(self, x: Tensor) -> Tensor:
        z = x.flatten(1) @ self.weights
        return torch.stack([z, torch.zeros_like(z)], dim=1)


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


TRUTH = torch.tensor(WEIGHTS).view(1, 2, 2)
ONES = torch.ones(1, 1, 2, 2)


def attribution_for(target: int) -> Attribution:
    none = torch.zeros(1)
    return Attribution("truth", TRUTH, torch.tensor([target]), none, none, signed=True)


def test_curves_of_a_linear_model_are_those_by_hand() -> None:
    found = deletion_insertion(Linear(), ONES, TRUTH, 0, baseline=0, steps=4)
    # the order is 3, 1, 0.5, -2: taken away from 2.5, put into 0
    removed = [sigmoid(z) for z in (2.5, -0.5, -1.5, -2, 0)]
    brought = [sigmoid(z) for z in (0, 3, 4, 4.5, 2.5)]
    assert found.fractions.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert found.deletion["attribution"][0].tolist() == pytest.approx(removed, abs=1e-6)
    assert found.insertion["attribution"][0].tolist() == pytest.approx(brought, abs=1e-6)
    area = sum((a + b) / 2 for a, b in itertools.pairwise(removed)) / 4
    assert found.area(found.deletion["attribution"]).item() == pytest.approx(area, abs=1e-6)
    halves = deletion_insertion(Linear(), ONES, TRUTH, 0, baseline=0, steps=2)
    assert halves.deletion["attribution"][0].tolist() == pytest.approx(removed[::2], abs=1e-6)
    other = deletion_insertion(Linear(), ONES, -TRUTH, 1, baseline=0, steps=4)
    assert other.deletion["attribution"][0].tolist() == pytest.approx(
        [1 - sigmoid(z) for z in (2.5, 4.5, 4, 3, 0)], abs=1e-6
    )


def test_the_truth_is_believable_and_its_opposite_is_not() -> None:
    generator = torch.Generator().manual_seed(0)
    images = 0.5 + torch.rand(40, 1, 2, 2, generator=generator)
    truth = images[:, 0] * TRUTH
    found = deletion_insertion(
        Linear(), images, {"truth": truth, "opposite": -truth, "image": images[:, 0]}, 0,
        baseline=0, steps=4, random_orders=24,
    )  # fmt: skip
    assert found.verdict("truth") == "believable"
    assert found.verdict("opposite") == "not believable: no better than chance"
    rows = {row.method: row for row in found.rows}
    assert list(rows) == ["truth", "opposite", "image", "ink", "chance"]
    assert rows["truth"].beats_chance == 1
    assert rows["truth"].beats_ink > 0.9  # now and then the brightest pixels are the best
    assert rows["opposite"].beats_chance == 0
    assert rows["image"].deletion == pytest.approx(rows["ink"].deletion)
    assert rows["image"].insertion == pytest.approx(rows["ink"].insertion)
    assert rows["truth"].deletion < rows["chance"].deletion < rows["opposite"].deletion
    assert rows["truth"].insertion > rows["chance"].insertion > rows["opposite"].insertion
    assert "believable" in str(found)
    assert "<td" in found._repr_html_()


def test_a_single_image_has_a_verdict_too() -> None:
    found = deletion_insertion(Linear(), ONES, attribution_for(0), baseline=0, steps=4)
    assert found.verdict("truth") == "believable"
    assert (found.sooner("truth") > 0).all()
    assert (found.sooner("truth", than="ink") > 0).all()


@pytest.mark.parametrize(
    ("good", "bad", "verdict"),
    [(5, 0, True), (4, 1, False), (4, 0, True), (3, 1, False), (61, 39, True), (60, 40, False)],
)
def test_most_is_more_than_luck_would_have(good: int, bad: int, verdict: bool) -> None:
    images = torch.ones(good + bad, 1, 2, 2)
    maps = torch.cat([TRUTH.expand(good, 2, 2), -TRUTH.expand(bad, 2, 2)])
    found = deletion_insertion(Linear(), images, maps, 0, baseline=0, steps=4)
    assert found.rows[0].beats_chance == pytest.approx(good / (good + bad))
    assert (found.verdict("attribution") == "believable") == verdict


def test_chance_is_the_mean_over_orders() -> None:
    found = deletion_insertion(Linear(), ONES, TRUTH, 0, baseline=0, steps=4, random_orders=400)
    # after one of four pixels, each as often as the others
    once = np.mean([sigmoid(2.5 - w) for w in WEIGHTS])
    assert found.chance.shape == found.ink.shape == (1, 400, 5)
    assert found.chance[0, :, 1].mean().item() == pytest.approx(once, abs=0.03)
    assert len(found.chance[0, :, 1].unique()) == 4
    assert torch.equal(found.chance, found.ink)  # all pixels are equally far from the baseline
    again = deletion_insertion(Linear(), ONES, TRUTH, 0, baseline=0, steps=4, random_orders=400)
    assert torch.equal(found.chance, again.chance)
    other = deletion_insertion(Linear(), ONES, TRUTH, 0, baseline=0, steps=4, random_orders=400, seed=1)
    assert not torch.equal(found.chance, other.chance)


def test_ink_goes_from_what_is_farthest_from_the_baseline() -> None:
    image = torch.tensor([[[[0.1, 0.0], [0.7, 0.3]]]])
    found = deletion_insertion(Linear(), image, TRUTH, 0, steps=4)  # the background is 0
    z = np.cumsum([0.3 + 0.7 + 0.15, -0.7, -0.15, -0.3, 0])
    for curve in found.ink[0]:
        assert curve.tolist() == pytest.approx([sigmoid(v) for v in z], abs=1e-6)


def test_ink_that_is_all_a_map_knows_is_told() -> None:
    torch.manual_seed(0)
    images = -torch.ones(60, 1, 4, 4)
    for image in images:  # four bright pixels, each as important as the others
        image.view(-1)[torch.randperm(16)[:4]] = torch.rand(4) + 1
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    with torch.no_grad():
        model[1].weight.copy_(torch.stack([torch.ones(16), -torch.ones(16)]))
        model[1].bias.zero_()
    found = deletion_insertion(model, images, images[:, 0], 0, steps=16)
    assert found.verdict("attribution") == "tells no more than the ink"
    row = found.rows[0]
    assert row.beats_chance == 1


def test_equal_values_come_in_an_order_that_the_seed_decides() -> None:
    flat = torch.zeros(1, 2, 2)
    found = [
        deletion_insertion(Linear(), ONES, flat, 0, baseline=0, steps=4, seed=seed).deletion[
            "attribution"
        ]
        for seed in (0, 0, 1, 2, 3)
    ]
    assert torch.equal(found[0], found[1])
    assert any(not torch.equal(found[0], other) for other in found[2:])


def test_classes_are_those_of_the_maps_unless_told() -> None:
    one, zero = attribution_for(1), attribution_for(0)
    assert deletion_insertion(Linear(), ONES, one, steps=4).target.tolist() == [1]
    assert deletion_insertion(Linear(), ONES, TRUTH, steps=4).target.tolist() == [
        0
    ]  # the predicted one
    assert list(deletion_insertion(Linear(), ONES, one, 0, steps=4).deletion) == ["truth"]
    with pytest.raises(DataError, match="the maps 'a' and 'b' were made for different classes"):
        deletion_insertion(Linear(), ONES, {"a": one, "b": zero}, steps=4)
    both = deletion_insertion(Linear(), ONES, {"a": one, "b": zero}, 1, steps=4)
    assert torch.equal(both.deletion["a"], both.deletion["b"])


def test_batches_change_nothing_and_are_tracked(digits: tuple[Tensor, Tensor]) -> None:
    model, images = SmallCNN(), digits[0][:7]
    maps = {m: attribute(model, images, method=m) for m in ("saliency", "grad-cam")}
    seen = []

    def track(items: range) -> range:
        seen.append(len(items))
        return items

    whole = deletion_insertion(model, images, maps, steps=10)
    parts = deletion_insertion(model, images, maps, steps=10, batch_size=3, track=track)
    assert seen == [3]
    for name in maps:
        assert torch.allclose(whole.deletion[name], parts.deletion[name], atol=1e-6)
        assert torch.allclose(whole.insertion[name], parts.insertion[name], atol=1e-6)
    probabilities = model.eval()(images).softmax(1).amax(1)
    assert torch.allclose(whole.deletion["saliency"][:, 0], probabilities, atol=1e-6)
    assert torch.allclose(whole.chance_insertion[:, 4, -1], probabilities, atol=1e-6)


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_as_before(fails: bool, digits: tuple[Tensor, Tensor]) -> None:
    model, images = SmallCNN().train(), digits[0][:3]
    model.pool.eval()
    model(images).sum().backward()
    passes = []

    def count(_layer: nn.Module, _inputs: object, _outputs: object) -> None:
        torch.rand(1)
        np.random.rand()
        passes.append(1)
        if fails and len(passes) > 3:
            raise RuntimeError("in the middle")

    model.fc.register_forward_hook(count)
    before = traces(model)
    if fails:
        with pytest.raises(RuntimeError, match="in the middle"):
            deletion_insertion(model, images, images[:, 0])
    else:
        deletion_insertion(model, images, images[:, 0])
    assert same(before, traces(model))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match=r"the map 'attribution' is \(2, 2\) or has NaN"):
        deletion_insertion(Linear(), ONES, TRUTH[0], steps=4)
    with pytest.raises(DataError, match="has NaN in it"):
        deletion_insertion(Linear(), ONES, TRUTH * float("nan"), steps=4)
    for options in ({"steps": 0}, {"steps": 5}, {"random_orders": 0, "steps": 4}):
        with pytest.raises(UsageError, match="there are 1 to 4 steps, and one random order"):
            deletion_insertion(Linear(), ONES, TRUTH, **options)
    with pytest.raises(UsageError, match="0 methods"):
        deletion_insertion(Linear(), ONES, {}, steps=4)
    with pytest.raises(UsageError, match=r"not logits \(N, K\)"):
        deletion_insertion(nn.Sequential(nn.Flatten(), nn.Linear(4, 1)), ONES, TRUTH, steps=4)
