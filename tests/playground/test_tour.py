"""The tour: six steps on the drawing that is there, which one can leave at any moment."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lenetscope import Architecture
from lenetscope.runs import RunWriter
from visitors import Playground, Visitor, serve

pytestmark = pytest.mark.slow

SEVEN = [(0.3, 0.2), (0.7, 0.2), (0.4, 0.85)]
HEADINGS = [
    "A pixel is a number",
    "A filter slides over the image",
    "Only the largest stays",
    "Maps become one row",
    "Every value has a say",
    "Sums become probabilities",
]


def headings(visitor: Visitor) -> list[str]:
    """Walk through the tour by its button; return the headings of its steps."""
    found = []
    card = visitor.page.locator(".tour-card")
    while card.is_visible():
        found.append(card.locator("h2").inner_text())
        card.locator(".primary").click()
    return found


def test_six_steps_tell_the_numbers_of_the_drawing(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    visitor.draw(SEVEN)
    visitor.until("!page.empty")
    page, card = visitor.page, visitor.page.locator(".tour-card")
    page.locator(".offer").click()
    told = []
    for _ in HEADINGS:
        told.append(card.locator("p").inner_text())
        box = card.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["y"] >= 0
        assert box["x"] + box["width"] <= 1280
        assert box["y"] + box["height"] <= 800
        card.locator(".primary").click()
    assert not card.is_visible()
    assert f"{visitor.value('Math.max(...page.pixels)')} of 255" in told[0]
    maxima = visitor.value("page.outputs.layers.map((l) => l.values.reduce((a, b) => Math.max(a, b)))")
    names = visitor.value("page.outputs.layers.map((l) => l.name)")
    top = dict(zip(names, maxima, strict=True))
    assert "25 products and a bias" in told[1]
    assert f"reaches {top['conv1']:.2f} at" in told[1]
    assert f"each 2×2 values, {top['pool1']:.2f} in" in told[2]
    assert "24×24 becomes 12×12" in told[2]
    assert "32 maps of 5×5 become a row of 800 values" in told[3]
    assert "Class 7 gets" in told[4]
    assert re.search(r"Class 7 gets >?\d+\.\d %", told[5])


def test_the_tour_is_offered_once_and_left_by_escape(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page, card, offer = visitor.page, visitor.page.locator(".tour-card"), visitor.page.locator(".offer")
    assert offer.inner_text() == "Take the tour"
    offer.focus()
    page.keyboard.press("Enter")
    assert not visitor.value("page.empty")  # a line was drawn, so that there is something to see
    assert page.evaluate("document.activeElement.className") == "tour-card"
    page.keyboard.press("ArrowRight")
    assert card.locator("h2").inner_text() == HEADINGS[1]
    page.keyboard.press("ArrowLeft")
    assert card.locator("h2").inner_text() == HEADINGS[0]
    page.keyboard.press("Escape")
    assert not card.is_visible()
    assert page.locator(".overlay rect").count() == 0
    assert page.evaluate("document.activeElement.textContent") == "Tour"
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert offer.inner_text() == "Tour"
    offer.click()
    page.locator("#tab-why").click()  # who looks elsewhere has left
    assert not card.is_visible()


def test_numbers_follow_while_the_tour_is_on(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    visitor.draw(SEVEN)
    visitor.page.locator(".offer").click()
    while visitor.page.locator(".tour-card h2").inner_text() != HEADINGS[-1]:
        visitor.page.locator(".tour-card .primary").click()
    assert "Class 7" in visitor.page.locator(".tour-card p").inner_text()
    visitor.page.locator("#clear").click()
    visitor.draw([(0.5, 0.15), (0.5, 0.85)])
    visitor.until("document.querySelector('.tour-card p').textContent.includes('Class 1 ')")


def test_it_works_where_storage_is_refused(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    visitor.page.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('refused') } })"
    )
    visitor.page.reload()
    visitor.page.wait_for_selector("html[data-ready]")
    visitor.page.locator(".offer").click()
    assert headings(visitor) == HEADINGS


@pytest.fixture(scope="module")
def without_convolutions(
    tmp_path_factory: pytest.TempPathFactory, idx_folder: Path
) -> Iterator[Playground]:
    folder = tmp_path_factory.mktemp("mlp")
    arch = Architecture.from_recipe(
        "reference", data=idx_folder, model="mlp", epochs=1, batch_size=16, threads=1, device="cpu"
    )
    run = arch.start_run(folder / "mlp")
    arch.train(1, callbacks=[RunWriter(run)], progress=False)
    yield from serve(folder, run)


def test_steps_without_their_layer_are_left_out(
    visit: Callable[..., Visitor], without_convolutions: Playground
) -> None:
    visitor = visit(place=without_convolutions)
    visitor.page.locator(".offer").click()
    assert headings(visitor) == [HEADINGS[0], *HEADINGS[3:]]


def test_the_window_slides_unless_less_motion_is_wanted(visit: Callable[..., Visitor]) -> None:
    visitor = visit(reduced_motion="no-preference")
    visitor.draw(SEVEN)
    visitor.page.locator(".offer").click()
    visitor.page.locator(".tour-card .primary").click()
    places = set()
    for _ in range(20):
        places.add(visitor.page.locator(".overlay .own").first.get_attribute("x"))
        visitor.page.wait_for_timeout(40)
    assert len(places) > 3
    visitor.page.keyboard.press("Escape")
