"""Filters changed by hand in the playground, compared with PyTorch."""

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lenetscope.models import MODELS
from report_runs import make_run
from visitors import Playground, Visitor, serve

SEVEN = [(0.3, 0.2), (0.7, 0.2), (0.4, 0.85)]


@MODELS.register("intricate")
class Intricate(nn.Module):
    """Groups, a layer that runs twice, weights used once more, and a convolution that is no layer."""

    def __init__(self, image_shape: tuple[int, int, int], classes: int, dropout: float = 0.5) -> None:
        super().__init__()
        channels, height, width = image_shape
        self.first = nn.Conv2d(channels, 4, 3, padding=1)
        self.grouped = nn.Conv2d(4, 4, 3, padding=1, groups=2, padding_mode="circular")
        self.loose = nn.Parameter(0.1 * torch.randn(4, 4, 1, 1))
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(4)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(4 * (height // 4) * (width // 4), 12)
        self.fc2 = nn.Linear(12, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.first(x))
        x = self.relu(self.grouped(self.grouped(x)))
        x = nn.functional.conv2d(x, self.grouped.weight, self.grouped.bias, padding=1, groups=2)
        x = nn.functional.conv2d(x, self.loose)
        out: Tensor = self.fc2(self.relu(self.fc1(self.flatten(self.pool(x)))))
        return out


@pytest.fixture(scope="module")
def intricate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Playground]:
    """A playground with such a network, of 26 classes of colour images."""
    folder = tmp_path_factory.mktemp("intricate")
    yield from serve(folder, make_run(folder / "run", "strange", model="intricate"))


def edited(place: Playground, *edits: tuple[str, int, Any]) -> nn.Module:
    """Return the network with filters changed: (layer, filter, factor or {place: weight})."""
    model = copy.deepcopy(place.lab.run().inspection.model)
    with torch.no_grad():
        for name, filter, change in edits:
            layer = model.get_submodule(name)
            if isinstance(change, dict):
                for where, weight in change.items():
                    layer.weight[filter, *where] = weight
            else:
                layer.weight[filter] *= change
                layer.bias[filter] *= change
    return model


def probabilities(place: Playground, visitor: Visitor, model: nn.Module) -> list[float]:
    """Return what PyTorch's network makes of what the page gave to its own."""
    opened = place.lab.run()
    images = opened.images(bytes(visitor.value("[...page.pixels]")))
    with torch.no_grad():
        logits = model.eval()(opened.inspection.prepared(images))
    return torch.softmax(logits, 1)[0].tolist()


def shown(visitor: Visitor) -> Any:
    """Return the page's probabilities, after the frame in which it runs."""
    visitor.page.evaluate("() => new Promise((after) => requestAnimationFrame(() => after()))")
    return pytest.approx(visitor.value("[...page.outputs.probabilities]"), abs=1e-4)


def slide(visitor: Visitor, factor: float) -> None:
    """Scale the filter that is chosen."""
    visitor.page.locator(".scaling input").fill(str(factor))


@pytest.mark.slow
def test_the_page_shows_the_edited_network(
    visit: Callable[..., Visitor], playground: Playground
) -> None:
    visitor = visit()
    page = visitor.page
    page.locator("#clear").click()
    visitor.draw(SEVEN)
    before = visitor.value("[...page.outputs.probabilities]")
    page.get_by_role("tab", name="Filters").click()
    page.get_by_role("button", name="filter 7 of conv1").click()
    page.get_by_role("button", name="Switch off").click()
    off = ("conv1", 6, 0)
    assert probabilities(playground, visitor, edited(playground, off)) == shown(visitor)
    page.get_by_role("button", name="filter 30 of conv2").click()
    page.locator(".editor select").select_option("map 3 of relu1")
    page.get_by_role("spinbutton", name="row 2, column 3").fill("-2.5")
    slide(visitor, -1.5)
    kernel, scaled = ("conv2", 29, {(2, 1, 2): -2.5}), ("conv2", 29, -1.5)
    assert probabilities(playground, visitor, edited(playground, off, kernel, scaled)) == shown(visitor)
    page.get_by_role("button", name="unit 9", exact=True).click()
    every = edited(playground, off, kernel, scaled, ("fc1", 8, 0))
    assert probabilities(playground, visitor, every) == shown(visitor)
    # the other views show the edited network, and say so
    page.get_by_role("tab", name="Layers").click()
    notice = page.locator("#notices .notice:visible")
    assert "2 filters and 1 unit changed" in notice.inner_text()
    notice.get_by_role("button", name="Reset all").click()
    assert before == shown(visitor)
    assert not notice.is_visible()


@pytest.mark.slow
def test_resetting_one_filter_leaves_the_others_changed(
    visit: Callable[..., Visitor], playground: Playground
) -> None:
    visitor = visit()
    page = visitor.page
    page.get_by_role("tab", name="Filters").click()
    slide(visitor, 0.5)
    page.get_by_role("button", name="filter 2 of conv1").click()
    spin = page.get_by_role("spinbutton", name="row 1, column 1")
    own = spin.input_value()
    spin.fill("0.75")
    spin.fill("")  # not yet a number: nothing happens
    spin.blur()
    assert spin.input_value() == "0.750"
    page.get_by_role("button", name="Reset this filter").click()
    assert probabilities(playground, visitor, edited(playground, ("conv1", 0, 0.5))) == shown(visitor)
    assert spin.input_value() == own


@pytest.mark.slow
def test_an_address_leads_to_the_changes(visit: Callable[..., Visitor], playground: Playground) -> None:
    kernel = [0.5, -1.25, 0.123456, 3, 0, 0, 1, 2, -3]
    address = json.dumps([["conv1", 6, 0], ["conv2", 29, -1.5, [2, *kernel]], ["fc1", 8, 0.5]])
    visitor = visit(path=f"/#filters={quote(address)}")
    visitor.draw(SEVEN)
    places = {(2, k // 3, k % 3): weight for k, weight in enumerate(kernel)}
    changes = [("conv1", 6, 0), ("conv2", 29, places), ("conv2", 29, -1.5), ("fc1", 8, 0.5)]
    assert probabilities(playground, visitor, edited(playground, *changes)) == shown(visitor)
    # and it goes on to tell them
    visitor.page.get_by_role("tab", name="Filters").click()
    visitor.page.get_by_role("button", name="filter 7 of conv1").click()
    visitor.page.get_by_role("button", name="Switch on").click()
    rest = [["conv2", 29, -1.5, [2, *kernel]], ["fc1", 8, 0.5]]
    told = "JSON.parse(new URLSearchParams(location.hash.slice(1)).get('filters'))"
    visitor.until(f"{told}.length === 2")
    assert visitor.value(told) == rest


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "{",
        "3",
        '[["conv9", 0, 1]]',
        '[["conv1", 16, 1]]',
        '[["conv1", 0.5, 1]]',
        '[["conv1", 0, "1"]]',
        '[["conv1", 0, 1e9]]',
        '[["conv1", 0, 1, [0, 1]]]',
        '[["conv1", 1, 0], ["fc1", 0, 1, [0, 1]]]',
    ],
)
def test_what_an_address_says_wrongly_changes_nothing(visit: Callable[..., Visitor], text: str) -> None:
    visitor = visit(path=f"/#filters={quote(text)}")
    assert visitor.page.locator("#trouble").is_visible()
    assert visitor.value("page.network.weights === page.base")
    assert not visitor.page.locator("#notices .notice:visible").count()


def counted(place: Playground, model: nn.Module) -> np.ndarray:
    """Return what a network predicts for 1,000 validation images, evenly spaced, one after another."""
    inspection = place.lab.run().inspection
    images = inspection.splits.valid.images[np.linspace(0, 9999, 1000).round().astype(int)]
    pixels = (images.float() / 255 - 0.1307) / 0.3081  # as the recipe of the run says
    with torch.no_grad():
        return model.eval()(pixels).argmax(1).numpy()


def test_the_accuracy_of_the_edited_network_is_counted(playground: Playground) -> None:
    opened = playground.lab.run()
    weights = {name: each.clone() for name, each in opened.inspection.model.state_dict().items()}
    kernel = [[0.5, -0.25, 0.125], [0, 1, 0], [3, 0, -1]]
    asked = [
        {"layer": "conv1", "filter": 3, "scale": 0},
        {"layer": "conv2", "filter": 11, "channel": 5, "kernel": [w for row in kernel for w in row]},
        {"layer": "conv2", "filter": 11, "scale": -2},
        {"layer": "fc1", "filter": 200, "scale": 0},
    ]
    places = {(5, y, x): kernel[y][x] for y in range(3) for x in range(3)}
    model = edited(
        playground,
        ("conv1", 3, 0),
        ("conv2", 11, places),
        ("conv2", 11, -2),
        ("fc1", 200, 0),
    )
    labels = opened.inspection.splits.valid.labels[np.linspace(0, 9999, 1000).round().astype(int)]
    before, after = counted(playground, opened.inspection.model), counted(playground, model)
    expected = {
        "images": 1000,
        "before": int((before == labels.numpy()).sum()),
        "after": int((after == labels.numpy()).sum()),
        "changed": int((before != after).sum()),
    }
    assert expected["changed"] > 0
    assert playground.ask("accuracy", {"edits": asked}) == (200, expected)
    # nothing is left of the changes
    now = opened.inspection.model.state_dict()
    assert all(torch.equal(each, now[name]) for name, each in weights.items())
    assert playground.ask("accuracy", {}) == (
        200,
        expected | {"after": expected["before"], "changed": 0},
    )


def test_the_accuracy_is_that_of_the_epoch(playground: Playground) -> None:
    random = counted(playground, playground.lab.run().model(0))
    labels = playground.lab.run().inspection.splits.valid.labels
    right = int((random == labels[np.linspace(0, 9999, 1000).round().astype(int)].numpy()).sum())
    status, found = playground.ask("accuracy", {"epoch": 0})
    assert (status, found["before"], found["after"]) == (200, right, right)


@pytest.mark.parametrize(
    ("edits", "why"),
    [
        ("all", "edits must be a list"),
        ([3], "edits[0] must be an object"),
        ([{"filter": 0, "scale": 1}], "layer is missing"),
        ([{"layer": "conv1", "filter": -1, "scale": 1}], "filter must be a whole number"),
        ([{"layer": "conv1", "filter": 16, "scale": 1}], "the last is 15"),
        ([{"layer": "conv1", "filter": 0, "scale": float("nan")}], "must be a finite number"),
        ([{"layer": "conv1", "filter": 0, "scale": 1e30}], "must be a finite number"),
        ([{"layer": "conv1", "filter": 0}], "a scale, or a channel and a kernel"),
        ([{"layer": "conv1", "filter": 0, "kernel": [1]}], "a scale, or a channel and a kernel"),
        ([{"layer": "conv1", "filter": 0, "channel": 0, "kernel": [1, 2]}], "has 5x5 numbers, not 2"),
        ([{"layer": "conv1", "filter": 0, "channel": 1, "kernel": [0] * 25}], "the last is 0"),
        (
            [{"layer": "conv1", "filter": 0, "channel": 0, "kernel": ["1"]}],
            "must be a finite number",
        ),
        ([{"layer": "fc1", "filter": 0, "channel": 0, "kernel": [1]}], "its units have no kernels"),
        ([{"layer": "relu1", "filter": 0, "scale": 1}], "neither a plain Conv2d"),
        ([{"layer": "conv3", "filter": 0, "scale": 1}], "conv"),
        ([{"layer": "", "filter": 0, "scale": 1}], "layer"),
        ([{"layer": "conv1", "filter": 0, "scale": 1}] * 5001, "a list of at most 5,000"),
    ],
)
def test_malformed_edits_are_refused(playground: Playground, edits: Any, why: str) -> None:
    status, found = playground.ask("accuracy", {"edits": edits})
    assert status == 422
    assert why in found["error"]
    assert "\n" not in found["error"]


@pytest.mark.slow
def test_shared_and_grouped_layers_are_changed_wherever_they_run(
    visit: Callable[..., Visitor], intricate: Playground
) -> None:
    visitor = visit(place=intricate)
    page = visitor.page
    page.get_by_role("tab", name="Filters").click()
    assert "1 more convolution is no layer" in page.locator("#view-filters").inner_text()
    assert "It runs 3 times" in page.locator("#view-filters").inner_text()
    page.get_by_role("button", name="filter 3 of grouped").click()
    # the third filter is the first of the second group, whose channels are maps 3 and 4
    page.locator(".editor select").select_option("map 4 of grouped: pad")
    page.get_by_role("spinbutton", name="row 3, column 1").fill("1.25")
    slide(visitor, 2)
    changes = [("grouped", 2, {(1, 2, 0): 1.25}), ("grouped", 2, 2)]
    assert probabilities(intricate, visitor, edited(intricate, *changes)) == shown(visitor)
    visitor.until("!document.querySelector('.counted.stale')")
    assert "on 104 validation images" in page.locator(".counted").inner_text()


@pytest.mark.slow
def test_without_convolutions_there_are_units(
    visit: Callable[..., Visitor], tmp_path: Any, idx_folder: Any
) -> None:
    for place in serve(tmp_path, make_run(tmp_path / "run", idx_folder, model="mlp")):
        visitor = visit(place=place, width=320)
        visitor.page.get_by_role("tab", name="Filters").click()
        assert "no convolutions" in visitor.page.locator("#view-filters .say").inner_text()
        visitor.page.get_by_role("button", name="unit 3", exact=True).first.click()
        name = visitor.page.locator("#view-filters h4").first.inner_text()
        assert probabilities(place, visitor, edited(place, (name, 2, 0))) == shown(visitor)
        assert visitor.value("document.documentElement.scrollWidth") == 320
        visitor.page.goto("about:blank")
