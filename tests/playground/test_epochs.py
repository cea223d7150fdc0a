"""The playground's way through the epochs, compared with PyTorch's networks of these epochs."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lenetscope.playground.answers import ANSWERS
from lenetscope.playground.lab import Lab, example
from lenetscope.runs import Run
from visitors import Playground, Visitor

SEVEN = [(0.3, 0.2), (0.7, 0.2), (0.4, 0.85)]
KEPT = [0, 1, 2, 4, 6]
"""The epochs of which the run that ships has kept the weights; 6 is its last."""


def probabilities(place: Playground, visitor: Visitor, epoch: int | None) -> torch.Tensor:
    """Return what PyTorch's network of an epoch makes of what the page gave to its own."""
    opened = place.lab.run()
    images = opened.images(bytes(visitor.value("[...page.pixels]")))
    with torch.no_grad():
        logits = opened.model(epoch).eval()(opened.inspection.prepared(images))
    return torch.softmax(logits, 1)[0]


def shows(place: Playground, visitor: Visitor, epoch: int | None) -> bool:
    """Tell whether the page's probabilities are those of an epoch."""
    found = torch.tensor(visitor.value("[...page.outputs.probabilities]"))
    return bool((found - probabilities(place, visitor, epoch)).abs().max() < 1e-4)


def opened(visit: Callable[..., Visitor]) -> Visitor:
    """Draw a seven, and open the view."""
    visitor = visit()
    visitor.draw(SEVEN)
    visitor.page.get_by_role("tab", name="Epochs").click()
    visitor.page.wait_for_selector(".curve.class-0[points]")
    return visitor


@pytest.mark.slow
def test_sliding_shows_the_network_of_each_epoch(
    visit: Callable[..., Visitor], playground: Playground
) -> None:
    visitor = opened(visit)
    slider = visitor.page.get_by_role("slider", name="Epoch")
    back = visitor.page.get_by_role("button", name="Back to epoch 6")
    scale = visitor.page.locator("#view-epochs .scale").inner_text()
    assert not back.is_visible()
    for place in (1, 0, 3):
        slider.fill(str(place))
        visitor.until(f"page.epoch === {KEPT[place]}")
        assert shows(playground, visitor, KEPT[place])
        assert visitor.page.locator("#view-epochs .scale").inner_text() == scale
    # the other views say that an old epoch is shown, and lead back
    visitor.page.get_by_role("tab", name="Layers").click()
    assert "Epoch 4 of 6" in visitor.page.locator("#notices").inner_text()
    slider.press("ArrowLeft")
    visitor.until("page.epoch === 2")
    assert shows(playground, visitor, 2)
    back.click()
    visitor.until("page.epoch === null")
    assert shows(playground, visitor, None)
    assert not visitor.page.locator("#notices .notice:visible").count()


@pytest.mark.slow
def test_the_curves_are_the_probabilities_after_each_epoch(
    visit: Callable[..., Visitor], playground: Playground
) -> None:
    visitor = opened(visit)
    page = visitor.page
    assert page.locator("#view-epochs .chart").first.locator("polyline").count() == 5
    page.get_by_role("slider", name="Epoch").fill("0")
    visitor.until("page.epoch === 0")
    found = probabilities(playground, visitor, 0)
    legend = page.locator(".curve-legend").first.locator("li").all_inner_texts()
    shown = {int(name): percent for name, percent in (each.split("\n") for each in legend)}
    assert shown == {k: f"{100 * found[k]:.1f} %" for k in shown}
    answers = [int(probabilities(playground, visitor, e).argmax()) for e in KEPT]
    assert answers[0] != answers[1:][0] == answers[-1] == 7
    assert page.get_by_text("It says 7 from epoch 1 on.").is_visible()
    # the line of seven, the thick one, goes up from its value before training
    points = page.locator(".curve.class-0[points]").get_attribute("points")
    assert points is not None
    heights = [float(point.split(",")[1]) for point in points.split()]
    sevens = [float(probabilities(playground, visitor, e)[7]) for e in KEPT]
    assert heights == pytest.approx([12 + 152 * (1 - p) for p in sevens], abs=0.06)
    # pointing at the chart chooses the nearest epoch
    page.locator(".curves").first.click(position={"x": 250, "y": 60})
    visitor.until("page.epoch === 2")
    # a change of a filter is one of every epoch
    line = "document.querySelector('.curve.class-0[points]').getAttribute('points')"
    before = visitor.value(line)
    visitor.value("page.edits.set('test', (weights) => weights.fill(0, 0, 3000)), page.applyEdits()")
    visitor.until(f"{line} !== '{before}'")


@pytest.mark.slow
def test_it_plays_unless_motion_is_to_be_reduced(visit: Callable[..., Visitor]) -> None:
    visitor = visit(reduced_motion="no-preference")
    visitor.page.get_by_role("tab", name="Epochs").click()
    stop = "if (page.epoch === 1) document.querySelector('.epoch-bar button').click()"
    visitor.value(f"window.seen = [], page.on('weights', () => {{ seen.push(page.epoch); {stop} }})")
    play = visitor.page.get_by_role("button", name="Play")
    play.click()
    visitor.until("seen.length === 2")
    visitor.page.wait_for_timeout(800)
    assert visitor.value("seen") == [0, 1]  # from the beginning, for it stood at the end
    assert play.is_visible()
    still = visit()
    still.page.get_by_role("tab", name="Epochs").click()
    assert not still.page.get_by_role("button", name="Play").count()
    still.page.get_by_role("button", name="Next epoch").click()
    still.until("page.epoch === 0")
    still.page.wait_for_timeout(800)
    assert still.value("page.epoch") == 0


@pytest.mark.slow
def test_a_run_without_snapshots_says_so(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    visitor.value("page.show({ ...page.facts, epochs: [] }, page.base)")
    visitor.page.get_by_role("tab", name="Epochs").click()
    assert "has kept the weights of no epoch" in visitor.page.locator("#view-epochs").inner_text()
    assert not visitor.page.locator("#notices .notice:visible").count()


@pytest.mark.slow
def test_a_page_holds_no_more_epochs_than_its_memory(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    visitor.page.route("**/api/**", lambda _: None)  # of most of these the server knows nothing
    # 1,000 epochs of 850,728 bytes are more than 2**27
    everything = "Array.from({ length: 1001 }, (_, e) => e)"
    visitor.value(f"page.show({{ ...page.facts, epochs: {everything}, lastEpoch: 700 }}, page.base)")
    visitor.page.get_by_role("tab", name="Epochs").click()
    text = visitor.page.locator("#view-epochs").inner_text()
    assert "157 of the 1001 epochs that were kept" in text
    assert visitor.page.get_by_role("slider", name="Epoch").get_attribute("max") == "156"
    assert visitor.page.locator(".epoch-number").inner_text() == "Epoch 700 of 1000"


def test_the_history_is_told_without_what_is_not_finite(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(example().path, folder)
    rows = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    rows[0]["train_loss"] = float("nan")
    rows[1]["valid_accuracy"] = None
    (folder / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = ANSWERS.get("epochs").compute(Lab(Run.open(folder), tmp_path), {})
    assert isinstance(found, dict)
    first, second, *others = found["history"]
    assert first["trainLoss"] is None
    assert second["validAccuracy"] is None
    assert [row["epoch"] for row in others] == [3, 4, 5, 6]
    assert others[-1]["validAccuracy"] == 0.9941


@pytest.mark.parametrize(
    ("asked", "why"),
    [({"run": "none"}, "run"), ({"run": 3}, "a text"), ({"epoch": 1}, "'epoch' is not one of")],
)
def test_a_malformed_request_is_refused(playground: Playground, asked: Any, why: str) -> None:
    status, found = playground.ask("epochs", asked)
    assert status == 422
    assert why in found["error"]
