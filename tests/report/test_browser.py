"""The page in a browser: silent, offline, readable on a telephone, usable by keyboard."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page

from lenetscope.inspection import Inspection
from lenetscope.runs.folder import Run
from report_runs import until

pytestmark = pytest.mark.slow

Reader = Callable[..., Page]

CONTRAST = """() => {
  const pixel = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const layered = (colours) => {
    pixel.fillStyle = "#fff"; pixel.fillRect(0, 0, 1, 1);
    for (const colour of colours) { pixel.fillStyle = colour; pixel.fillRect(0, 0, 1, 1); }
    return [...pixel.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => v / 255)
      .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const poor = [];
  let looked = 0;
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement;
    if (!walk.currentNode.textContent.trim() || !element.checkVisibility()) continue;
    if (["SCRIPT", "STYLE", "TITLE"].includes(element.tagName)) continue;
    const style = getComputedStyle(element);
    const drawn = element.closest("svg");
    const ink = drawn ? style.fill : style.color;
    // on a coloured cell: the page's theme does not reach it
    if (drawn && ["rgb(51, 51, 52)", "rgb(17, 17, 17)", "rgb(255, 255, 255)"].includes(ink)) continue;
    const grounds = [];
    for (let e = element; e; e = e.parentElement) grounds.unshift(getComputedStyle(e).backgroundColor);
    const [a, b] = [light(layered(grounds)), light(layered([...grounds, ink]))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    looked += 1;
    if (ratio < 4.5) poor.push(`${ratio.toFixed(2)} ${element.outerHTML.slice(0, 120)}`);
  }
  return { looked, poor };
}"""


@pytest.fixture(params=["bars", "strange"])
def any_page(request: pytest.FixtureRequest, bars_page: Path, strange_page: Path) -> Path:
    return bars_page if request.param == "bars" else strange_page


CUT = """(width) => {
  const scrolls = (e) => ["auto", "scroll"].includes(getComputedStyle(e).overflowX);
  const boxed = (e) => e !== document.body && (scrolls(e) || boxed(e.parentElement));
  const name = (e) => e.outerHTML.slice(0, 100);
  const visible = [...document.querySelectorAll("main *")].filter((e) => e.checkVisibility());
  const beyond = (e) => e.getBoundingClientRect().right > width + 0.5 && !boxed(e.parentElement);
  const letters = (svg) => {
    const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    const size = (text) => parseFloat(getComputedStyle(text).fontSize);
    return scale * Math.min(...[...svg.querySelectorAll("text")].map(size));
  };
  const figures = visible.filter((e) => e.matches("svg.figure"));
  return {
    looked: visible.length,
    figures: figures.length,
    cut: visible.filter((e) => !e.closest("svg *") && beyond(e)).map(name),
    tiny: figures.filter((svg) => letters(svg) < 8.95).map(name),
  };
}"""


@pytest.mark.parametrize("width", [320, 390, 768, 1280, 1920])
def test_it_fits_every_screen(reader: Reader, any_page: Path, width: int) -> None:
    page = reader(any_page, width)
    page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = page.evaluate(CUT, width)
    assert found["looked"] > 500
    assert found["figures"] >= 8
    assert found["cut"] == []
    assert found["tiny"] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read(reader: Reader, any_page: Path, scheme: str) -> None:
    page = reader(any_page, color_scheme=scheme, reduced_motion="reduce")
    page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
    page.locator("#confusion button").first.click()
    page.locator("#layers .layer").nth(1).locator("button").nth(2).click()
    page.keyboard.press("PageDown")  # the dialog is open, with coloured and hatched numbers
    found = page.evaluate(CONTRAST)
    assert found["looked"] > 300
    assert found["poor"] == []


def test_headings_landmarks_texts_and_labels(reader: Reader, any_page: Path) -> None:
    page = reader(any_page)
    levels = page.evaluate(
        "[...document.querySelectorAll('h1,h2,h3,h4')].filter((h) => h.checkVisibility())"
        ".map((h) => Number(h.tagName[1]))"
    )
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for landmark in ("main", "nav[aria-label]", "header", "footer"):
        assert page.locator(landmark).count() == 1
    nameless = page.evaluate("""() => [
      ...[...document.images].filter((e) => !e.alt),
      ...[...document.querySelectorAll("svg")].filter((e) =>
        e.ariaHidden !== "true" && (e.role !== "img" || !e.ariaLabel)),
      ...[...document.querySelectorAll("canvas")].filter((e) =>
        !e.ariaLabel && !e.getAttribute("aria-labelledby") && e.ariaHidden !== "true" &&
        e.checkVisibility() && !e.closest("button[aria-label], .predictions li")),
      ...[...document.querySelectorAll("button, input, a")].filter((e) =>
        !e.textContent.trim() && !e.ariaLabel && !e.labels?.length),
    ].map((e) => e.outerHTML.slice(0, 100))""")
    assert nameless == []
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_the_button_changes_light_and_dark_and_print_is_light(reader: Reader, bars_page: Path) -> None:
    page = reader(bars_page, color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    assert sum(map(int, dark[4:-1].split(","))) < 150
    page.locator("#theme").click()
    assert page.evaluate(ground) == "rgb(255, 255, 255)"
    assert page.locator("#theme").inner_text() == "Dark colours"
    page.locator("#theme").click()
    assert page.evaluate(ground) == dark
    page.emulate_media(media="print")
    assert page.evaluate(ground) == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.querySelector('.sections')).display") == "none"


def test_a_cell_of_the_confusion_matrix_shows_its_images(
    reader: Reader, bars_page: Path, bars_run: Run
) -> None:
    page, scores = reader(bars_page), bars_run.scores()
    assert scores is not None
    matrix = np.array(scores["confusion"])
    cells = [(i, j) for i, j in np.argwhere(matrix).tolist()]
    page.locator("#confusion button").first.focus()
    page.keyboard.press("ArrowLeft")  # there is nothing: it stays
    at = "[document.activeElement.dataset.true, document.activeElement.dataset.predicted].map(Number)"
    assert page.evaluate(at) == list(cells[0])
    row = [j for i, j in cells if i == cells[0][0] and j > cells[0][1]]
    column = [i for i, j in cells if j == cells[0][1] and i > cells[0][0]]
    assert row or column
    page.keyboard.press("ArrowRight" if row else "ArrowDown")
    here = [cells[0][0], row[0]] if row else [column[0], cells[0][1]]
    assert page.evaluate(at) == here
    page.keyboard.press("Enter")
    count = int(matrix[here[0], here[1]])
    assert page.locator("#cell p").inner_text().split(":")[1].split()[0] == str(count)
    assert page.locator("#cell canvas").count() == min(count, 12)
    assert page.locator("#confusion button[tabindex='0']").count() == 1
    page.locator("#cell button").first.click()  # goes to the drawing panel
    assert page.evaluate("document.activeElement.id") == "pad"
    assert "pixel for pixel" in page.locator("#prepared").inner_text()


def probabilities(page: Page) -> list[float]:
    return [float(text.strip("<> %")) for text in page.locator("#bars .probability").all_inner_texts()]


@pytest.mark.parametrize("kind", ["bars", "strange"])
def test_a_test_image_gets_the_probabilities_of_the_run(
    reader: Reader, kind: str, bars_page: Path, bars_run: Run, strange_page: Path, strange_run: Run
) -> None:
    path, run = (bars_page, bars_run) if kind == "bars" else (strange_page, strange_run)
    page, inspection = reader(path), Inspection.open(run)
    data = page.evaluate("JSON.parse(document.getElementById('data').textContent)")
    for number, place in enumerate(data["images"]["examples"]):
        page.locator("#examples button").nth(number).click()
        expected = 100 * inspection.probabilities[data["images"]["index"][place]].numpy()
        assert probabilities(page) == pytest.approx(expected, abs=0.06)
    pixels = inspection.pixels[5].flatten().tolist()
    asked = page.evaluate("(pixels) => lenetscope.network.predict(pixels)", pixels)
    assert asked == pytest.approx(inspection.probabilities[5].tolist(), abs=1e-5)


def test_the_pad_takes_strokes_of_the_mouse_and_of_the_keyboard(
    reader: Reader, bars_page: Path
) -> None:
    page = reader(bars_page)
    assert "pixel for pixel" in str(page.locator("#prepared").text_content())  # until the first stroke
    box = page.locator("#pad").bounding_box()
    assert box is not None
    bright = """() => {
      const c = document.getElementById("input");
      const often = { willReadFrequently: true };
      const copy = new OffscreenCanvas(c.width, c.height).getContext("2d", often);
      copy.drawImage(c, 0, 0);
      const { data } = copy.getImageData(0, 0, c.width, c.height);
      let [sum, x, y] = [0, 0, 0];
      for (let i = 0; i < data.length; i += 4) {
        sum += data[i];
        x += data[i] * ((i / 4) % c.width + 0.5);
        y += data[i] * (Math.floor(i / 4 / c.width) + 0.5);
      }
      return [sum, x / sum, y / sum];
    }"""
    page.mouse.move(box["x"] + 40, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 40, box["y"] + 120, steps=4)
    page.mouse.up()
    until(page, "document.querySelectorAll('#bars .best').length === 1")
    total, x, y = page.evaluate(bright)
    assert total > 2000
    assert (x, y) == pytest.approx((4, 8), abs=1)  # where it was drawn: these are no centred digits
    page.locator("#centre").check()
    _, x, y = page.evaluate(bright)
    assert (x, y) == pytest.approx((14, 14), abs=0.6)
    assert sum(probabilities(page)) == pytest.approx(100, abs=0.3)
    page.locator("#clear").click()
    until(page, "document.getElementById('prediction').textContent === 'Draw something.'")
    assert page.locator("#bars .best").count() == 0
    page.locator("#pad").focus()
    for key in ("Space", *["ArrowDown"] * 8):
        page.keyboard.press(key)
    until(page, "document.querySelectorAll('#bars .best').length === 1")
    assert "Pen down" in page.locator("#pad-help").inner_text()
    until(page, "document.getElementById('prediction').textContent !== 'Draw something.'")


def test_preparation_is_that_of_mnist(reader: Reader, bars_page: Path) -> None:
    """A square of ink becomes a box of 20 pixels around the middle, its edges in proportion."""
    page = reader(bars_page)
    page.locator("#centre").check()
    page.locator("#clear").click()
    page.evaluate("""() => {
      const context = document.getElementById("pad").getContext("2d");
      context.fillStyle = "#fff";
      context.fillRect(20, 30, 100, 50);
      document.getElementById("centre").dispatchEvent(new Event("change"));
    }""")
    given: Any = page.evaluate("""() => {
      const c = document.getElementById("input");
      const { data } = c.getContext("2d").getImageData(0, 0, c.width, c.height);
      return [...data].filter((_, i) => i % 4 === 0);
    }""")
    picture = np.array(given).reshape(28, 28)
    expected = np.zeros((28, 28))
    expected[9:19, 4:24] = 255
    assert (picture == expected).all()


def test_maps_can_be_enlarged_by_keyboard_and_are_those_of_the_network(
    reader: Reader, bars_page: Path, bars_run: Run
) -> None:
    page, inspection = reader(bars_page), Inspection.open(bars_run)
    rows = inspection.layers
    names = ["the image", *(row.name for row in rows), "softmax"]
    assert page.locator("#layers .layer h4").all_inner_texts() == names
    counts = [
        page.locator("#layers .layer").nth(k).locator("button").count() for k in range(len(names))
    ]
    assert counts == [1, *(row.shape[0] if len(row.shape) == 3 else 1 for row in rows), 1]
    first = page.locator("#layers .layer").nth(1).locator("button")
    first.first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert page.locator("#large").is_visible()
    assert page.locator("#large-title").inner_text() == "conv1: map 2 of 32"
    page.keyboard.press("Escape")
    assert not page.locator("#large").is_visible()
    label = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert label == "map 2 of conv1: how it comes about"


def test_the_slider_goes_back_to_before_training(
    reader: Reader, bars_page: Path, bars_run: Run
) -> None:
    page, inspection = reader(bars_page), Inspection.open(bars_run)
    slider = page.locator("#epoch")
    assert slider.input_value() == "2"
    drawn = "document.getElementById('epoch-filters').toDataURL()"
    after = page.evaluate(drawn)
    correct = int((inspection.predicted == inspection.labels).sum())
    text = page.locator("#epoch-text").inner_text()
    assert text.startswith(f"{correct} of 23 test images classified correctly")
    slider.focus()
    page.keyboard.press("Home")
    assert page.locator("#epoch-number").inner_text() == "0"
    assert "Nothing has been learned yet." in page.locator("#epoch-text").inner_text()
    assert page.evaluate(drawn) != after
    page.keyboard.press("End")
    assert page.evaluate(drawn) == after


def test_paper_opens_what_is_folded(reader: Reader, bars_page: Path) -> None:
    page = reader(bars_page)
    assert len(page.pdf()) > 20_000
    assert page.locator("details:not([open])").count() == 0
