"""The dialog of a map: for each kind of layer its numbers add up to the value that it shows."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page
from torch import Tensor, nn

from lenetscope.inspection import Inspection
from lenetscope.models import MODELS
from lenetscope.questions import Question
from lenetscope.registry import Registry
from lenetscope.report import build
from report_runs import make_run, until

pytestmark = pytest.mark.slow

Reader = Callable[..., Page]

SHOWN = """() => {
  const rows = (table) => [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent));
  const grid = (name) => [...document.querySelectorAll("#large-terms .grid")]
    .filter((table) => table.caption.textContent === name).flatMap(rows).flat();
  return {
    title: document.getElementById("large-title").textContent,
    value: document.querySelector("#large-value strong").textContent,
    place: document.getElementById("large-value").textContent,
    text: document.getElementById("large-terms").textContent,
    accounts: [...document.querySelectorAll("#large-terms .account")].map(rows),
    chips: [...document.querySelectorAll("#large-terms .chip b")].map((b) => b.textContent),
    part: document.querySelector("#large-terms .part")?.textContent,
    values: grid("values"), weights: grid("weights"), products: grid("products"),
    winner: document.querySelector("#large-terms .winner")?.textContent,
    outside: document.querySelectorAll("#large-terms .outside").length,
  };
}"""


@MODELS.register("every-kind")
class EveryKind(nn.Sequential):
    """A chain with every kind of layer that a page can run."""

    def __init__(self, image_shape: tuple[int, int, int], classes: int, dropout: float = 0.5) -> None:
        super().__init__(
            nn.Conv2d(image_shape[0], 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1),
            nn.Conv2d(4, 6, (3, 2), stride=2, padding=1, groups=2, bias=False),
            nn.Tanh(),
            nn.AvgPool2d(2, stride=1, padding=1),
            nn.Sigmoid(),
            nn.Identity(),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.LazyLinear(12),
            nn.ReLU(),
            nn.Linear(12, classes),
        )
        self(Tensor(1, *image_shape).zero_())  # the lazy layer finds its size


@pytest.fixture(scope="module", params=["every-kind", "strange"])
def drawing_page(
    request: pytest.FixtureRequest, idx_folder: Path, strange_page: Path, tmp_path_factory: Any
) -> Path:
    """The page of a network of every kind of layer, and one of colour images and more classes."""
    if request.param == "strange":
        return strange_page
    path: Path = tmp_path_factory.mktemp("every-kind") / "run"
    run = make_run(path, idx_folder, model="every-kind", epochs=2, lr=0.01)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(build, "QUESTIONS", Registry[Question]("question"))
        (path / "report.html").write_text(build.render(Inspection.open(run)), "utf-8")
    return path / "report.html"


def number(text: str) -> float:
    return float(text.replace("−", "-"))


def step(text: str) -> float:
    """Return the smallest difference that a text of so many decimals can show."""
    return 10.0 ** -len(text.partition(".")[2])


def check(shown: dict[str, Any]) -> None:
    """Add up what the dialog shows."""
    value = number(shown["value"])
    for *terms, last in shown["accounts"]:
        amounts = [number(row[-1]) for row in terms]
        if last[0] == "sum":
            assert sum(amounts) == pytest.approx(number(last[-1]), abs=1e-9), shown["title"]
        elif last[0] == "mean":
            assert amounts[0] / number(last[1][2:]) == pytest.approx(value, abs=step(last[-1]))
        else:
            above, below = (number(part) for part in last[1].split(" ÷ "))
            assert above / below == pytest.approx(value, abs=2e-3)
    if shown["products"]:
        assert sum(map(number, shown["products"])) == pytest.approx(number(shown["part"]), abs=1e-9)
        for x, w, product in zip(shown["values"], shown["weights"], shown["products"], strict=True):
            error = abs(number(x)) * step(w) / 2 + abs(number(w)) * step(x) / 2 + 1.6 * step(product)
            assert number(x) * number(w) == pytest.approx(number(product), abs=error)
        together, _, total = (number(row[-1]) for row in shown["accounts"][0])
        assert total == value
        if shown["chips"]:
            assert shown["chips"].count(shown["part"]) >= 1
            assert sum(map(number, shown["chips"])) == pytest.approx(together, abs=1e-9)
        else:
            assert number(shown["part"]) == together
    if shown["winner"] is not None:
        assert shown["winner"] == shown["value"]
    if not (shown["accounts"] or shown["winner"]):
        assert shown["value"] in shown["text"]


def test_what_is_shown_adds_up_for_every_kind_of_layer(reader: Reader, drawing_page: Path) -> None:
    page = reader(drawing_page)
    layers = page.locator("#layers .layer")
    outside = 0
    for row in range(layers.count()):
        layers.nth(row).locator("button").last.click()
        for key in ("", "Home", "ArrowDown", "PageDown", "ArrowLeft", *["ArrowRight"] * 3, "ArrowUp"):
            if key:
                page.keyboard.press(key)
            shown = page.evaluate(SHOWN)
            check(shown)
        for _ in range(40):  # into a corner, where kernels reach beyond the map
            page.keyboard.press("ArrowLeft")
            page.keyboard.press("ArrowUp")
        shown = page.evaluate(SHOWN)
        check(shown)
        assert re.match(r"Row 1, column 1: |Value 1 of \d+( \(class .*\))?: ", shown["place"], re.S)
        outside += shown["outside"]
        page.locator("#large-close").click()
    assert outside > 0


def test_each_value_leads_back_to_the_image(reader: Reader, drawing_page: Path) -> None:
    page = reader(drawing_page)
    layers = page.locator("#layers .layer")
    layers.last.locator("button").first.click()
    for row in range(layers.count() - 1, -1, -1):
        name = layers.nth(row).locator("h4").inner_text()
        assert page.locator("#large-title").inner_text().startswith(f"{name}: ")
        back = page.locator("#large-terms > button")
        assert back.count() == (1 if row else 0)
        if row:
            back.click()


def test_mouse_finger_and_buttons_choose_a_value_and_a_map(reader: Reader, bars_page: Path) -> None:
    page = reader(bars_page, 390, has_touch=True)
    page.locator("#layers .layer").nth(4).locator("button").first.tap()  # conv2, after the image
    assert page.locator("#large-title").inner_text() == "conv2: map 1 of 64"
    box = page.locator("#large-map").bounding_box()
    assert box is not None
    page.touchscreen.tap(box["x"] + 2.5 / 14 * box["width"], box["y"] + 4.5 / 14 * box["height"])
    assert page.locator("#large-value").inner_text().startswith("Row 5, column 3: ")
    page.mouse.move(box["x"] + 0.5 / 14 * box["width"], box["y"] + 13.5 / 14 * box["height"])
    assert page.locator("#large-value").inner_text().startswith("Row 14, column 1: ")
    page.locator("#previous-map").tap()
    assert page.locator("#large-title").inner_text() == "conv2: map 64 of 64"
    assert page.locator("#large-value").inner_text().startswith("Row 14, column 1: ")
    page.locator("#next-map").tap()
    assert page.locator("#large-title").inner_text() == "conv2: map 1 of 64"
    assert page.evaluate("large.scrollWidth <= large.clientWidth")
    chip = page.locator("#large-terms .chip").nth(5)
    name = chip.inner_text()
    chip.tap()
    pressed = page.locator("#large-terms .chip[aria-pressed=true]")
    assert pressed.inner_text() == name
    assert page.evaluate("document.activeElement.textContent") == name
    assert name.partition(":")[0] in page.locator("#large-terms p:has(.part)").inner_text()


def test_a_replay_ends_with_the_value(reader: Reader, drawing_page: Path) -> None:
    """By the buttons and the slider; each step has its elements marked, and later ones faded."""
    page = reader(drawing_page, reduced_motion="reduce")
    layers = page.locator("#layers .layer")
    replayed = 0
    for row in range(layers.count()):
        layers.nth(row).locator("button").last.click()
        replay = page.locator(".replay")
        assert page.locator("#large-terms .later, #large-terms .now").count() == 0
        if replay.is_visible():
            replayed += 1
            steps = int(replay.locator("input").get_attribute("max") or 0) + 1
            page.get_by_label("One step on").click()
            assert replay.locator(".count").inner_text() == f"1 of {steps}"
            for at in range(2, steps + 1):
                page.get_by_label("One step on").click()
                assert replay.locator(".count").inner_text() == f"{at} of {steps}"
            value = page.locator("#large-value strong").inner_text()
            total = replay.locator(".total").inner_text().removeprefix("= ")
            assert number(total) == pytest.approx(number(value), abs=1.01 * step(total))
            assert page.locator("#large-terms .later").count() == 0
            page.get_by_label("One step back").click()
            assert replay.locator(".count").inner_text() == f"{steps - 1} of {steps}"
        page.locator("#large-close").click()
    assert replayed >= layers.count() - 2  # the image has no steps


def test_a_convolution_is_replayed_product_by_product(reader: Reader, bars_page: Path) -> None:
    page = reader(bars_page, reduced_motion="reduce")
    page.locator("#layers .layer").nth(1).locator("button").first.click()  # conv1
    shown = page.evaluate(SHOWN)
    total = 0.0
    for product in shown["products"]:
        page.get_by_label("One step on").click()
        total += number(product)
        assert number(page.locator(".replay .total").inner_text()[2:]) == pytest.approx(total, abs=1e-9)
        assert product in page.locator(".replay .happens").inner_text()
        assert page.locator("#large-terms .grid .now").count() == 3


def test_the_window_slides_and_fills_the_map(reader: Reader, bars_page: Path) -> None:
    page = reader(bars_page)
    page.locator("#layers .layer").nth(1).locator("button").first.click()  # conv1
    until(page, "document.querySelectorAll('#large-terms .now').length > 0")  # once by itself
    page.get_by_role("button", name="Slide the window").click()
    filled = """[...document.querySelector("#large-map").getContext("2d")
      .getImageData(0, 0, 28, 28).data].filter((_, i) => i % 4 === 3).filter((a) => a === 255).length"""
    until(page, f"{filled} > 3 && {filled} < 784")
    page.get_by_label("Pause").click()
    at = int(page.locator(".replay input").input_value())
    assert page.evaluate(filled) == at + 1
    place = page.locator("#large-value").inner_text()
    assert place.startswith(f"Row {at // 28 + 1}, column {at % 28 + 1}: ")
    page.get_by_role("button", name="Slide the window").click()
    assert page.evaluate(filled) == 784
