"""Everything works for every registered network, on grey and on colour images: by enumeration."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import Page

from conftest import same_weights
from lenetscope import Architecture, Inspection
from lenetscope.cli import main
from lenetscope.data.dataset import LabelledImages, RawDataset
from lenetscope.data.sources import DATASETS
from lenetscope.errors import LenetscopeError
from lenetscope.models import MODELS
from lenetscope.observe import find_layers
from lenetscope.questions import QUESTIONS
from lenetscope.questions.activation_maximization import Ascent
from lenetscope.questions.attribution import attribute
from lenetscope.recording import capture
from lenetscope.registry import Registry
from lenetscope.report import build
from lenetscope.runs import Run, RunWriter
from lenetscope.selection import Selection
from report_runs import make_run, until

pytestmark = pytest.mark.slow

KINDS = {"grey": ((1, 28, 28), 10), "colour": ((3, 20, 20), 3)}
LOSSES = {"reader": "ctc"}  # of those that are not trained with cross entropy
SHIPPED = [name for name in MODELS.names() if name in Registry("model", "lenetscope.models").names()]


@dataclass(frozen=True)
class Lines:
    """Images whose class is where a bright line lies."""

    shape: tuple[int, int, int]
    classes: int

    def part(self, count: int, seed: int) -> LabelledImages:
        generator = torch.Generator().manual_seed(seed)
        labels = torch.arange(count) % self.classes
        images = torch.randint(0, 90, (count, *self.shape), generator=generator)
        for image, label in zip(images, labels.tolist(), strict=True):
            image[label % self.shape[0], 2 * label + 3 : 2 * label + 6, 3:-3] = 250
        return LabelledImages(images.to(torch.uint8), labels)

    def __call__(self, _folder: Path | None, _download: bool) -> RawDataset:
        names = tuple(f"line {k}" for k in range(self.classes))
        parts = self.part(20, 1), self.part(10, 2)
        return RawDataset(*parts, names, {"lines": "0" * 32}, "lines", None)


for kind, (shape, classes) in KINDS.items():
    DATASETS.register(f"{kind} lines")(Lines(shape, classes))


DRAWN = """(x, y) => {
  const input = document.getElementById("input");
  const often = { willReadFrequently: true };
  const copy = new OffscreenCanvas(input.width, input.height).getContext("2d", often);
  copy.drawImage(input, 0, 0);
  return [...copy.getImageData(x, y, 1, 1).data];
}"""


@pytest.fixture(
    scope="module", params=[(name, kind) for name in SHIPPED for kind in KINDS], ids="-".join
)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of one epoch on twenty images."""
    name, kind = request.param
    grey = [0.5] * KINDS[kind][0][0]
    return make_run(
        tmp_path_factory.mktemp(name) / kind, f"{kind} lines", model=name,
        mean=grey, std=grey, lr=0.01, batch_size=10, loss=LOSSES.get(name, "cross-entropy"),
    )  # fmt: skip


def test_it_is_observed_evaluated_and_predicts(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inspection = Inspection.open(run)
    (channels, height, width), classes = inspection.image_shape, len(inspection.classes)
    layers = find_layers(inspection.model)
    with capture(inspection.model, None) as seen:
        inspection.model(inspection.images)
    assert {key.partition(":")[0] for key in seen} == layers.keys()
    assert all(len(values) == 10 for values in seen.values())
    assert inspection.logits.shape == (10, classes)
    assert inspection.scores.n == 10
    pixels = np.zeros((height, width, 3) if channels == 3 else (height, width), np.uint8)
    pixels[4:8, 3:-3] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    for words in (["evaluate", str(run.path)], ["predict", str(run.path), str(tmp_path / "a.png")]):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert not ended.value.code, capsys.readouterr().err


def test_it_is_resumed_bit_for_bit(run: Run, tmp_path: Path) -> None:
    copy = Run.open(shutil.copytree(run.path, tmp_path / "again"))
    resumed = Architecture.resume_run(copy, epochs=2)
    resumed.train(1, callbacks=[RunWriter(copy)], progress=False)
    whole = Architecture.from_recipe(run.recipe().replace(epochs=2))
    whole.train(2, progress=False)
    assert same_weights(resumed.model, whole.model)
    assert same_weights(resumed.model, Run.open(copy.path).load_model())


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what takes steps take few."""
    maximization = "lenetscope.questions.activation_maximization"
    monkeypatch.setattr(f"{maximization}.Ascent", partial(Ascent, steps=2))
    monkeypatch.setattr(f"{maximization}.PAGE_STEPS", 2)
    quick = partial(attribute, steps=2)
    monkeypatch.setattr("lenetscope.questions.attribution.attribute", quick)
    monkeypatch.setattr("lenetscope.questions.faithfulness.PAGE_POINTS", 2)
    monkeypatch.setattr("lenetscope.questions.faithfulness.JUDGED", 2)
    monkeypatch.setattr("lenetscope.questions.faithfulness.PAGE_IMAGES", 2)


@pytest.mark.usefixtures("hasty")
def test_every_question_is_answered_or_does_not_apply(run: Run) -> None:
    inspection = Inspection.open(run)
    selection = Selection.of(inspection, layers=inspection.convolutions[-1:] or ["fc1"])
    selection = replace(selection, pixels=selection.pixels[:1], labels=None)
    refused = {}
    for name in QUESTIONS.names():
        question = QUESTIONS.get(name)
        answers: list[Callable[[], object]] = [
            lambda question=question: question.part and question.part(inspection),
            lambda question=question: [f for _, f in question.figures(inspection, selection)],
        ]
        # figures of colour images take each way that those of grey ones take
        for answer in answers[: inspection.image_shape[0]]:
            try:
                answer()
            except LenetscopeError as error:
                refused[name] = str(error)
    assert all("\n" not in reason for reason in refused.values())
    without_maps = {"ablation", "filters", "snapshots", "top-patches"}
    allowed = set() if inspection.convolutions else without_maps
    assert refused.keys() <= allowed, refused


def test_the_page_predicts_what_pytorch_does(
    run: Run, tmp_path: Path, reader: Callable[..., Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    inspection = Inspection.open(run)
    few = Registry("question")
    few.register("confusion")(QUESTIONS.get("confusion"))
    monkeypatch.setattr(build, "QUESTIONS", few)
    (tmp_path / "report.html").write_text(build.render(inspection), "utf-8")
    page = reader(tmp_path / "report.html")
    found = page.evaluate(
        "(images) => images.map((pixels) => lenetscope.network.predict(pixels))",
        inspection.pixels.flatten(1).tolist(),
    )
    expected = inspection.logits.softmax(1).numpy()
    assert np.abs(np.array(found) - expected).max() <= 1e-4
    draw = page.locator("#draw").inner_text()
    assert not re.search("digit|MNIST", draw)
    colour = inspection.image_shape[0] == 3
    assert page.locator("#pen-colour").is_visible() == colour
    assert page.locator("#centre").is_visible() != colour
    if colour:  # a blue page with a red line
        page.locator("#pen-colour").evaluate("(pen) => (pen.value = '#0000ff')")
        page.locator("#fill").click()
        page.get_by_label("red pen").click()
        box = page.locator("#pad").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 70, box["y"] + 147)
        page.mouse.down()
        page.mouse.move(box["x"] + 210, box["y"] + 147, steps=3)
        page.mouse.up()
        until(page, f"({DRAWN})(10, 10).join() === '214,39,40,255'")
        assert page.evaluate(f"({DRAWN})(2, 2)") == [0, 0, 255, 255]
    last = page.locator("#layers .layer").last
    last.locator("button").first.click()
    for _ in range(len(inspection.layers) + 60):  # back to the image, through every kind of step
        back = page.locator("#large-terms > button")
        if not back.count():
            break
        back.last.click()
    assert page.locator("#large").is_visible()
    assert page.locator("#large-terms > button").count() == 0
