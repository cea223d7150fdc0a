"""The state of the page in its address, and the view that is saved as a file."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, expect

from lenetscope.report import network
from report_runs import until
from visitors import Playground, Visitor

pytestmark = pytest.mark.slow
expect.set_options(timeout=20_000)

Visit = Callable[..., Visitor]
SEVEN = [(0.3, 0.2), (0.7, 0.2), (0.4, 0.85)]


def address(visitor: Visitor, *parts: str) -> str:
    """Return the part of the address after the host, when it holds these parts."""
    visitor.until(" && ".join(f"location.hash.includes('{part}')" for part in parts))
    return f"/{visitor.value('location.hash')}"


def test_an_address_leads_to_what_was_shown(visit: Visit) -> None:
    first = visit()
    first.draw(SEVEN)
    first.unfold()
    first.page.get_by_label("smooth", exact=True).uncheck()
    first.page.evaluate("lenetscope.page.open('example', 1)")
    first.until("page.epoch === 1")
    first.page.locator("#layers button").nth(20).click()  # map 5 of the second layer
    first.page.keyboard.press("ArrowDown")
    first.page.keyboard.press("ArrowDown")
    title = first.page.locator("#large-value").inner_text()
    path = address(first, "drawing=", "epoch=1", "place=1.", "steps=box.centre.normalise")
    assert len(path) < 700
    second = visit(path=path)
    assert second.value("[...page.pixels]") == first.value("[...page.pixels]")
    assert second.value("page.epoch") == 1
    assert second.value("[...page.outputs.probabilities]") == first.value(
        "[...page.outputs.probabilities]"
    )
    assert second.page.locator("#large-value").inner_text() == title
    assert not second.page.get_by_label("smooth", exact=True).is_checked()
    second.page.keyboard.press("Escape")
    second.page.get_by_role("tab", name="Why").click()
    path = address(second, "view=why")
    third = visit(path=path)
    assert third.value("page.view") == "why"
    assert not third.page.locator("#large").is_visible()


def test_an_address_that_is_pasted_into_an_open_page_is_followed(visit: Visit) -> None:
    first, second = visit(), visit()
    first.draw(SEVEN)
    first.page.wait_for_timeout(1000)  # the address follows a moment later
    hash_ = first.value("location.hash")
    assert "drawing=" in hash_
    second.page.evaluate("(hash) => { location.hash = hash }", hash_)
    pixels = first.value("String(page.pixels)")
    second.until(f"String(page.pixels) === '{pixels}'")


WRONG = [
    "drawing=%%%",
    "drawing=AAAA",
    "drawing=" + base64.urlsafe_b64encode(bytes(300)).decode().strip("="),
    "view=nothing",
    "place=0.999999999",
    "place=x.y",
    "steps=__proto__",
    "unknown=1",
    "epoch=-1",
    "run=../../etc",
    "x" * 20_000,
]


def test_what_is_wrong_in_an_address_is_left_out_with_a_line(visit: Visit) -> None:
    visitor = visit(path="/#drawing=1")
    line = visitor.page.locator("#trouble")
    expect(line).to_contain_text("left out")
    for wrong in WRONG:
        visitor.page.evaluate(
            "(hash) => { document.getElementById('trouble').textContent = ''; location.hash = hash }",
            wrong,
        )
        expect(line).to_contain_text("address")
        assert visitor.value("page.view") == "layers"
        assert visitor.value("page.outputs.probabilities.length") == 10
    visitor.messages.clear()  # the browser notes the status 422


def test_a_drawing_that_unpacks_to_much_more_is_cut_off(visit: Visit) -> None:
    import zlib

    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = packer.compress(bytes(8_000_000)) + packer.flush()
    visitor = visit(path="/#drawing=" + base64.urlsafe_b64encode(data).decode().strip("="))
    expect(visitor.page.locator("#trouble")).to_contain_text("left out")


def test_other_views_keep_their_state_in_the_address(visit: Visit) -> None:
    keeper = """(async () => {
      const { keep } = await import("/play/share.js");
      window.kept = [];
      keep("extra", () => "a b", (text) => window.kept.push(text));
      lenetscope.page.emit("weights");
    })()"""
    visitor = visit()
    visitor.page.evaluate(keeper)
    path = address(visitor, "extra=a+b")
    visitor.page.evaluate("(hash) => { location.hash = hash }", path[1:] + "&view=why")
    visitor.until("page.view === 'why' && String(window.kept) === 'a b'")


def test_the_button_copies_the_address(visit: Visit) -> None:
    visitor = visit(permissions=["clipboard-read", "clipboard-write"])
    visitor.draw(SEVEN)
    visitor.page.wait_for_timeout(100)
    visitor.page.locator("#share").click()
    expect(visitor.page.locator("#trouble")).to_contain_text("Copied")
    copied = visitor.page.evaluate("navigator.clipboard.readText()")
    assert copied == visitor.page.url
    assert "drawing=" in copied
    visitor.page.evaluate(
        "() => { navigator.clipboard.writeText = async () => { throw new Error('no') } }"
    )
    visitor.page.locator("#share").click()
    expect(visitor.page.locator("#trouble")).to_contain_text("from the address bar")


def offline(browser: Browser, path: Path, expression: str) -> Any:
    """Return an expression of a page opened from a file; it may ask for nothing and say nothing."""
    page = browser.new_page()
    messages: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: messages.append(request.url))
    page.goto(path.as_uri())
    until(page, "window.lenetscope !== undefined")
    until(page, "document.getElementById('prediction').textContent !== ''")
    found = page.evaluate(expression)
    page.close()
    assert messages == [path.as_uri()]
    return found


SHOWN = """() => ({
  bars: [...document.querySelectorAll("#bars .probability")].map((each) => each.textContent),
  prepared: document.getElementById("prepared").textContent,
  chapters: document.querySelectorAll("main > section").length,
  maps: document.querySelectorAll("#layers .layer").length,
  text: document.querySelector("header").textContent,
  own: lenetscope.network.predict(
    [...document.getElementById("input").getContext("2d").getImageData(0, 0, 28, 28).data]
      .filter((_, i) => i % 4 === 0)),
})"""


def test_the_saved_view_needs_no_server_and_predicts_the_same(
    visit: Visit, browser: Browser, tmp_path: Path
) -> None:
    visitor = visit()
    visitor.draw(SEVEN)
    visitor.page.evaluate("lenetscope.page.open('example', 2)")
    visitor.until("page.epoch === 2")
    visitor.page.evaluate("""() => {
      lenetscope.page.edits.set("half", (weights) => weights.forEach((w, i) => (weights[i] = w / 2)));
      lenetscope.page.applyEdits();
    }""")
    bars = visitor.page.locator("#bars .probability").all_inner_texts()
    with visitor.page.expect_download() as download:
        visitor.page.locator("#save").click()
    expect(visitor.page.locator("#trouble")).to_contain_text("Saved")
    path = tmp_path / download.value.suggested_filename
    assert path.name == "lenetscope-example.html"
    download.value.save_as(path)
    found = offline(browser, path, SHOWN)
    assert found["bars"] == bars
    assert found["own"] == pytest.approx(visitor.value("[...page.outputs.probabilities]"), abs=1e-7)
    assert found["prepared"] == "The drawing that was saved, pixel for pixel."
    assert found["chapters"] == 1
    assert found["maps"] == visitor.page.locator("#layers .layer").count()
    assert "run example, epoch 2, with weights that were changed there." in found["text"]


def test_steps_that_were_left_out_stay_left_out_in_the_saved_view(
    visit: Visit, browser: Browser, tmp_path: Path
) -> None:
    visitor = visit()
    visitor.unfold()
    visitor.page.get_by_label("normalise", exact=True).uncheck()
    visitor.page.get_by_label("box and scale", exact=True).uncheck()
    visitor.draw(SEVEN)
    visitor.page.wait_for_timeout(100)
    bars = visitor.page.locator("#bars .probability").all_inner_texts()
    with visitor.page.expect_download() as download:
        visitor.page.locator("#save").click()
    download.value.save_as(tmp_path / "view.html")
    assert offline(browser, tmp_path / "view.html", SHOWN)["bars"] == bars


def test_a_view_may_hold_only_what_is_of_its_network(playground: Playground) -> None:
    opened = playground.lab.run()
    status, page = playground.ask("view", {})
    assert status == 200
    assert page.startswith(b"<!DOCTYPE html>")
    said = page[page.index(b"Saved from") : page.index(b"</header>")]
    assert b"epoch" not in said
    assert b"changed" not in said
    weights = opened.graph.weights.astype("<f4")
    assert network.describe(opened.model(1), (1, 28, 28)).weights.shape == weights.shape
    refused: list[tuple[dict[str, Any], str]] = [
        ({"weights": base64.b64encode(weights[1:].tobytes()).decode()}, "bytes, not"),
        ({"weights": "no base64!"}, "base64"),
        ({"weights": base64.b64encode(np.full_like(weights, np.nan).tobytes()).decode()}, "finite"),
        ({"pixels": base64.b64encode(bytes(783)).decode()}, "1x28x28 bytes, not 783"),
        ({"off": ["gravity"]}, "'gravity' is not one of"),
        ({"off": "box"}, "off must be a list"),
        ({"run": "nothing"}, "nothing"),
        ({"epoch": 77}, "77"),
        ({"path": "/etc/passwd"}, "'path' is not one of"),
    ]
    for body, reason in refused:
        status, answer = playground.ask("view", body)
        assert status == 422
        assert reason in answer["error"]
    assert torch.equal(torch.from_numpy(opened.graph.weights), torch.from_numpy(weights))
