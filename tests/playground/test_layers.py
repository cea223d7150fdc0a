"""Pointing at the values of the layers: what they see, and what feeds them."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lenetscope.models import MODELS
from lenetscope.report import network
from visitors import Visitor

pytestmark = pytest.mark.slow

SEVEN = [(0.3, 0.2), (0.7, 0.2), (0.4, 0.85)]
MAP = "#layers .layer:nth-child({}) button:nth-of-type({})"

FIELDS = """async ([description, asked]) => {
  const { receptiveField } = await import("/play/fields.js");
  description.weights = new Float32Array(description.weights);
  return asked.map(([number, index]) => {
    const found = receptiveField(description, number, index);
    return found && [found.top, found.left, found.height, found.width];
  });
}"""


def positive(model: nn.Module) -> nn.Module:
    """Make every gradient positive: by small positive weights, and means in place of maxima."""
    generator = torch.Generator().manual_seed(0)
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.MaxPool2d):
                mean = nn.AvgPool2d(child.kernel_size, child.stride, child.padding)
                setattr(module, name, mean)
    for parameter in model.parameters():
        fan_in = math.prod(parameter.shape[1:]) or 1
        with torch.no_grad():
            parameter.copy_((torch.rand(parameter.shape, generator=generator) + 0.1) / fan_in)
    return model.double().eval()


def support(gradient: Tensor) -> list[int] | None:
    """Return top, left, height and width of the pixels that have a gradient."""
    places = gradient[0].abs().sum(0).nonzero()
    if not len(places):
        return None
    (top, left), (bottom, right) = places.min(0).values.tolist(), places.max(0).values.tolist()
    return [top, left, bottom - top + 1, right - left + 1]


def gradient_supports(name: str) -> tuple[dict[str, Any], list[list[int]], list[Any]]:
    """Return a network as the page has it, places in its layers, and the pixels with gradients."""
    model = MODELS.get(name)((1, 28, 28), classes=10).eval()
    graph = network.describe(model, (1, 28, 28))
    image = torch.rand(1, 1, 28, 28, dtype=torch.float64, requires_grad=True)
    outputs: dict[str, Tensor] = {}
    for layer, module in positive(model).named_modules():
        module.register_forward_hook(lambda _m, _i, out, layer=layer: outputs.update({layer: out}))
    model(image)
    asked, expected = [], []
    for number, layer in enumerate(graph.layers):
        values = outputs.get(layer["name"])
        if values is None or layer.get("inside") or list(values.shape[1:]) != layer["shape"]:
            continue
        count = values[0].numel()
        for index in sorted({0, count // 3, count // 2 + 5, count - 1} & set(range(count))):
            (gradient,) = torch.autograd.grad(values.flatten()[index], image, retain_graph=True)
            asked.append([number, index])
            expected.append(support(gradient))
    moves = any(layer["kind"] == "Move" for layer in graph.layers)
    weights = graph.weights.tolist() if moves else []  # the others do not change what is seen
    description = {"layers": graph.layers, "inputShape": [1, 28, 28], "weights": weights}
    return description, asked, expected


def test_receptive_fields_are_where_gradients_are(visit: Callable[..., Visitor]) -> None:
    page = visit().page
    sizes = set()
    for name in ("lenet", "lean", "resnet", "lenet5", "mlp"):
        description, asked, expected = gradient_supports(name)
        assert page.evaluate(FIELDS, [description, asked]) == expected, name
        sizes |= {(found[2], found[3]) for found in expected if found}
    assert len(sizes) > 15  # from single pixels to the whole image


def at(visitor: Visitor, selector: str, x: float, y: float) -> tuple[float, float]:
    """Return a place on the screen, from its place in an element."""
    visitor.page.locator(selector).first.scroll_into_view_if_needed()
    box = visitor.page.locator(selector).first.bounding_box()
    assert box is not None
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def lines(visitor: Visitor) -> int:
    return visitor.page.locator(".overlay .feeds:not(.around)").count()


def test_the_image_is_the_first_row_and_the_probabilities_are_the_last(
    visit: Callable[..., Visitor],
) -> None:
    visitor = visit()
    names = visitor.page.locator("#layers h4").all_inner_texts()
    assert names == ["the image", *visitor.value("page.network.layers.map((l) => l.name)")]
    visitor.draw(SEVEN)
    visitor.until("!page.empty")
    same = """(() => {
      const context = (place) => document.querySelector(place).getContext("2d");
      const data = (place) => context(place).getImageData(0, 0, 28, 28).data;
      const [a, b] = [[...data("#layers canvas.pixels")], data("#input")];
      return a.some((v, i) => i % 4 === 0 && v > 0) && a.every((v, i) => Math.abs(v - b[i]) <= 1);
    })()"""
    assert visitor.page.evaluate(same)


def test_pointing_tells_the_value_what_it_sees_and_what_feeds_it(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    visitor.draw(SEVEN)
    visitor.until("!page.empty")
    conv2 = visitor.value("page.network.layers.findIndex((l) => l.name === 'conv2')")
    # row 3, column 4 of 10x10, in map 2
    visitor.page.mouse.move(*at(visitor, MAP.format(conv2 + 2, 2), 0.35, 0.25))
    value = visitor.value(f"page.outputs.layers[{conv2}].values[100 + 23]")
    tip = visitor.page.locator("#tip")
    assert tip.locator(".place").inner_text() == "conv2, map 2: row 3, column 4"
    assert float(tip.locator(".value").inner_text().replace("−", "-")) == pytest.approx(
        value, abs=0.006
    )
    # 5x5 convolution, 2x2 pooling, 3x3 convolution: 3 * 2 + 4 = 10
    assert tip.locator(".sees").inner_text() == "sees 10×10 pixels"
    assert lines(visitor) == 6  # the strongest of 16 maps
    assert visitor.page.locator(".overlay .thin").get_attribute("d").count("M") == 10  # the others
    frame = visitor.page.locator(".overlay .seen:not(.around)").first.bounding_box()
    box = visitor.page.locator("#input").bounding_box()
    assert frame is not None
    assert box is not None
    pixel = box["width"] / 28
    assert frame["x"] - box["x"] == pytest.approx(6 * pixel, abs=3)  # column 4 begins at 3 * 2
    assert frame["y"] - box["y"] == pytest.approx(4 * pixel, abs=3)
    assert frame["width"] == pytest.approx(10 * pixel, abs=5)
    visitor.page.mouse.move(5, 5)
    assert not tip.is_visible()
    assert lines(visitor) == 0


def test_the_frame_on_the_pad_is_where_the_input_came_from(visit: Callable[..., Visitor]) -> None:
    """Centring scales: the 20 pixels of the box of a digit are the strokes' height on the pad."""
    visitor = visit()
    visitor.draw([(0.4, 0.3), (0.4, 0.7)])
    visitor.until("!page.empty")
    ys = visitor.value(
        "[...Array(28).keys()].filter((y) =>"
        " page.pixels.subarray(28 * y, 28 * y + 28).some((v) => v > 200))"
    )
    found = visitor.value("((s) => [s.left, s.top, s.width, s.height].map((v) => v / 280))(page.seen)")
    top = found[1] + found[3] * ys[0] / 28
    bottom = found[1] + found[3] * (ys[-1] + 1) / 28
    assert top == pytest.approx(0.3 - 0.04, abs=0.03)  # the pen is 0.08 wide
    assert bottom == pytest.approx(0.7 + 0.04, abs=0.03)


def test_keyboard_and_finger_show_first_and_open_second(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    visitor.page.locator("#tab-layers").focus()
    visitor.page.keyboard.press("Tab")
    tip = visitor.page.locator("#tip")
    assert tip.locator(".place").inner_text().startswith("the image: row ")
    assert visitor.page.evaluate("document.activeElement.getAttribute('aria-describedby')") == "tip"
    visitor.page.keyboard.press("Escape")
    assert not tip.is_visible()
    visitor.page.keyboard.press("Enter")
    assert visitor.page.locator("#large-title").inner_text() == "the image: channel 1 of 1"

    phone = visit(390, has_touch=True)
    place = at(phone, MAP.format(2, 3), 0.5, 0.5)
    phone.page.touchscreen.tap(*place)
    assert phone.page.locator("#tip .place").inner_text().startswith("conv1, map 3: row ")
    assert not phone.page.locator("#large").is_visible()
    phone.page.touchscreen.tap(*place)
    assert phone.page.locator("#large-title").inner_text() == "conv1: map 3 of 16"


def test_a_click_explains_the_value_that_was_pointed_at(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    visitor.draw(SEVEN)
    place = at(visitor, MAP.format(2, 3), 0.27, 0.35)
    visitor.page.mouse.move(*place)
    told = visitor.page.locator("#tip .place").inner_text().partition(": ")[2]
    visitor.page.mouse.click(*place)
    assert visitor.page.locator("#large-value").inner_text().lower().startswith(told)


def test_the_legend_stays_in_sight(visit: Callable[..., Visitor]) -> None:
    for width in (1280, 390):
        page = visit(width).page
        page.locator("#layers .layer").last.scroll_into_view_if_needed()
        tabs, legend = page.locator("#tabs").bounding_box(), page.locator("#legend").bounding_box()
        assert tabs is not None
        assert legend is not None
        assert tabs["y"] == 0
        assert legend["y"] == pytest.approx(tabs["height"], abs=2)
        assert legend["height"] < 80


def test_pointing_takes_far_less_than_a_frame(visit: Callable[..., Visitor]) -> None:
    """A frame is 16.7 ms; typical is 1 ms on one slow core."""
    visitor = visit()
    visitor.draw(SEVEN)
    took = visitor.page.evaluate("""() => {
      const took = [];
      for (const button of document.querySelectorAll("#layers .layer:nth-child(5) button")) {
        const box = button.getBoundingClientRect();
        const [clientX, clientY] = [box.left + box.width / 3, box.top + box.height / 2];
        const start = performance.now();
        button.dispatchEvent(new PointerEvent("pointermove", { bubbles: true, clientX, clientY }));
        document.body.offsetWidth;
        took.push(performance.now() - start);
      }
      return took.sort((a, b) => a - b);
    }""")
    print(f"pointing: median {took[len(took) // 2]:.2f} ms, most {took[-1]:.2f} ms")
    assert took[len(took) // 2] < 8
