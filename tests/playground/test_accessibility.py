"""The whole page: rules of accessibility, keyboard, telephone, tabs."""

from collections.abc import Callable
from importlib.resources import files
from itertools import pairwise
from typing import Any

import pytest

from visitors import Visitor

pytestmark = pytest.mark.slow

SEVEN = [(0.3, 0.2), (0.7, 0.2), (0.4, 0.85)]
AXE = (files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
FOUND = """async (place) => (await axe.run(place, { resultTypes: ["violations"] })).violations
  .map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => n.target.join(" ")).join(", ")}`)"""


def views(visitor: Visitor) -> list[str]:
    tabs: list[str] = visitor.page.evaluate(
        "[...document.querySelectorAll('[role=tab]')].map((t) => t.id)"
    )
    return tabs


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_every_view_keeps_the_rules_of_axe(
    visit: Callable[..., Visitor], width: int, scheme: str
) -> None:
    visitor = visit(width, color_scheme=scheme)
    visitor.draw(SEVEN)
    visitor.page.wait_for_timeout(200)
    visitor.page.evaluate(AXE)
    found: dict[str, Any] = {}
    for tab in views(visitor):
        visitor.page.locator(f"#{tab}").click()
        found[tab] = visitor.page.evaluate(FOUND, f"#{tab.replace('tab', 'view')}" if found else "html")
        levels = visitor.page.evaluate(
            "[...document.querySelectorAll('h1,h2,h3,h4')].filter((h) => h.checkVisibility())"
            ".map((h) => Number(h.tagName[1]))"
        )
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in pairwise(levels)), (tab, levels)
    visitor.page.locator("#tab-layers").click()
    visitor.page.locator("#layers .layer").nth(1).locator("button").first.focus()
    visitor.page.keyboard.press("Enter")
    found["dialog"] = visitor.page.evaluate(FOUND, "#large")
    visitor.page.keyboard.press("Escape")
    visitor.page.locator(".offer").click()
    found["tour"] = visitor.page.evaluate(FOUND, ".tour-card")
    assert found == {place: [] for place in found}


@pytest.mark.parametrize("width", [320, 700])
def test_nothing_scrolls_the_page_sideways(visit: Callable[..., Visitor], width: int) -> None:
    visitor = visit(width)
    visitor.draw(SEVEN)
    fits = "document.documentElement.scrollWidth <= innerWidth"
    for tab in views(visitor):
        visitor.page.locator(f"#{tab}").click()
        assert visitor.page.evaluate(fits), tab
    visitor.page.locator("#tab-layers").click()
    visitor.page.locator(".offer").click()
    while visitor.page.locator(".tour-card").is_visible():
        assert visitor.page.evaluate(fits)
        visitor.page.locator(".tour-card .primary").click()
    visitor.page.locator("#layers .layer").nth(4).locator("button").first.click()
    assert visitor.page.evaluate("large.scrollWidth <= large.clientWidth")


def test_arrow_keys_move_among_the_tabs_and_choose(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    tabs = views(visitor)
    visitor.page.locator(f"#{tabs[0]}").focus()
    for key, at in (("ArrowRight", 1), ("End", -1), ("ArrowLeft", -2), ("Home", 0)):
        visitor.page.keyboard.press(key)
        assert visitor.page.evaluate("document.activeElement.id") == tabs[at]
        chosen = visitor.page.locator("[role=tab][aria-selected=true]")
        assert chosen.count() == 1
        assert chosen.get_attribute("id") == tabs[at]
        panels = visitor.page.locator("[role=tabpanel]:not([hidden])")
        assert panels.count() == 1
        assert panels.get_attribute("aria-labelledby") == tabs[at]
        assert visitor.page.locator("[role=tab][tabindex='0']").get_attribute("id") == tabs[at]


def test_the_main_flow_needs_no_mouse(visit: Callable[..., Visitor]) -> None:
    """Draw a line, look at its layers, open a value, replay it, and come back."""
    visitor = visit()
    press, active = visitor.page.keyboard.press, "document.activeElement"
    visitor.page.locator("#pad").focus()
    press("Space")
    for _ in range(14):
        press("ArrowDown")
    visitor.until("!page.empty")
    assert visitor.prediction.startswith("1, with")
    for _ in range(40):
        if visitor.page.evaluate(f"{active}.closest('#layers .layer') !== null"):
            break
        press("Tab")
    press("Tab")  # from the image to the first maps
    press("ArrowRight")
    label = visitor.page.evaluate(f"{active}.ariaLabel")
    assert label.startswith("map 2 of conv1")
    press("Enter")
    assert visitor.page.evaluate(f"{active}.id") == "large-map"
    value = visitor.page.locator("#large-value strong").inner_text()
    for _ in range(12):
        if visitor.page.evaluate(f"{active}.type") == "range":
            break
        press("Tab")
    press("Home")
    assert visitor.page.locator(".replay .count").inner_text().startswith("1 of ")
    press("End")
    assert visitor.page.locator(".replay .total").inner_text() == f"= {value}"
    press("Escape")
    assert visitor.page.evaluate(f"{active}.ariaLabel") == label


def test_landmarks_and_first_links(visit: Callable[..., Visitor]) -> None:
    page = visit().page
    for landmark in ("main", "header"):
        assert page.locator(landmark).count() == 1
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "views"


def test_the_pad_and_the_answer_are_in_sight_without_scrolling(visit: Callable[..., Visitor]) -> None:
    for width, height, last in ((1280, 800, "#bars"), (390, 844, "#prediction")):
        visitor = visit(width)
        visitor.page.set_viewport_size({"width": width, "height": height})
        pad, box = (visitor.page.locator(each).bounding_box() for each in ("#pad", last))
        assert pad is not None
        assert box is not None
        assert pad["y"] >= 0
        assert box["y"] > pad["y"] + pad["height"]
        assert box["y"] + box["height"] <= height
        visitor.page.set_viewport_size({"width": width, "height": 400})  # low windows keep its shape
        low = visitor.page.locator("#pad").bounding_box()
        assert low is not None
        assert low["width"] == pytest.approx(low["height"], abs=1)
        assert low["height"] < 200
