"""From pictures to text, with a judge that knows MNIST's training images."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageOps

import lenetscope
from lenetscope.data.sources.mnist import read_mnist
from lenetscope.errors import ImageError, UsageError
from lenetscope.reading import Digit, NetworkJudge, Reading, read


class Nearest:
    """Predicts the label of the nearest of 3,000 training images, with digitness their similarity."""

    threshold = 0.2

    def __init__(self) -> None:
        train = read_mnist().train
        images = train.images[:3000].float().flatten(1)
        self.images = images / images.norm(dim=1, keepdim=True)
        self.labels = train.labels[:3000]

    def judge(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        flat = images.float().flatten(1)
        alike = flat / flat.norm(dim=1, keepdim=True).clamp(min=1) @ self.images.T  # (N, 3000)
        scores = torch.stack([alike[:, self.labels == k].max(dim=1).values for k in range(10)], dim=1)
        return (scores * 40).softmax(dim=1), scores.max(dim=1).values


@pytest.fixture(scope="module")
def judge() -> Nearest:
    return Nearest()


SEVEN = [(30, 30, 75, 30), (75, 30, 50, 90)]
ONE = [(50, 30, 50, 90)]


def picture(
    *digits: tuple[int, list[tuple[int, int, int, int]]],
    size: tuple[int, int] = (120, 120),
    width: int = 8,
) -> Image.Image:
    """Draw dark lines on light paper; the first value of a digit is its shift to the right."""
    canvas = Image.new("L", size, 230)
    for right, lines in digits:
        for x0, y0, x1, y1 in lines:
            ImageDraw.Draw(canvas).line((x0 + right, y0, x1 + right, y1), 40, width)
    return canvas


def test_a_digit_of_either_polarity_anywhere_and_of_any_size(judge: Nearest) -> None:
    seven = picture((0, SEVEN))
    large = Image.new("L", (900, 700), 230)
    large.paste(seven, (700, 40))
    for each in (seven, ImageOps.invert(seven), large, seven.resize((28, 28), Image.Resampling.BOX)):
        found = read(each, judge=judge)
        assert (found.text, found.rejected) == ("7", None)
    left, top, right, bottom = read(large, judge=judge).digits[0].box
    assert (left, top, right, bottom) == pytest.approx((730, 66, 779, 93 + 40), abs=6)


def test_every_kind_of_source_gives_the_same(judge: Nearest, tmp_path: Path) -> None:
    seven = picture((0, SEVEN))
    seven.save(tmp_path / "7.png")
    pixels = np.asarray(seven)
    sources = [
        tmp_path / "7.png",
        str(tmp_path / "7.png"),
        (tmp_path / "7.png").read_bytes(),
        (tmp_path / "7.png").open("rb"),
        seven,
        pixels,
        torch.from_numpy(pixels.copy())[None],
        pixels / 255,
        np.stack([pixels] * 3, axis=2),
        pixels.astype(np.uint16) * 257,
    ]
    readings = [read(source, judge=judge).as_dict() for source in sources]
    assert all(each == readings[0] for each in readings)
    assert readings[0]["text"] == "7"
    sources[3].close()


def test_transparent_drawings_of_either_colour(judge: Nearest) -> None:
    alpha = ImageOps.invert(picture((0, SEVEN))).point(lambda v: 255 if v > 128 else 0)
    for colour in ("black", "white"):
        drawing = Image.new("RGBA", alpha.size, colour)
        drawing.putalpha(alpha)
        assert read(drawing, judge=judge).text == "7"


def test_numbers_in_rows_and_lines(judge: Nearest) -> None:
    number = picture((0, SEVEN), (60, ONE), (120, SEVEN), size=(260, 120))
    found = read(number, judge=judge)
    assert found.text == "717"
    assert [digit.label for digit in found.digits] == ["7", "1", "7"]
    assert found.confidence == pytest.approx(np.prod([digit.probability for digit in found.digits]))
    two = Image.new("L", (260, 260), 230)
    two.paste(number, (0, 0))
    two.paste(picture((10, ONE), (80, SEVEN), size=(240, 120)), (0, 120))
    assert read(two, judge=judge).text == "717 17"


def test_a_number_on_a_rising_line_is_rotated(judge: Nearest) -> None:
    number = picture((0, SEVEN), (60, SEVEN), (120, ONE), (160, SEVEN), size=(320, 120))
    uphill = number.rotate(25, expand=True, fillcolor=230)
    assert read(uphill, judge=judge).text == "7717"


def test_a_stroke_that_broke_is_one_digit_and_two_lines_are_two(judge: Nearest) -> None:
    seven = picture((0, SEVEN), size=(140, 140), width=6)
    broken = seven.copy()
    ImageDraw.Draw(broken).rectangle((50, 55, 80, 60), fill=230)
    assert read(broken, judge=judge).text == read(seven, judge=judge).text == "7"
    assert read(broken, judge=judge, skip=frozenset(["joining"])).text != "7"
    lines = Image.new("L", (140, 260), 230)
    lines.paste(seven, (0, 0))
    lines.paste(seven, (0, 110))
    assert read(lines, judge=judge).text == "7 7"


@pytest.mark.parametrize("negative", [False, True])
@pytest.mark.parametrize("size", [(8, 8), (12, 16), (32, 32)])
def test_small_pictures_may_be_filled_by_a_digit(size: tuple[int, int], negative: bool) -> None:
    digits = read_mnist().test.images[:40, 0].numpy()
    labels = read_mnist().test.labels[:40].tolist()
    right = 0
    for digit, label in zip(digits, labels, strict=True):
        image = Image.fromarray(digit).crop(Image.fromarray(digit).getbbox())
        small = image.resize(size, Image.Resampling.BOX)
        right += lenetscope.read(ImageOps.invert(small) if negative else small).text == str(label)
    assert right >= 34


def test_a_felt_pen_may_fill_the_frame_and_the_paper_within_is_not_a_digit() -> None:
    pen = Image.new("L", (120, 120), 255)
    ImageDraw.Draw(pen).ellipse((0, 0, 119, 119), outline=0, width=26)
    found = lenetscope.read(pen)
    assert found.text == "0"
    assert found.digits[0].box == (0.0, 0.0, 120.0, 120.0)
    assert lenetscope.read(ImageOps.invert(pen)).text == "0"


def test_a_small_picture_without_a_digit_is_not_searched_for_one(judge: Nearest) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (28, 28)).astype(np.uint8)
    found = lenetscope.read(noise)
    assert len(found.digits) == 1
    assert found.rejected
    assert found.confidence < 0.5


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (3, 2), (33, 9), (5, 200)])
def test_pictures_of_a_few_pixels_are_read_without_an_error(size: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    for values in (random.integers(0, 256, size), np.zeros(size), 255 * (random.random(size) < 0.3)):
        found = lenetscope.read(values.astype(np.uint8), explain=True)
        assert 0 <= found.confidence <= 1
        assert found.digits or found.rejected
        assert found.steps


def test_cutting_lowers_the_confidence() -> None:
    two = Image.new("L", (300, 160), 255)
    ImageDraw.Draw(two).line((40, 30, 110, 30, 70, 130), fill=0, width=8)
    ImageDraw.Draw(two).line((110, 30, 180, 30, 140, 130), fill=0, width=8)
    found = lenetscope.read(two)
    assert len(found.digits) > 1
    assert min(digit.probability for digit in found.digits) < 0.8
    assert found.confidence == pytest.approx(np.prod([digit.probability for digit in found.digits]))


def test_blank_paper_is_refused(judge: Nearest) -> None:
    noise = np.random.default_rng(0).normal(200, 3, (90, 90)).astype(np.uint8)
    for blank in (Image.new("L", (50, 50), 255), Image.fromarray(noise), Image.new("1", (1, 1))):
        found = read(blank, judge=judge)
        assert (found.text, found.confidence, found.digits) == ("", 0.0, ())
        assert found.rejected == "blank: there is no ink in the picture"
        assert str(found) == "-  rejected: blank: there is no ink in the picture"


def test_a_reading_shows_itself_and_no_digit_is_certain() -> None:
    digit = Digit("7", 0.99999, 1.0, (0, 9, 0, 9), (("1", 1e-6),), np.zeros((28, 28), np.uint8))
    found = Reading("7", 0.99999, (digit,))
    assert str(found) == "7  >99.9 %"
    shown = found._repr_html_()
    assert '<td style="text-align:left">7  &gt;99.9 %</td>' in shown
    assert "1  &lt;0.1 %" in shown


def test_the_threshold_decides_what_is_refused(judge: Nearest) -> None:
    seven = picture((0, SEVEN))
    assert read(seven, judge=judge, threshold=0.0).rejected is None
    refused = read(seven, judge=judge, threshold=1.0)
    assert refused.text == "7"
    assert refused.rejected is not None
    assert "below the threshold of 1" in refused.rejected
    number = read(picture((0, SEVEN), (60, ONE), size=(190, 120)), judge=judge, threshold=1.0)
    assert number.rejected is not None
    assert number.rejected.startswith("2 of 2 characters")
    for wrong in ({"threshold": 1.5}, {"skip": frozenset(["no such step"])}):
        with pytest.raises(UsageError):
            read(seven, judge=judge, **wrong)


def test_mnist_images_are_not_changed_by_a_bit(judge: Nearest) -> None:
    images = read_mnist().test.images[:20, 0].numpy()
    for image in images:
        for given in (image, 255 - image):
            assert np.array_equal(read(given, judge=judge).digits[0].image, image)


def test_steps_are_kept_when_asked_for(judge: Nearest) -> None:
    seven = picture((0, SEVEN), (70, ONE), size=(190, 120))
    assert read(seven, judge=judge).steps == ()
    found = read(seven, judge=judge, explain=True)
    whole = ["picture", "illumination", "polarity", "ink", "lines of paper", "pieces"]
    digit = ["cut out", "slant", "stroke width", "box and centre"]
    assert [step.name for step in found.steps] == whole + digit + digit
    assert [step.digit for step in found.steps] == [None] * 6 + [0] * 4 + [1] * 4
    assert np.array_equal(found.steps[9].image, found.digits[0].image)
    blank = read(Image.new("L", (50, 50), 255), judge=judge, explain=True)
    assert [step.name for step in blank.steps] == ["picture"]


def test_what_is_not_a_picture_is_refused(judge: Nearest, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no file"):
        read(tmp_path / "none.png", judge=judge)
    with pytest.raises(ImageError, match="the picture is not a picture"):
        read(b"not a picture", judge=judge)
    with pytest.raises(ImageError, match="has shape"):
        read(np.zeros((2, 3, 4, 5)), judge=judge)
    with pytest.raises(ImageError, match="no pixels"):
        read(np.zeros((0, 5), dtype=np.uint8), judge=judge)
    with pytest.raises(ImageError, match="not finite"):
        read(np.full((5, 5), np.nan), judge=judge)


def test_any_network_of_ten_digits_can_judge() -> None:
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
    network.train()
    found = read(picture((0, SEVEN)), judge=NetworkJudge(network, (0.5,), (0.5,)), threshold=0.0)
    assert len(found.digits) == 1
    assert network.training
    with pytest.raises(UsageError, match="3 classes"):
        NetworkJudge(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 3)), (0.5,), (0.5,))
    with pytest.raises(UsageError, match="does not take 28x28"):
        NetworkJudge(torch.nn.Linear(3, 10), (0.5,), (0.5,))


def test_read_is_public() -> None:
    assert lenetscope.read is read
    assert {"read", "Reading"} <= set(dir(lenetscope))
