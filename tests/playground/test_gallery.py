"""The gallery: test images by what the network takes them for, and as a map."""

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Page, expect
from torch import Tensor

from conftest import write_bars
from report_runs import HOSTILE, LONG, make_run, strange
from visitors import Playground, Visitor, serve

pytestmark = pytest.mark.slow

Visit = Callable[..., Visitor]
CLASSES = 26


@dataclass
class Known:
    """A playground of 104 colour images of 26 classes, and what plain PyTorch says of them."""

    place: Playground
    pixels: Tensor
    labels: Tensor
    features: Tensor
    probabilities: Tensor

    @property
    def predicted(self) -> Tensor:
        return self.probabilities.argmax(1)

    @property
    def mistakes(self) -> list[int]:
        """Numbers of the mistakes, the worst first."""
        own = self.probabilities[torch.arange(104), self.labels].tolist()
        wrong = [i for i in range(104) if self.predicted[i] != self.labels[i]]
        return sorted(wrong, key=lambda i: own[i])

    def ask(self, name: str, **fields: Any) -> Any:
        """Return an answer that must not be refused."""
        status, answer = self.place.ask(name, fields)
        assert status == 200, answer
        return answer


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Known]:
    folder = tmp_path_factory.mktemp("strange")
    run = make_run(folder / "run", "strange", model="branched", lr=0.003, epochs=2)
    test = strange(None, False).test
    assert test is not None
    model, given = run.load_model().eval(), list[Tensor]()
    model.fc.register_forward_pre_hook(lambda _module, inputs: given.append(inputs[0]))
    recipe = run.recipe()
    mean, std = (torch.tensor(x).reshape(-1, 1, 1) for x in (recipe.mean, recipe.std))
    with torch.no_grad():
        found = model((test.images[:].float() / 255 - mean) / std).softmax(1)
    for place in serve(folder, run):
        yield Known(place, test.images[:], test.labels, given[0], found)


def sent(answer: Any) -> np.ndarray:
    """Return the pixels of an answer, one row per image."""
    rows = np.frombuffer(base64.b64decode(answer["pixels"]), np.uint8)
    return rows.reshape(len(answer["index"]), -1)


def test_counts_are_those_of_every_image(known: Known) -> None:
    answer = known.ask("confusion")
    counts = np.zeros((CLASSES, CLASSES), int)
    for label, predicted in zip(known.labels.tolist(), known.predicted.tolist(), strict=True):
        counts[label, predicted] += 1
    assert answer["counts"] == counts.tolist()
    assert (answer["n"], answer["errors"]) == (104, len(known.mistakes))
    assert 0 < answer["errors"] < 104
    i, j = divmod(int((counts - np.diag(counts.diagonal())).argmax()), CLASSES)
    assert answer["shares"][i][j] == pytest.approx(counts[i, j] / 4)  # of 4 images of each class
    assert all(answer["shares"][k][k] == 0 for k in range(CLASSES))


def test_images_of_a_cell_are_those_that_are_counted(known: Known) -> None:
    for label, predicted in {(int(known.labels[i]), int(known.predicted[i])) for i in range(104)}:
        answer = known.ask("images", cell=[label, predicted])
        inside = (known.labels == label) & (known.predicted == predicted)
        assert sorted(answer["index"]) == inside.nonzero().flatten().tolist()
        own = known.probabilities[answer["index"], label]
        assert (own.diff() > -1e-6).all()
        likely = known.probabilities[answer["index"], predicted].numpy()
        assert answer["probability"] == pytest.approx(likely, abs=1e-5)
        assert (sent(answer) == known.pixels[answer["index"]].flatten(1).numpy()).all()


def test_mistakes_come_page_by_page_the_worst_first(known: Known) -> None:
    expected, start = known.mistakes, len(known.mistakes) - 3
    pages = [known.ask("images", mistakes=True, start=s, count=5) for s in (0, start, 104)]
    assert [page["total"] for page in pages] == 3 * [len(expected)]
    assert [page["index"] for page in pages] == [expected[:5], expected[start:], []]
    assert len(known.ask("images")["index"]) == 60
    rest = known.ask("images", start=60)
    assert (rest["index"], rest["total"]) == (list(range(60, 104)), 104)
    assert known.ask("images", numbers=[103, 0, 103])["index"] == [103, 0, 103]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"count": 61}, "from 1 to 60"),
        ({"count": 0}, "from 1 to 60"),
        ({"start": -1}, "start"),
        ({"cell": [0]}, "a list of 2"),
        ({"cell": [0, 26]}, "from 0 to 25, not 26"),
        ({"cell": [0, 1.0]}, r"cell[1]"),
        ({"numbers": [104]}, "from 0 to 103, not 104"),
        ({"numbers": 61 * [0]}, "at most 60"),
        ({"numbers": "0"}, "a list"),
        ({"mistakes": 1}, "mistakes must be True"),
        ({"mistakes": True, "cell": [0, 0]}, "not for both"),
        ({"run": "other"}, "unknown run"),
        ({"epoch": 0}, "epoch"),
    ],
)
def test_what_is_no_request_for_images_is_told(
    known: Known, fields: dict[str, Any], words: str
) -> None:
    status, answer = known.place.ask("images", fields)
    assert status == 422
    assert words in answer["error"]


def test_the_map_has_every_image_once(known: Known) -> None:
    answer = known.ask("embedding")
    assert answer["index"] == list(range(104))
    assert answer["label"] == known.labels.tolist()
    assert answer["predicted"] == known.predicted.tolist()
    assert answer["layer"] == "fc"
    points = np.array(answer["points"])
    assert points.shape == (104, 2)
    assert np.ptp(points, axis=0).max() == pytest.approx(1, abs=1e-3)
    assert points.min() >= 0
    assert points.max() <= 1
    assert known.ask("embedding")["points"] == answer["points"]


def test_a_drawing_is_placed_among_its_nearest_images(known: Known) -> None:
    points = np.array(known.ask("embedding")["points"])
    same = known.ask("neighbours", pixels=base64.b64encode(known.pixels[7].numpy()).decode())
    assert same["index"][0] == 7
    assert same["distances"][0] == pytest.approx(0, abs=1e-3)
    assert same["point"] == pytest.approx(points[7], abs=1e-3)
    distances = (known.features - known.features[7]).double().norm(dim=1)
    near = distances.argsort()[:5]
    assert same["index"] == near.tolist()
    assert same["distances"] == pytest.approx(distances[near].numpy(), rel=1e-3, abs=1e-3)
    blank = known.ask("neighbours", pixels=base64.b64encode(bytes(960)).decode())
    weights = 1 / np.array(blank["distances"])
    expected = (points[blank["index"]] * weights[:, None]).sum(0) / weights.sum()
    assert blank["point"] == pytest.approx(expected, abs=2e-4)
    assert (sent(blank) == known.pixels[blank["index"]].flatten(1).numpy()).all()


@pytest.mark.parametrize("pixels", ["", "AAAA", "?", 1, None])
def test_a_drawing_of_another_size_is_refused(known: Known, pixels: Any) -> None:
    assert known.place.ask("neighbours", {"pixels": pixels})[0] == 422
    assert known.place.ask("neighbours", {})[0] == 422


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Playground]:
    """A playground with three test images."""
    data = tmp_path / "data"
    data.mkdir()
    run = make_run(tmp_path / "run", write_bars(data, 30, 3), lr=0.05, epochs=8)
    yield from serve(tmp_path, run)


def test_where_there_is_no_map_and_no_mistake_it_is_said(visit: Visit, tiny: Playground) -> None:
    assert tiny.ask("confusion")[1]["errors"] == 0
    visitor = visit(place=tiny)
    gallery = chosen(visitor)
    expect(gallery.get_by_role("button", name="Next mistake")).to_be_disabled()
    expect(gallery.get_by_text("No image is misclassified.")).to_be_visible()
    gallery.locator(".embedding").scroll_into_view_if_needed()
    expect(gallery.locator(".embedding .refusal")).to_contain_text("at least 4 images, not 3")
    gallery.get_by_role("button", name="Random image").click()
    expect(gallery.locator(".chosen")).to_contain_text("On the pad: Test image")
    visitor.messages.clear()  # the browser notes the status 422


def chosen(visitor: Visitor) -> Any:
    """Choose the view; return it when its images are there."""
    visitor.page.get_by_role("tab", name="Gallery").click()
    gallery = visitor.page.locator("play-gallery")
    gallery.locator(".cell > *").first.wait_for()
    return gallery


def asked(page: Page) -> set[str]:
    """Return the names of the requests of a page so far."""
    found = page.evaluate("performance.getEntriesByType('resource').map((entry) => entry.name)")
    return {name.rpartition("/")[2] for name in found if "/api/" in name}


def on_pad(visitor: Visitor, known: Known, number: int) -> None:
    """Check that the network was given exactly the pixels of an image, and says what is listed."""
    pixels = known.pixels[number].flatten().tolist()
    visitor.until(f"JSON.stringify([...page.pixels]) === '{str(pixels).replace(' ', '')}'")
    found = visitor.value("[...page.outputs.probabilities]")
    assert found == pytest.approx(known.probabilities[number].tolist(), abs=1e-4)


def test_images_are_put_on_the_pad_with_what_is_listed(visit: Visit, known: Known) -> None:
    visitor = visit(place=known.place)
    assert not asked(visitor.page) & {"confusion", "images", "embedding"}
    gallery = chosen(visitor)
    thumbnails = gallery.locator(".cell .thumbnails button")
    expect(thumbnails).to_have_count(min(24, len(known.mistakes)))
    for number in known.mistakes[:2]:
        gallery.get_by_role("button", name="Next mistake").click()
        on_pad(visitor, known, number)
    thumbnails.nth(2).click()
    on_pad(visitor, known, known.mistakes[2])
    expect(visitor.page.locator("#prepared")).to_contain_text(
        f"Test image {known.mistakes[2]}, labelled"
    )
    expect(thumbnails.nth(2)).to_have_attribute("aria-pressed", "true")

    number = gallery.get_by_label("Number")
    number.fill("57")
    number.press("Enter")
    on_pad(visitor, known, 57)
    number.fill("104")
    number.press("Enter")
    expect(gallery.locator(".chosen")).to_have_text("The images have numbers from 0 to 103.")
    gallery.get_by_role("button", name="Random image").click()
    expect(gallery.locator(".chosen")).to_contain_text("On the pad: Test image")
    assert "embedding" not in asked(visitor.page)


def test_a_cell_lists_its_images_and_many_come_page_by_page(visit: Visit, known: Known) -> None:
    visitor = visit(place=known.place)
    gallery = chosen(visitor)
    counts = np.array(known.ask("confusion")["counts"])
    scores = known.place.lab.run().inspection.run.scores()
    assert scores is not None
    assert counts.tolist() == scores["confusion"]
    cells = gallery.locator(".confusion button")
    assert [int(text) for text in cells.all_inner_texts()] == counts[counts > 0].tolist()

    thumbnails = gallery.locator(".cell .thumbnails button")
    total = len(known.mistakes)
    assert total > 24
    expect(gallery.locator(".pages span")).to_have_text(f"1 to 24 of {total}")
    gallery.get_by_role("button", name="Next", exact=True).click()
    expect(gallery.locator(".pages span")).to_have_text(f"25 to {min(48, total)} of {total}")
    expect(thumbnails.first).to_be_focused()
    visitor.page.keyboard.press("Enter")
    on_pad(visitor, known, known.mistakes[24])

    pair = gallery.locator(".chip").nth(1)
    most = int((counts - np.diag(counts.diagonal())).max())
    assert pair.inner_text().endswith(f": {most}")
    pair.click()
    expect(thumbnails).to_have_count(most)
    expect(gallery.locator(".pages")).to_be_hidden()
    cells.last.focus()
    visitor.page.keyboard.press("Enter")
    expect(cells.last).to_have_attribute("aria-pressed", "true")
    label, predicted = np.argwhere(counts)[-1].tolist()
    inside = known.ask("images", cell=[label, predicted])
    expect(thumbnails).to_have_count(len(inside["index"]))
    first = "parseFloat(document.querySelector('.cell .thumbnails button').innerText)"
    visitor.until(f"Math.abs({first} - {100 * inside['probability'][0]}) < 0.06")
    visitor.page.evaluate("lenetscope.page.setWeights(lenetscope.page.base, 1)")
    expect(gallery.get_by_text("has other weights now")).to_be_visible()


def test_a_point_of_the_map_is_an_image(visit: Visit, known: Known) -> None:
    visitor = visit(place=known.place)
    gallery = chosen(visitor)
    canvas = gallery.locator("canvas.map")
    gallery.locator(".embedding").scroll_into_view_if_needed()
    canvas.wait_for()
    points = np.array(known.ask("embedding")["points"])
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    lonely = int(np.abs(points - points.mean(0)).sum(1).argmax())
    x, y = (24 + (box["width"] - 48) * value for value in (points[lonely, 0], 1 - points[lonely, 1]))
    visitor.page.mouse.move(box["x"] + x, box["y"] + y)
    expect(gallery.locator(".point")).to_contain_text(f"Test image {lonely}, labelled")
    visitor.page.mouse.click(box["x"] + x, box["y"] + y)
    on_pad(visitor, known, lonely)
    expect(gallery.locator(".near-drawing button")).to_have_count(5)
    first = gallery.locator(".near-drawing button").first
    expect(first).to_have_attribute("aria-label", re.compile(f"Test image {lonely},"))

    canvas.focus()
    for key in ("ArrowLeft", "ArrowDown", "ArrowRight", "ArrowUp", "ArrowUp"):
        visitor.page.keyboard.press(key)
    text = gallery.locator(".point p").first.inner_text()
    visitor.page.keyboard.press("Enter")
    on_pad(visitor, known, int(text.split()[2].rstrip(",")))
    visitor.page.locator("#clear").click()
    expect(gallery.locator(".near-drawing")).to_contain_text("Draw something")


def test_hostile_names_are_text_and_nothing_scrolls_the_page(visit: Visit, known: Known) -> None:
    visitor = visit(320, place=known.place)
    gallery = chosen(visitor)
    gallery.locator(".embedding").scroll_into_view_if_needed()
    gallery.locator("canvas.map").wait_for()
    head = gallery.locator("thead th")
    assert head.nth(1).inner_text().startswith(HOSTILE[:5])
    assert head.nth(2).get_attribute("title") == LONG
    assert gallery.locator("script, img").count() == 0
    assert visitor.value("document.documentElement.scrollWidth") == 320
    legend = gallery.locator(".legend button")
    expect(legend).to_have_count(CLASSES)
    legend.nth(3).click()
    expect(legend.nth(3)).to_have_attribute("aria-pressed", "true")
