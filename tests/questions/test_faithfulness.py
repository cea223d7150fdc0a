"""Deletion and insertion: curves and areas by hand where the truth is known; and their figure."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from conftest import SmallCNN
from lenetscope.errors import DataError, UsageError
from lenetscope.plots import style
from lenetscope.questions.attribution import Attribution, attribute
from lenetscope.questions.faithfulness import Faithfulness, deletion_insertion, plot_faithfulness

WEIGHTS = (3.0, -2.0, 1.0, 0.5)


class Linear(nn.Module):
    """Logits (weights · pixels, 0) of 2x2 images: the attribution of a pixel is its weight."""

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
MAPS = {"attribution": TRUTH}


def attribution_for(target: int) -> Attribution:
    none = torch.zeros(1)
    return Attribution("truth", TRUTH, torch.tensor([target]), none, signed=True)


def test_curves_of_a_linear_model_are_those_by_hand() -> None:
    found = deletion_insertion(Linear(), ONES, MAPS, 0, baseline=0, steps=4)
    # the order is 3, 1, 0.5, -2: taken away from 2.5, put into 0
    removed = [sigmoid(z) for z in (2.5, -0.5, -1.5, -2, 0)]
    brought = [sigmoid(z) for z in (0, 3, 4, 4.5, 2.5)]
    assert found.fractions.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert found.deletion["attribution"][0].tolist() == pytest.approx(removed, abs=1e-6)
    assert found.insertion["attribution"][0].tolist() == pytest.approx(brought, abs=1e-6)
    area = sum((a + b) / 2 for a, b in itertools.pairwise(removed)) / 4
    assert found.area(found.deletion["attribution"]).item() == pytest.approx(area, abs=1e-6)
    halves = deletion_insertion(Linear(), ONES, MAPS, 0, baseline=0, steps=2)
    assert halves.deletion["attribution"][0].tolist() == pytest.approx(removed[::2], abs=1e-6)
    other = deletion_insertion(Linear(), ONES, {"attribution": -TRUTH}, 1, baseline=0, steps=4)
    assert other.deletion["attribution"][0].tolist() == pytest.approx(
        [1 - sigmoid(z) for z in (2.5, 4.5, 4, 3, 0)], abs=1e-6
    )


def test_the_truth_is_faithful_and_its_opposite_is_not() -> None:
    generator = torch.Generator().manual_seed(0)
    images = 0.5 + torch.rand(40, 1, 2, 2, generator=generator)
    truth = images[:, 0] * TRUTH
    found = deletion_insertion(
        Linear(), images, {"truth": truth, "opposite": -truth, "image": images[:, 0]}, 0,
        baseline=0, steps=4, random_orders=24,
    )  # fmt: skip
    assert found.verdict("truth") == "faithful"
    assert found.verdict("opposite") == "no better than chance"
    rows = {row.method: row for row in found.rows}
    assert list(rows) == ["truth", "opposite", "image", "ink", "chance"]
    assert rows["truth"].beats_chance == 1
    assert rows["truth"].beats_ink > 0.9  # now and then the brightest pixels are the best
    assert rows["opposite"].beats_chance == 0
    assert rows["image"].deletion == pytest.approx(rows["ink"].deletion)
    assert rows["image"].insertion == pytest.approx(rows["ink"].insertion)
    assert rows["truth"].deletion < rows["chance"].deletion < rows["opposite"].deletion
    assert rows["truth"].insertion > rows["chance"].insertion > rows["opposite"].insertion
    assert "faithful" in str(found)
    assert "<td" in found._repr_html_()


def test_a_single_image_has_a_verdict_too() -> None:
    found = deletion_insertion(Linear(), ONES, {"truth": attribution_for(0)}, baseline=0, steps=4)
    assert found.verdict("truth") == "faithful"
    assert (found.gains("truth") > 0).all()
    assert (found.gains("truth", than="ink") > 0).all()


@pytest.mark.parametrize(
    ("good", "bad", "verdict"),
    [(5, 0, True), (4, 1, False), (4, 0, True), (3, 1, False), (61, 39, True), (60, 40, False)],
)
def test_most_is_more_than_chance_would_have(good: int, bad: int, verdict: bool) -> None:
    images = torch.ones(good + bad, 1, 2, 2)
    maps = torch.cat([TRUTH.expand(good, 2, 2), -TRUTH.expand(bad, 2, 2)])
    found = deletion_insertion(Linear(), images, {"attribution": maps}, 0, baseline=0, steps=4)
    assert found.rows[0].beats_chance == pytest.approx(good / (good + bad))
    assert (found.verdict("attribution") == "faithful") == verdict


def test_chance_is_the_mean_over_orders() -> None:
    def chance(**options: int) -> Tensor:
        found = deletion_insertion(Linear(), ONES, MAPS, 0, baseline=0, steps=4, **options)
        # all pixels are equally far from the baseline
        assert torch.equal(found.deletion["chance"], found.deletion["ink"])
        return found.deletion["chance"][0]

    # after one of four pixels, each as often as the others
    once = [sigmoid(2.5 - w) for w in WEIGHTS]
    assert chance(random_orders=400)[1].item() == pytest.approx(np.mean(once), abs=0.03)
    singles = [chance(random_orders=1, seed=seed)[1].item() for seed in range(20)]
    assert all(min(abs(single - each) for each in once) < 1e-6 for single in singles)
    assert len({round(single, 4) for single in singles}) == 4
    assert torch.equal(chance(), chance())


def test_ink_is_what_is_farthest_from_the_baseline_first() -> None:
    image = torch.tensor([[[[0.1, 0.0], [0.7, 0.3]]]])
    found = deletion_insertion(Linear(), image, MAPS, 0, steps=4)  # the background is 0
    z = np.cumsum([0.3 + 0.7 + 0.15, -0.7, -0.15, -0.3, 0])
    assert found.deletion["ink"][0].tolist() == pytest.approx([sigmoid(v) for v in z], abs=1e-6)


@pytest.mark.parametrize(
    ("deletion", "insertion", "verdict"),
    [
        (0.1, 0.9, "faithful"),
        (0.3, 0.9, "no better than ink"),
        (0.3, 0.4, "better than chance in deletion only"),
        (0.6, 0.9, "better than chance in insertion only"),
        (0.6, 0.4, "no better than chance"),
    ],
)
def test_the_verdict_follows_from_the_areas(deletion: float, insertion: float, verdict: str) -> None:
    def flat(value: float) -> Tensor:
        return torch.full((3, 2), value)

    found = Faithfulness(
        torch.tensor([0.0, 1]),
        {"mine": flat(deletion), "ink": flat(0.2), "chance": flat(0.5)},
        {"mine": flat(insertion), "ink": flat(0.8), "chance": flat(0.5)},
        torch.zeros(3).long(),
    )
    assert found.verdict("mine") == verdict
    mine, ink, chance = found.rows
    assert (mine.verdict, ink.verdict, chance.verdict) == (verdict, "-", "-")
    assert (ink.beats_chance, ink.beats_ink, chance.beats_chance, chance.beats_ink) == (
        1,
        None,
        None,
        None,
    )


def test_a_map_that_is_only_ink_is_recognized() -> None:
    torch.manual_seed(0)
    images = -torch.ones(60, 1, 4, 4)
    for image in images:  # four bright pixels, each as important as the others
        image.view(-1)[torch.randperm(16)[:4]] = torch.rand(4) + 1
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    with torch.no_grad():
        model[1].weight.copy_(torch.stack([torch.ones(16), -torch.ones(16)]))
        model[1].bias.zero_()
    found = deletion_insertion(model, images, {"attribution": images[:, 0]}, 0, steps=16)
    assert found.verdict("attribution") == "no better than ink"
    row = found.rows[0]
    assert row.beats_chance == 1


def test_equal_values_come_in_an_order_that_the_seed_decides() -> None:
    flat = torch.zeros(1, 2, 2)
    found = [
        deletion_insertion(
            Linear(), ONES, {"attribution": flat}, 0, baseline=0, steps=4, seed=seed
        ).deletion["attribution"]
        for seed in (0, 0, 1, 2, 3)
    ]
    assert torch.equal(found[0], found[1])
    assert any(not torch.equal(found[0], other) for other in found[2:])


def test_classes_are_those_of_the_maps_unless_told() -> None:
    one, zero = attribution_for(1), attribution_for(0)
    assert deletion_insertion(Linear(), ONES, {"truth": one}, steps=4).target.tolist() == [1]
    assert deletion_insertion(Linear(), ONES, MAPS, steps=4).target.tolist() == [0]  # the predicted one
    with pytest.raises(DataError, match="made for different classes"):
        deletion_insertion(Linear(), ONES, {"a": one, "b": zero}, steps=4)
    both = deletion_insertion(Linear(), ONES, {"a": one, "b": zero}, 1, steps=4)
    assert torch.equal(both.deletion["a"], both.deletion["b"])


def test_batches_change_nothing_and_are_handed_to_progress(digits: tuple[Tensor, Tensor]) -> None:
    model, images = SmallCNN(), digits[0][:7]
    maps = {m: attribute(model, images, method=m) for m in ("saliency", "grad-cam")}
    seen = []

    def progress(items: range) -> range:
        seen.append(len(items))
        return items

    whole = deletion_insertion(model, images, maps, steps=10)
    parts = deletion_insertion(model, images, maps, steps=10, batch_size=3, progress=progress)
    assert seen == [3]
    for name in maps:
        assert torch.allclose(whole.deletion[name], parts.deletion[name], atol=1e-6)
        assert torch.allclose(whole.insertion[name], parts.insertion[name], atol=1e-6)
    probabilities = model.eval()(images).softmax(1).amax(1)
    assert torch.allclose(whole.deletion["saliency"][:, 0], probabilities, atol=1e-6)
    assert torch.allclose(whole.insertion["chance"][:, -1], probabilities, atol=1e-6)


def test_nothing_is_left_behind(untouched_by: object) -> None:
    untouched_by(
        lambda model, images, _labels: deletion_insertion(model, images, {"ink?": images[:, 0]})
    )


def test_what_does_not_fit_is_refused() -> None:
    for wrong in (TRUTH[0], TRUTH * float("nan")):
        with pytest.raises(DataError, match=r"the map 'attribution' must be \(1, 2, 2\) without NaN"):
            deletion_insertion(Linear(), ONES, {"attribution": wrong}, steps=4)
    for maps, options in (
        (MAPS, {"steps": 0}),
        (MAPS, {"steps": 5}),
        (MAPS, {"random_orders": 0, "steps": 4}),
        ({}, {"steps": 4}),
        ({"ink": TRUTH}, {"steps": 4}),
    ):
        with pytest.raises(
            UsageError, match="steps must be 1 to 4 and random_orders at least 1|give maps by name"
        ):
            deletion_insertion(Linear(), ONES, maps, **options)
    with pytest.raises(UsageError, match="not logits"):
        deletion_insertion(nn.Sequential(nn.Flatten(), nn.Linear(4, 1)), ONES, MAPS, steps=4)


def test_curves_are_drawn_side_by_side_with_their_areas() -> None:
    fractions = torch.linspace(0, 1, 5)
    rising = fractions.expand(2, 5)
    flat = torch.full((2, 5), 0.5)
    found = Faithfulness(
        fractions,
        {"mine": 1 - rising, "ink": flat / 2, "chance": flat},
        {"mine": rising, "ink": flat * 1.5, "chance": flat},
        torch.zeros(2).long(),
    )
    figure = plot_faithfulness(found)
    left, right = figure.axes
    assert left.get_title() == "deletion: lower is better"
    assert right.get_title() == "insertion: higher is better"
    texts = [text.get_text() for text in left.get_legend().get_texts()]
    assert texts == ["0.500  mine", "0.250  ink", "0.500  chance"]
    assert np.allclose(left.lines[0].get_ydata(), 100 * (1 - fractions))
    assert np.allclose(right.lines[0].get_xdata(), 100 * fractions)
    assert left.get_ylabel() == "probability of the class (%)"
    assert left.lines[0].get_color() == right.lines[0].get_color() == style.TRAIN
    assert left.lines[1].get_linestyle() != "-"
    figure.draw_without_rendering()
    many = {f"method {k}": rising for k in range(8)}
    lines = plot_faithfulness(Faithfulness(fractions, many, many, found.target)).axes[0].lines
    looks = [(line.get_color(), str(line._unscaled_dash_pattern)) for line in lines]
    assert len(set(looks[:6])) == 6
