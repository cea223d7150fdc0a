"""The pad and its tools, the steps from a drawing to an input, and pictures of the visitor's own."""

import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import expect

from lenetscope.data.pixels import fit_to
from lenetscope.pictures import decode
from lenetscope.playground.answers import read as answer_read
from lenetscope.reading.single import like_mnist
from report_runs import make_run
from visitors import Playground, Visitor, serve

pytestmark = pytest.mark.slow
expect.set_options(timeout=20_000)

Visit = Callable[..., Visitor]
SEVEN = [(0.3, 0.2), (0.7, 0.2), (0.4, 0.85)]
LINE = [(0.2, 0.5), (0.8, 0.5)]
BEST = "page.outputs.probabilities.indexOf(Math.max(...page.outputs.probabilities))"
PAD = """() => {
  const pad = document.getElementById("pad");
  const { data } = pad.getContext("2d").getImageData(0, 0, pad.width, pad.height);
  let text = "";
  for (let i = 0; i < data.length; i += 4) text += String.fromCharCode(data[i]);
  return btoa(text);
}"""


@pytest.fixture(scope="module")
def colour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Playground]:
    """A playground with a network of colour images that are no digits."""
    folder = tmp_path_factory.mktemp("colour")
    run = make_run(folder / "run", "strange", mean=[0.5] * 3, std=[0.5] * 3, lr=0.001)
    yield from serve(folder, run)


def drawn(visitor: Visitor) -> np.ndarray:
    """Return the pad, (H, W) from 0 to 255."""
    width = visitor.value("document.getElementById('pad').width")
    red = np.frombuffer(base64.b64decode(visitor.page.evaluate(PAD)), np.uint8)
    return red.reshape(-1, width).astype(float)


def given(visitor: Visitor) -> np.ndarray:
    """Return the pixels that the network was given last, (28, 28)."""
    return np.array(visitor.value("[...page.pixels]"), dtype=float).reshape(28, 28)


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def number(playground: Playground, *classes: int) -> tuple[bytes, str]:
    """Return a picture of test images side by side, dark on light, and what is written in it."""
    inspection = playground.lab.run().inspection
    rows = [int((inspection.labels == k).nonzero()[3]) for k in classes]
    digits = torch.cat([inspection.pixels[row, 0] for row in rows], dim=1).numpy()
    large = np.kron(np.pad(digits, 8), np.ones((4, 4)))
    return png(255 - large), "".join(map(str, classes))


def test_the_page_begins_with_a_digit_that_the_first_stroke_wipes_off(visit: Visit) -> None:
    visitor = visit(reduced_motion="no-preference")
    visitor.until(f"!page.empty && {BEST} === 2 && Math.max(...page.outputs.probabilities) > 0.99")
    visitor.draw(LINE)
    visitor.page.wait_for_timeout(100)
    ink = drawn(visitor) > 0
    rows = np.flatnonzero(ink.any(axis=1))
    assert rows.min() > 120  # nothing of the digit is left
    assert rows.max() < 160


def test_strokes_and_clearing_can_be_undone_twenty_times(visit: Visit) -> None:
    visitor = visit()
    assert visitor.page.locator("#undo").is_disabled()
    visitor.draw(LINE)
    one = drawn(visitor)
    visitor.draw(SEVEN)
    visitor.page.locator("#clear").click()
    assert visitor.value("page.empty")
    visitor.page.locator("#undo").click()
    visitor.page.keyboard.press("Control+z")
    assert (drawn(visitor) == one).all()
    visitor.page.keyboard.press("Control+z")
    visitor.until("page.empty")
    assert visitor.page.locator("#undo").is_disabled()
    pressed = visitor.page.evaluate("""() => {
      const [clear, undo] = ["clear", "undo"].map((id) => document.getElementById(id));
      for (let i = 0; i < 25; i++) clear.click();
      let pressed = 0;
      for (; !undo.disabled; pressed++) undo.click();
      return pressed;
    }""")
    assert pressed == 20


def test_the_pen_has_widths_and_the_eraser_takes_ink_away(visit: Visit) -> None:
    visitor = visit()
    for name, size in (("Thin", 0.6), ("Medium", 1), ("Thick", 1.6)):
        visitor.page.locator("#clear").click()
        visitor.page.get_by_role("button", name=f"{name} pen").click()
        visitor.draw(LINE)
        across = (drawn(visitor)[:, 140] > 127).sum()
        assert across == pytest.approx(0.08 * 280 * size, abs=1.5)
    visitor.page.locator("#eraser").click()
    expect(visitor.page.locator("#eraser")).to_have_attribute("aria-pressed", "true")
    visitor.draw([(0.1, 0.5), (0.9, 0.5)])
    visitor.until("page.empty")


def test_the_pressure_of_a_pen_is_the_width_of_its_stroke(visit: Visit) -> None:
    visitor = visit()
    stroke = """(pressure) => {
      const pad = document.getElementById("pad");
      const box = pad.getBoundingClientRect();
      const send = (name, x) => pad.dispatchEvent(new PointerEvent(name, {
        pointerId: 1, pointerType: "pen", pressure, buttons: 1, bubbles: true, cancelable: true,
        clientX: box.left + x * box.width, clientY: box.top + 0.5 * box.height }));
      document.getElementById("clear").click();
      send("pointerdown", 0.2); send("pointermove", 0.8); send("pointerup", 0.8);
    }"""
    for pressure in (0.25, 0.5, 1.0):
        visitor.page.evaluate(stroke, pressure)
        across = (drawn(visitor)[:, 140] > 127).sum()
        assert across == pytest.approx(0.08 * 280 * (0.4 + 1.2 * pressure), abs=1.5)


def test_there_is_at_most_one_pass_per_frame(visit: Visit) -> None:
    visitor = visit()
    counted = visitor.page.evaluate("""() => new Promise((resolve) => {
      const pad = document.getElementById("pad");
      const box = pad.getBoundingClientRect();
      let runs = 0;
      lenetscope.page.on("run", () => (runs += 1));
      const send = (name, x) => pad.dispatchEvent(new PointerEvent(name, {
        pointerId: 1, clientX: box.left + x, clientY: box.top + 50, bubbles: true, cancelable: true }));
      requestAnimationFrame(() => {
        send("pointerdown", 20);
        for (let x = 20; x < 220; x++) send("pointermove", x);
        send("pointerup", 220);
        setTimeout(() => resolve([runs, lenetscope.page.empty]), 300);
      });
    })""")
    assert counted == [1, False]


def off(visitor: Visitor, *names: str) -> None:
    """Leave these steps of the preparation out, and no others."""
    visitor.unfold()
    labels = {"box": "box and scale", "centre": "centre", "smooth": "smooth", "normalise": "normalise"}
    for name, label in labels.items():
        visitor.page.get_by_label(label, exact=True).set_checked(name not in names)


def test_each_step_to_the_input_can_be_left_out(visit: Visit, playground: Playground) -> None:
    visitor = visit()
    visitor.draw([(0.3, 0.2), (0.55, 0.25)], [(0.5, 0.25), (0.35, 0.6)])
    visitor.page.evaluate(
        "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )
    pad = drawn(visitor)
    smaller = pad.reshape(28, 10, 28, 10).mean(axis=(1, 3))
    off(visitor, "box", "centre")
    assert given(visitor) == pytest.approx(np.rint(smaller), abs=1)
    off(visitor, "box", "centre", "smooth")
    assert (given(visitor) == pad[5::10, 5::10]).all()
    off(visitor, "box")
    mass = smaller / smaller.sum()
    middle = [float((mass.sum(axis=axis) * (np.arange(28) + 0.5)).sum()) for axis in (1, 0)]
    down, right = (round(14 - place) for place in middle)
    assert given(visitor) == pytest.approx(np.rint(np.roll(smaller, (down, right), (0, 1))), abs=1)
    off(visitor, "centre")
    boxed = given(visitor) > 0
    rows, columns = (np.flatnonzero(boxed.any(axis=axis)) for axis in (1, 0))
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    ink = pad >= 24
    top, left = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    for own, whole in ((rows, top), (columns, left)):
        wanted = (whole[0] + whole[-1] + 1) / 20 - len(own) / 2
        assert own[0] == pytest.approx(np.clip(wanted, 0, 28 - len(own)), abs=1)
    off(visitor, "normalise")
    model = playground.lab.run().inspection.model
    with torch.no_grad():
        image = torch.tensor(given(visitor) / 255, dtype=torch.float32)[None, None]
        expected = model(image).softmax(1)[0].tolist()
    assert visitor.value("[...page.outputs.probabilities]") == pytest.approx(expected, abs=1e-4)
    captions = visitor.page.locator("#way-in li:visible").all_inner_texts()
    assert captions[0] == "drawn"
    assert captions[-1] == "centred"
    off(visitor)
    assert visitor.page.locator("#way-in li:visible").all_inner_texts()[-1] == "normalised"


def test_a_number_is_read_and_its_digits_go_onto_the_pad(
    visit: Visit, playground: Playground, tmp_path: Path
) -> None:
    file, text = number(playground, 4, 7, 1)
    (tmp_path / "mine.png").write_bytes(file)
    status, found = playground.ask("read", {"image": base64.b64encode(file).decode()})
    assert status == 200
    reading = found["reading"]
    assert reading["text"] == text
    assert reading["confidence"] > 0.9
    assert reading["size"] == [400, 176]
    boxes = [digit["box"] for digit in reading["digits"]]
    assert [round((box[0] + box[2] - 64) / 2 / 112 - 0.5) for box in boxes] == [0, 1, 2]
    visitor = visit()
    visitor.page.locator("#picture").click()
    visitor.page.locator("#own-picture input[type=file]").set_input_files(tmp_path / "mine.png")
    expect(visitor.page.locator("#own-picture strong")).to_contain_text(f"It reads {text}, with")
    assert visitor.page.locator(".found b").all_inner_texts() == list(text)
    visitor.page.get_by_role("button", name="Put on the pad: 7").click()
    pixels = np.frombuffer(base64.b64decode(reading["images"][1]), np.uint8).reshape(28, 28)
    assert (given(visitor) == pixels).all()
    assert visitor.value(BEST) == 7
    assert visitor.page.locator("#prepared").inner_text() == "Digit 2 of mine.png, scaled and centred."
    assert not visitor.page.locator("#own-picture dialog").is_visible()


TRANSFER = """([bytes, type, kind]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([new Uint8Array(bytes)], "dropped.png", { type }));
  const options = { bubbles: true, cancelable: true };
  document.body.dispatchEvent(kind === "paste"
    ? new ClipboardEvent("paste", { ...options, clipboardData: transfer })
    : new DragEvent("drop", { ...options, dataTransfer: transfer }));
}"""


def test_pictures_are_pasted_and_dropped(visit: Visit, playground: Playground) -> None:
    visitor = visit()
    read = visitor.page.locator("#own-picture strong")
    for kind, digit in (("paste", 3), ("drop", 6)):
        file, text = number(playground, digit)
        visitor.page.evaluate(TRANSFER, [list(file), "image/png", kind])
        expect(read).to_contain_text(f"It reads {text}, with")
    dialog = visitor.page.locator("#own-picture dialog")
    visitor.page.evaluate(TRANSFER, [[1, 2, 3], "text/plain", "drop"])
    expect(dialog).to_contain_text("This is no picture.")
    visitor.page.keyboard.press("Escape")
    visitor.page.evaluate(TRANSFER, [[1, 2, 3], "text/plain", "drop"])
    expect(visitor.page.locator("#trouble")).to_contain_text("This is no picture.")
    visitor.page.evaluate("""() => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([new Uint8Array(8_100_000)], "large.png", { type: "image/png" }));
      dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, cancelable: true }));
    }""")
    expect(visitor.page.locator("#trouble")).to_contain_text("8.1 MB; the limit is 8 MB")
    visitor.page.evaluate(TRANSFER, [[1, 2, 3], "image/png", "paste"])
    expect(dialog).to_contain_text("is not a picture")
    visitor.messages.clear()  # the browser notes the status 422


def test_the_desk_fits_a_telephone_and_its_buttons_fingers(visit: Visit) -> None:
    visitor = visit(width=320)
    assert visitor.value("document.documentElement.scrollWidth") == 320
    small = visitor.page.evaluate("""() =>
      [...document.querySelectorAll("#pad-tools button, #steps label")]
        .filter((each) => each.checkVisibility())
        .map((each) => [each.textContent, each.getBoundingClientRect()])
        .filter(([, box]) => box.height < 44 || box.width < 43.5)
        .map(([text]) => text)""")
    assert small == []


def test_the_camera_gives_a_still_or_says_why_not(visit: Visit) -> None:
    visitor = visit()
    refuse = "navigator.mediaDevices.getUserMedia = async () => { throw new Error('no') }"
    visitor.page.evaluate(f"() => {{ {refuse} }}")
    visitor.page.locator("#picture").click()
    visitor.page.get_by_role("button", name="Camera").click()
    expect(visitor.page.locator("#own-picture dialog")).to_contain_text("The camera may not be used")
    visitor.page.evaluate("""() => {
      const canvas = document.createElement("canvas");
      Object.assign(canvas, { width: 320, height: 240 });
      const context = canvas.getContext("2d");
      const paint = () => {
        context.fillStyle = "#fff"; context.fillRect(0, 0, 320, 240);
        context.fillStyle = "#000"; context.fillRect(152, 60, 14, 120);
      };
      paint();
      setInterval(paint, 30);
      window.stream = canvas.captureStream(30);
      navigator.mediaDevices.getUserMedia = async () => window.stream;
    }""")
    visitor.page.get_by_role("button", name="Camera").click()
    visitor.page.wait_for_timeout(300)
    visitor.page.get_by_role("button", name="Take the picture").click()
    expect(visitor.page.locator("#own-picture strong")).to_contain_text("It reads 1")
    assert visitor.page.evaluate("window.stream.getTracks().every((t) => t.readyState === 'ended')")


def test_what_is_no_picture_or_too_large_is_refused_and_the_server_lives(
    playground: Playground, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(content: bytes) -> tuple[int, str]:
        status, found = playground.ask("read", {"image": base64.b64encode(content).decode()})
        return status, found["error"]

    assert "is not a picture" in asked(b"no picture")[1]
    assert "cannot be decoded" in asked(png(np.eye(99) * 255)[:60])[1]
    wide = Image.new("1", (6000, 5000))
    file = io.BytesIO()
    wide.save(file, "PNG")
    assert "the limit" in asked(file.getvalue())[1]  # 30 megapixels, a few kilobytes
    assert asked(bytes(8_000_001)) == (
        422,
        "the picture has 8,000,001 bytes; the limit is 8,000,000.",
    )
    for wrong in ("%%%", 5, None):
        assert playground.ask("read", {"image": wrong})[0] == 422
    assert playground.ask("read", {})[0] == 422
    assert playground.ask("network", {})[0] == 200
    monkeypatch.setattr(answer_read, "MAX_BYTES", 100)
    assert "the limit is 100" in asked(bytes(101))[1]


def test_for_other_networks_a_picture_is_resized_as_predict_does_it(
    visit: Visit, colour: Playground, tmp_path: Path
) -> None:
    generator = np.random.default_rng(1)
    path = tmp_path / "photo.png"
    path.write_bytes(png(generator.integers(0, 255, (50, 40, 3))))
    expected = fit_to(decode(path, 3), (20, 16))
    visitor = visit(place=colour)
    first = colour.lab.run().inspection.pixels[0].flatten().tolist()
    visitor.until("!page.empty")  # a test image to begin with
    assert visitor.value("[...page.pixels]") == first
    visitor.unfold()
    assert visitor.page.locator("#steps label:visible").all_inner_texts() == ["smooth", "normalise"]
    visitor.page.locator("#picture").click()
    visitor.page.locator("#own-picture input[type=file]").set_input_files(path)
    visitor.until("document.getElementById('prepared').textContent.startsWith('photo.png')")
    assert visitor.value("[...page.pixels]") == expected.flatten().tolist()
    visitor.page.locator("#undo").click()
    visitor.draw([(0.2, 0.2), (0.8, 0.8)])
    visitor.page.wait_for_timeout(100)
    captions: list[Any] = visitor.page.locator("#way-in li:visible").all_inner_texts()
    assert captions == ["drawn", "smaller", "normalised"]


def test_digits_of_strips_are_those_of_mnist_in_size_and_place() -> None:
    strip = np.zeros((28, 60), np.uint8)
    strip[4:24, 30:40] = 255
    image = like_mnist(strip)
    assert image.shape == (28, 28)
    assert np.ptp(np.flatnonzero(image.any(axis=1))) + 1 == 20
