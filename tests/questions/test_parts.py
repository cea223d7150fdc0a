"""Parts of the report about scores, errors and attributions: what they say of a small network."""

import re
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from conftest import SmallCNN
from lenetscope.errors import DataError
from lenetscope.evaluation import Scores, Tally
from lenetscope.evaluation.mistakes import find_mistakes
from lenetscope.progress import no_progress
from lenetscope.questions import QUESTIONS
from lenetscope.selection import Selection, examples_of, images_to_embed

NAMES = [
    "confusion",
    "mistakes",
    "calibration",
    "coverage",
    "attribution",
    "faithfulness",
    "embedding",
    "counterfactual",
]
CLASSES = ("cat", "<dog>", "c")


class Balanced(HTMLParser):
    """Fails unless each element is closed where it should be."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def inspected(model: nn.Module, errors: int, maps: str | None = "conv1") -> SimpleNamespace:
    """Stand in for an inspection of a small network."""
    images = torch.rand(60, 1, 10, 10, generator=torch.Generator().manual_seed(0))
    images += (torch.arange(60) % 3 / 3)[:, None, None, None]
    pixels = (images * 100).to(torch.uint8)
    logits = model.eval()(images).detach()
    predicted = logits.argmax(dim=1)
    labels = predicted.clone()
    labels[: 3 * errors : 3] = (labels[: 3 * errors : 3] + 1) % 3
    tally = Tally()
    loss_fn = nn.CrossEntropyLoss()
    tally.add(logits, labels, loss_fn(logits, labels), loss_fn)
    features = {"features": logits, "train_features": logits, "train_labels": labels}
    examples = examples_of(labels, predicted, 3)
    return SimpleNamespace(
        model=model,
        images=images,
        labels=labels,
        pixels=pixels,
        train_pixels=pixels,
        classes=CLASSES,
        image_shape=(1, 10, 10),
        logits=logits,
        probabilities=logits.softmax(dim=1),
        predicted=predicted,
        scores=Scores.from_tally(tally, CLASSES),
        mistakes=find_mistakes(logits.softmax(dim=1), labels, **features),
        examples=examples,
        embedded=images_to_embed(labels, predicted, (1, 10, 10), examples),
        last_layer="fc",
        penultimate="dropout",
        sample=lambda count: torch.arange(60)[::2][:count],
        last_maps=maps,
        progress=no_progress,
        prepared=lambda some: some / 100,
        arch=SimpleNamespace(
            recipe=SimpleNamespace(holdout=0),
            predict=lambda some: model(some / 100).detach().numpy(),
        ),
        run=SimpleNamespace(scores=lambda: None),
        splits=SimpleNamespace(valid=SimpleNamespace(labels=labels)),
        logits_of=lambda _data: logits,
    )


@pytest.fixture(scope="module")
def fallible() -> SimpleNamespace:
    torch.manual_seed(1)
    return inspected(SmallCNN(), errors=20)


@pytest.fixture(scope="module")
def perfect() -> SimpleNamespace:
    class Brightness(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([-((x.mean((1, 2, 3)) - 0.5 - k / 3) ** 2) for k in range(3)], dim=1)

    return inspected(Brightness(), errors=0, maps=None)


def part(inspection: SimpleNamespace, name: str) -> str:
    """Return the text of a part, whose elements must be balanced."""
    html = str(QUESTIONS.get(name).part(inspection).html)
    parser = Balanced()
    parser.feed(html)
    parser.close()
    assert not parser.open
    return html


@pytest.mark.parametrize("name", NAMES)
def test_parts_and_figures_of_a_network_that_makes_mistakes(
    fallible: SimpleNamespace, name: str
) -> None:
    assert "<dog>" not in part(fallible, name)
    selection = Selection(fallible.pixels[:2], ["cat", "<dog>"], None)
    figures = dict(QUESTIONS.get(name).figures(fallible, selection))
    assert all(each.startswith(name) for each in figures)
    for figure in figures.values():
        figure.draw_without_rendering()


def test_the_confusion_matrix_has_a_button_per_cell_that_counts_images(
    fallible: SimpleNamespace,
) -> None:
    html = part(fallible, "confusion")
    found = re.findall(r'data-true="(\d)" data-predicted="(\d)"\s+aria-label="[^"]*">(\d+)<', html)
    counts = fallible.scores.confusion
    assert {(int(i), int(j)): int(n) for i, j, n in found} == {
        (i, j): int(counts[i, j]) for i in range(3) for j in range(3) if counts[i, j]
    }
    assert 'id="confusion" class="confusion long"' in html
    assert 'id="cell"' in html
    fallible.embedded = SimpleNamespace(left_out=1234)
    assert "1,234 misclassified images are counted" in " ".join(part(fallible, "confusion").split())


def test_each_mistake_has_a_card_and_the_later_ones_are_folded(fallible: SimpleNamespace) -> None:
    html = part(fallible, "mistakes")
    mistakes = fallible.mistakes
    assert len(mistakes) == 20
    assert html.count('class="card"') == len(mistakes)
    assert re.findall(r"test image (\d+)</p>", html) == [str(row.index) for row in mistakes]
    assert f"<summary>The other {len(mistakes) - 12}</summary>" in html
    assert html.count("<img") == len(mistakes) * (2 + 5)


def test_mistakes_are_shown_without_maps_where_there_are_none(
    fallible: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_given: object, **_options: object) -> None:
        raise DataError("no maps")

    monkeypatch.setattr("lenetscope.questions.mistakes.attribute", refuse)
    assert part(fallible, "mistakes").count("<img") == len(fallible.mistakes) * (1 + 5)


def test_a_perfect_network(perfect: SimpleNamespace) -> None:
    assert not perfect.mistakes
    text = {name: " ".join(part(perfect, name).split()) for name in NAMES[:4]}
    assert "All 60 test images are classified correctly" in text["mistakes"]
    assert "an error rate of 4.87 %" in text["mistakes"]  # 0.9513 ** 60 is 1 in 20
    assert "No image is misclassified" in text["confusion"]
    assert "The network is underconfident" in text["calibration"]
    assert "No temperature was fitted: in one half of the images" in text["calibration"]
    selection = Selection(perfect.pixels[:2], None, None)
    assert list(QUESTIONS.get("mistakes").figures(perfect, selection)) == []
    (figure,) = dict(QUESTIONS.get("calibration").figures(perfect, selection)).values()
    assert [ax.get_title() for ax in figure.axes[:1]] == ["as trained"]


def test_temperatures_are_fitted_on_what_was_held_out(fallible: SimpleNamespace) -> None:
    assert "each fitted on one half" in part(fallible, "calibration")
    held_out = SimpleNamespace(
        **vars(fallible) | {"arch": SimpleNamespace(recipe=SimpleNamespace(holdout=9))}
    )
    assert "(fitted on the images held out)" in part(held_out, "calibration")


def test_methods_that_need_maps_are_left_out_without_maps(fallible: SimpleNamespace) -> None:
    assert "grad-cam" in part(fallible, "faithfulness")
    without = SimpleNamespace(**vars(fallible) | {"last_maps": None})
    assert "grad-cam" not in part(without, "faithfulness")
