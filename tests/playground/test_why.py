"""The view "why": attribution maps of the drawing, and strokes that change the prediction."""

import base64
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from lenetscope.questions.attribution import attribute
from lenetscope.questions.faithfulness import logit_drops
from report_runs import make_run
from visitors import Playground, Visitor, serve

pytestmark = pytest.mark.slow

SEVEN = [(0.3, 0.2), (0.7, 0.2), (0.4, 0.85)]
FIND = "Find the smallest change"


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Playground]:
    """A playground with a network without convolutions, of 26 classes of colour images."""
    folder = tmp_path_factory.mktemp("why")
    settings = {"model": "mlp", "mean": [0.5] * 3, "std": [0.5] * 3, "lr": 0.001}
    yield from serve(folder, make_run(folder / "strange", "strange", **settings))


def sent(pixels: torch.Tensor) -> str:
    return base64.b64encode(pixels.numpy().tobytes()).decode()


def received(text: str, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype).reshape(shape)


def at_why(visit: Callable[..., Visitor], **options: Any) -> Visitor:
    """Draw a seven, and choose the view."""
    visitor = visit(**options)
    visitor.page.locator("#clear").click()
    visitor.draw(SEVEN)
    visitor.page.locator("#tab-why").click()
    return visitor


def test_maps_are_those_of_the_library(playground: Playground) -> None:
    inspection = playground.lab.run().inspection
    status, found = playground.ask("attribution", {"pixels": sent(inspection.pixels[0]), "target": 2})
    assert status == 200
    image = inspection.images[:1]
    layer = inspection.last_maps
    maps = {}
    for each in found["methods"]:
        values = received(each["values"], "<f4", (28, 28))
        options = {"grad-cam": {"layer": layer}, "occlusion": {"window": 3, "stride": 2}}
        expected = attribute(
            inspection.model,
            image,
            2,
            method=each["name"],
            steps=20,
            **options.get(each["name"], {}),
        )
        np.testing.assert_allclose(values, expected.values[0], atol=1e-5)
        maps[each["name"]] = torch.tensor(values)[None]
    assert sorted(maps) == ["grad-cam", "integrated-gradients", "occlusion", "saliency"]
    drops = logit_drops(inspection.model, image, maps, 2)
    for each in found["methods"]:
        assert each["drop"] == pytest.approx(drops[each["name"]].item(), abs=1e-4)
    assert found["chance"] == pytest.approx(drops["chance"].item(), abs=1e-4)
    # integrated gradients add up to the way from black to the image
    (complete,) = [each for each in found["methods"] if each["gap"] is not None]
    assert complete["sum"] - (found["logit"] - found["blank"]) == pytest.approx(
        complete["gap"], abs=1e-4
    )
    logits = inspection.model(torch.cat([image, image * 0 + image.min()]))
    assert [found["logit"], found["blank"]] == pytest.approx(logits[:, 2].tolist(), abs=1e-4)


def test_strokes_change_the_prediction_of_whole_pixels(playground: Playground) -> None:
    inspection = playground.lab.run().inspection
    pixels = inspection.pixels[3]
    status, found = playground.ask("counterfactual", {"pixels": sent(pixels)})
    assert status == 200
    assert found["found"] is True
    steps = [received(each, "u1", (1, 28, 28)) for each in found["steps"]]
    assert np.array_equal(steps[0], pixels.numpy())
    assert len(steps) == len(found["strokes"]) + 1
    logits = inspection.model(inspection.prepared(torch.tensor(np.stack(steps))))
    assert logits[0].topk(2).indices.tolist() == [found["predicted"], found["target"]]
    assert int(logits[-1].argmax()) == found["target"]
    np.testing.assert_allclose(found["probabilities"], logits.softmax(1).tolist(), atol=1e-5)
    # an earlier network is asked, if one is named
    status, before = playground.ask("counterfactual", {"pixels": sent(pixels), "epoch": 0})
    assert status == 200
    assert before["probabilities"] != found["probabilities"]


@pytest.mark.parametrize("name", ["attribution", "counterfactual"])
def test_wrong_requests_are_refused(playground: Playground, name: str) -> None:
    good = sent(playground.lab.run().inspection.pixels[0])
    for wrong in (
        {},
        {"pixels": "no base64!"},
        {"pixels": good[:80]},
        {"pixels": good, "target": 10},
        {"pixels": good, "target": -1},
        {"pixels": good, "target": "2"},
        {"pixels": good, "epoch": 99},
        {"pixels": good, "run": "none"},
        {"pixels": good, "steps": 10**9},
    ):
        status, answer = playground.ask(name, wrong)
        assert status == 422, wrong
        assert "\n" not in answer["error"]
    blank = sent(torch.zeros(1, 28, 28, dtype=torch.uint8))
    status, answer = playground.ask(name, {"pixels": blank})
    assert status == (422 if name == "counterfactual" else 200)


def test_maps_follow_the_drawing_and_the_class(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    visitor.page.locator("#clear").click()
    visitor.page.locator("#tab-why").click()
    view = visitor.page.locator("play-why")
    assert "Draw something" in view.inner_text()
    assert not view.locator("h3").first.is_visible()
    visitor.draw(SEVEN)
    visitor.until("document.querySelectorAll('.why-verdict').length === 4", 60)
    assert view.locator("h3").first.inner_text() == "Which pixels speak for 7"
    canvas = view.get_by_role("img", name="The drawing, coloured by Occlusion for 7")
    for_seven = canvas.evaluate("each => each.toDataURL()")
    view.get_by_role("button", name="3", exact=True).click()
    visitor.until("document.querySelector('.why-over').ariaLabel.endsWith('for 3')")
    canvas = view.get_by_role("img", name="The drawing, coloured by Occlusion for 3")
    assert canvas.evaluate("each => each.toDataURL()") != for_seven
    assert view.get_by_role("button", name="3", exact=True).get_attribute("aria-pressed") == "true"
    # empty corners are white, where nothing speaks for or against
    corner = "document.querySelector('.why-over').getContext('2d').getImageData(0, 0, 1, 1).data[0]"
    assert visitor.value(corner) > 240


def test_colours_lie_over_the_drawing(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    red, blue, middle, ink = visitor.page.evaluate(
        """async () => {
            const { paintOver } = await import("/play/attribution.js");
            const canvas = document.createElement("canvas");
            const pixels = new Uint8Array([0, 0, 0, 255]);
            paintOver(canvas, new Float32Array([2, -2, 0, 0]), true, pixels, [1, 1, 4]);
            const { data } = canvas.getContext("2d").getImageData(0, 0, 4, 1);
            return [0, 4, 8, 12].map((i) => Array.from(data.subarray(i, i + 3)));
        }"""
    )
    assert (red, blue) == ([103, 0, 31], [5, 48, 97])  # the ends of matplotlib's RdBu_r
    assert min(middle) > 240
    assert ink == [round(0.72 * value) for value in middle]


def test_a_map_is_believed_if_it_beats_brightness_and_chance(visit: Callable[..., Visitor]) -> None:
    found = visit().page.evaluate(
        """async () => {
            const { verdict } = await import("/play/attribution.js");
            return [[3, 2, 1], [2, 3, 1], [1, 0.5, 2], [1, 1, 1]].map((each) => verdict(...each));
        }"""
    )
    assert found == ["faithful", "ink", "chance", "chance"]


def test_strokes_are_shown_step_by_step_and_put_on_the_pad(visit: Callable[..., Visitor]) -> None:
    visitor = at_why(visit)
    view = visitor.page.locator("play-why")
    view.locator("select").select_option(label="9")
    view.get_by_role("button", name=FIND).click()
    visitor.until("!document.querySelector('.why-change').hidden", 60)
    assert "into 9" in view.get_by_role("status").inner_text()
    # without motion the end is shown, and the slider goes back
    assert view.locator(".why-change .bars .best .label").inner_text() == "9"
    slider = view.get_by_role("slider", name="Strokes drawn so far")
    count = int(slider.get_attribute("max") or 0)
    assert float(slider.input_value()) == count >= 1
    slider.fill("0")
    assert view.locator(".why-change .bars .best .label").inner_text() == "7"
    slider.fill("0.5")
    assert slider.get_attribute("aria-valuetext") == (f"0.5 of {count} stroke" + "s" * (count > 1))
    view.get_by_role("button", name="Put it on the pad").click()
    assert visitor.prediction.startswith("9, with")
    assert view.locator(".why-change").is_visible()
    visitor.draw([(0.1, 0.9), (0.2, 0.9)])
    visitor.until("document.querySelector('.why-change').hidden", 60)
    assert "search again" in view.get_by_role("status").inner_text()


def test_strokes_are_drawn_one_after_the_other(visit: Callable[..., Visitor]) -> None:
    visitor = at_why(visit, reduced_motion="no-preference")
    visitor.page.evaluate(
        """() => {
            performance.now = () => 0;
            window.requestAnimationFrame = (draw) => (window.next = draw);
            window.cancelAnimationFrame = () => (window.next = null);
        }"""
    )
    view = visitor.page.locator("play-why")
    view.get_by_role("button", name=FIND).click()
    visitor.until("!document.querySelector('.why-change').hidden", 60)
    slider = view.get_by_role("slider")
    visitor.page.evaluate("next(385)")  # half of the 0.77 s in which the first stroke is drawn
    assert slider.input_value() == "0.5"
    assert view.locator(".why-change .bars .best .label").count() == 1
    view.get_by_role("button", name="Pause").click()
    assert visitor.page.evaluate("next") is None
    assert slider.input_value() == "0.5"
    view.get_by_role("button", name="Play").click()
    visitor.page.evaluate("next(60_000)")
    assert slider.input_value() == slider.get_attribute("max")
    assert view.get_by_role("button", name="Play").is_visible()


def test_what_lies_behind_the_pen_is_drawn(visit: Callable[..., Visitor]) -> None:
    places, some = visit().page.evaluate(
        """async () => {
            const { along, partly } = await import("/play/counterfactual.js");
            const places = along([[1, 1], [2, 1], [3, 1]], 5, 3);
            const [before, after] = [new Uint8Array(15), new Uint8Array(15).fill(9)];
            return [Array.from(places.subarray(5, 10)), Array.from(partly(before, after, places, 0.5))];
        }"""
    )
    assert places == [0, 0, 0.5, 1, 1]
    assert some == [9, 9, 9, 0, 0] * 3


def test_a_network_without_maps_and_with_colours(
    visit: Callable[..., Visitor], strange: Playground
) -> None:
    visitor = at_why(visit, place=strange, width=320)
    visitor.until("document.querySelectorAll('.why-verdict').length === 3", 60)
    view = visitor.page.locator("play-why")
    assert "this network has none" in view.inner_text()
    assert view.locator(".why-classes button").count() == 27
    view.get_by_role("button", name=FIND).click()
    visitor.until("!/Searching/.test(document.querySelector('.why-said').textContent)", 60)
    assert visitor.value("document.documentElement.scrollWidth") == 320


def test_it_says_what_it_is_about_when_the_network_was_changed(visit: Callable[..., Visitor]) -> None:
    visitor = at_why(visit)
    visitor.page.evaluate(
        "() => { lenetscope.page.edits.set('test', () => {}); lenetscope.page.applyEdits(); }"
    )
    assert "left out here" in visitor.page.locator("play-why").inner_text()
    visitor.until("document.querySelectorAll('.why-verdict').length === 4", 60)


def test_a_failure_is_told(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    visitor.page.locator("#clear").click()
    visitor.page.route(
        "**/api/attribution", lambda route: route.fulfill(json={"error": "so it is"}, status=422)
    )
    visitor.draw(SEVEN)
    visitor.page.locator("#tab-why").click()
    visitor.until("/so it is/.test(document.querySelector('play-why .refusal').textContent)", 60)
    visitor.page.unroute("**/api/attribution")
    visitor.draw([(0.5, 0.5), (0.6, 0.5)])
    visitor.until("document.querySelectorAll('.why-verdict').length === 4", 60)
    assert not visitor.page.locator("play-why .refusal").is_visible()
    assert any("422" in message for message in visitor.messages)
    visitor.messages.clear()
