"""What the page refuses: as many images as it says, letters and scribbles, but not drawn digits."""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from playwright.sync_api import Page
from torch import Tensor

from lenetscope.inspection import Inspection
from lenetscope.questions import Question
from lenetscope.reading.training.strokes import shapes, write
from lenetscope.registry import Registry
from lenetscope.report import build, familiar, network
from lenetscope.runs.folder import Run
from report_runs import make_run, until

Reader = Callable[..., Page]
Stroke = list[tuple[int, int]]

DIGITS: dict[str, list[Stroke]] = {
    "0": [[(140, 50), (90, 90), (85, 180), (140, 230), (195, 180), (190, 90), (140, 50)]],
    "1": [[(140, 50), (138, 230)]],
    "2": [[(90, 90), (115, 60), (165, 60), (190, 100), (150, 160), (85, 225), (200, 225)]],
    "3": [
        [(90, 65), (150, 50), (185, 85), (140, 135)],
        [(140, 135), (195, 165), (180, 215), (130, 232), (85, 210)],
    ],
    "4": [[(110, 60), (85, 150), (200, 150)], [(165, 60), (160, 230)]],
    "5": [[(190, 55), (110, 55), (100, 130), (160, 125), (190, 170), (160, 220), (90, 225)]],
    "6": [[(175, 55), (115, 110), (95, 180), (130, 230), (180, 210), (175, 165), (105, 170)]],
    "7": [[(85, 60), (195, 60), (150, 140), (125, 230)]],
    "8": [
        [(140, 135), (95, 95), (140, 50), (185, 95), (140, 135)],
        [(140, 135), (85, 185), (140, 230), (195, 185), (140, 135)],
    ],
    "9": [[(185, 95), (140, 50), (95, 95), (130, 140), (185, 100), (180, 160), (165, 230)]],
}
UNKNOWN = "No digit that this network knows"
OTHERS: dict[str, tuple[str, list[Stroke]]] = {
    "A": (
        UNKNOWN,
        [[(80, 230), (140, 50), (200, 230)], [(105, 160), (175, 160)]],
    ),
    "W": (
        UNKNOWN,
        [[(50, 70), (90, 220), (140, 110), (190, 220), (230, 70)]],
    ),
    "scribble": (
        UNKNOWN,
        [[(60, 60), (200, 90), (80, 200), (220, 160), (100, 50), (60, 170), (190, 220), (230, 70)]],
    ),
    "horizontal line": (UNKNOWN, [[(60, 140), (220, 145)]]),
    "dot": ("Only a dot", [[(140, 140), (142, 141)]]),
    "42": (
        "More than one digit?",
        [
            [(60, 80), (40, 150), (110, 150)],
            [(90, 80), (90, 220)],
            [(160, 100), (190, 80), (215, 110), (160, 215), (230, 215)],
        ],
    ),
}


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Inspection:
    """A run of an epoch of MNIST, with 5,000 training images held out."""
    path = tmp_path_factory.mktemp("digits") / "digits"
    settings = {"model": "lean", "batch_size": 256, "optimizer": "adam", "lr": 0.003, "threads": 2}
    return Inspection.open(make_run(path, "mnist", holdout=5000, **settings))


@pytest.fixture(scope="module")
def digits_page(digits: Inspection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drawing page of that run, without questions."""
    path = tmp_path_factory.mktemp("digits-page") / "report.html"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(build, "QUESTIONS", Registry[Question]("question"))
        path.write_text(build.render(digits), "utf-8")
    return path


def test_the_distance_is_what_mean_and_directions_leave() -> None:
    spread = torch.zeros(40, 8)
    spread[:20, 0] = torch.linspace(-1, 1, 20)  # class 0 lies on the first axis
    spread[20:, 1:3] = torch.tensor([3.0, 4.0])  # class 2 is one point
    labels = torch.tensor([0] * 20 + [2] * 20)
    classes = familiar.Subspaces.of(spread, labels)
    asked = torch.zeros(3, 8)
    asked[0, 0], asked[1, 5], asked[2, 1:3] = 0.7, 2, torch.tensor([3.0, 4.5])
    assert classes.distances(asked).tolist() == pytest.approx([0, 4, 0.25], abs=0.02)
    assert classes.rows.shape[0] == 2


def test_as_many_validation_images_are_refused_as_it_says(bars_run: Run) -> None:
    inspection = Inspection.open(bars_run)
    before = copy.deepcopy(inspection.model.state_dict())
    graph = network.describe(inspection.model, inspection.image_shape)
    found = familiar.fit(inspection, graph)
    layers, _ = familiar.layers_of(inspection, graph)
    vectors, labels = layers.evenly(inspection.splits.valid)
    assert len(labels) == found.images == 23
    above = found.classes.distances(vectors) > found.threshold
    assert float(above.double().mean()) == found.refused <= familiar.REFUSED
    assert found.as_dict()["classes"]["shape"] == tuple(found.classes.rows.shape)
    assert all(
        torch.equal(value, before[name]) for name, value in inspection.model.state_dict().items()
    )


@pytest.mark.slow
def test_letters_are_refused_and_test_images_are_not(digits: Inspection) -> None:
    graph = network.describe(digits.model, digits.image_shape)
    found = familiar.fit(digits, graph)
    assert found.images == 5000
    assert found.refused == familiar.REFUSED
    layers, _ = familiar.layers_of(digits, graph)

    def refused(pixels: Tensor) -> float:
        return float(
            (found.classes.distances(layers.vectors(pixels)) > found.threshold).double().mean()
        )

    assert refused(digits.pixels) < 1.5 * familiar.REFUSED
    torch.manual_seed(0)
    which = torch.arange(25).repeat_interleave(20)  # A to x
    hand = 0.5 * torch.randn(500, shapes("letters").points.shape[1], 2)
    stretch = torch.stack([0.6 + 0.4 * torch.rand(500), torch.ones(500)], dim=1)
    radius = 1.5 * torch.rand(500) + 0.1
    written = write(which, "letters", hand, radius, stretch)  # (500, 28, 28)
    pixels = (255 * written[:, None]).to(torch.uint8)
    assert refused(pixels) > 0.75
    with torch.no_grad():
        energy = -digits.model(digits.prepared(pixels)).logsumexp(1)
        valid = -digits.logits_of(digits.splits.valid).logsumexp(1)
    assert (energy > valid.quantile(1 - familiar.REFUSED)).float().mean() < refused(pixels)


def draw(page: Page, strokes: list[Stroke]) -> tuple[str, str]:
    """Draw with the mouse, and return the heading and the reason that the page shows."""
    page.locator("#clear").click()
    until(page, "document.getElementById('prediction').textContent === 'Draw something.'")
    box = page.locator("#pad").bounding_box()
    assert box is not None
    for stroke in strokes:
        for number, (x, y) in enumerate(stroke):
            page.mouse.move(box["x"] + x, box["y"] + y, steps=4)
            if number == 0:
                page.mouse.down()
        page.mouse.up()
    page.wait_for_timeout(200)
    until(page, "document.getElementById('prediction').textContent !== 'Draw something.'")
    return page.locator("#prediction").inner_text(), page.locator("#refused").inner_text()


@pytest.mark.slow
def test_drawn_digits_are_read_and_other_drawings_refused(reader: Reader, digits_page: Path) -> None:
    page = reader(digits_page)
    for name, (heading, strokes) in OTHERS.items():
        found, reason = draw(page, strokes)
        assert found == heading, name
        assert "If it had to choose: " in reason
        assert page.locator("#bars.muted").count() == 1
    assert "98.0 % of 5,000 validation images" in draw(page, OTHERS["A"][1])[1]
    read = {digit: draw(page, strokes)[0] for digit, strokes in DIGITS.items()}
    assert page.locator("#bars.muted").count() == 0
    assert {digit: text[:3] for digit, text in read.items()} == {k: f"{k}, " for k in DIGITS}


@pytest.mark.slow
def test_the_page_measures_the_distance_that_python_does(
    reader: Reader, digits: Inspection, digits_page: Path, strange_page: Path, strange_run: Run
) -> None:
    for path, inspection in ((digits_page, digits), (strange_page, Inspection.open(strange_run))):
        graph = network.describe(inspection.model, inspection.image_shape)
        found, (layers, _) = familiar.fit(inspection, graph), familiar.layers_of(inspection, graph)
        pixels = inspection.pixels[:20]
        measured = reader(path).evaluate(
            """(images) => images.map((pixels) =>
              lenetscope.familiar.distance(lenetscope.network.run(lenetscope.network.preprocess(pixels))))""",
            pixels.flatten(1).tolist(),
        )
        expected = found.classes.distances(layers.vectors(pixels)).numpy()
        assert np.abs(np.array(measured) - expected).max() < 1e-4
