"""From pictures to text: how views are weighed, and what people's pictures are."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageOps

import lenetscope
from lenetscope.data.sources.mnist import read_mnist
from lenetscope.errors import ImageError, UsageError
from lenetscope.models.reader import BLANK, OTHER
from lenetscope.reading import Digit, Reading, pipeline, read
from lenetscope.reading.pipeline import Seen
from lenetscope.reading.strips import Strip, View
from lenetscope.reading.training import strokes

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


def positions_of(*labels: dict[int, float]) -> torch.Tensor:
    """Return (12, T) log-probabilities, each position given by those that are not 0."""
    table = torch.zeros(12, len(labels))
    for t, each in enumerate(labels):
        for label, p in each.items():
            table[label, t] = p
    return table.clamp_min(1e-12).log()


class Scripted:
    """Says the same along each strip, whatever it shows."""

    threshold = 0.3

    def __init__(self, *said: torch.Tensor, digitness: float = 0.5) -> None:
        self.said, self.digitness = said, digitness

    def positions(self, strips: Sequence[np.ndarray]) -> list[torch.Tensor]:
        return [self.said[k % len(self.said)] for k in range(len(strips))]

    def log_digitness(self, positions: torch.Tensor) -> float:
        return math.log(self.digitness)


def strip() -> Strip:
    pixels = np.zeros((28, 30), np.uint8)
    pixels[5:20, 4:10] = pixels[5:20, 18:26] = 255
    return Strip(pixels, np.array([[2.0, 0.0, 10.0], [0.0, 2.0, 100.0]]))


def test_a_texts_probability_is_its_weighted_mean_over_the_views() -> None:
    sure = positions_of({BLANK: 1.0}, {3: 0.9, 5: 0.1}, {BLANK: 1.0})
    torn = positions_of({BLANK: 1.0}, {3: 0.4, 5: 0.6}, {BLANK: 1.0})
    views = [View("a", [strip()], 0.0), View("b", [strip()], math.log(2))]
    seen = pipeline._seen(views, Scripted(sure, torn))
    assert [each.text for each in seen] == [((3,),), ((5,),)]
    assert [each.evidence for each in seen] == pytest.approx([math.log(0.9), math.log(0.3)])
    found = pipeline._reading(seen, scale=1.0, threshold=0.3)
    assert found.text == "3"
    # weights 0.9 and 0.3, so 3/4 and 1/4
    assert found.confidence == pytest.approx(0.75 * 0.9 + 0.25 * 0.4)
    assert [view.weight for view in found.views] == pytest.approx([0.75, 0.25])
    assert (found.digitness, found.rejected) == (pytest.approx(0.5), None)
    assert found.score == pytest.approx(found.confidence / 2)
    refused = pipeline._reading(seen, scale=1.0, threshold=0.6).rejected
    assert refused == "it may be no number (score 0.387, below the threshold of 0.6)"


def test_a_view_that_makes_no_sense_counts_for_nothing() -> None:
    sure = positions_of({BLANK: 1.0}, {3: 0.9, 5: 0.1}, {BLANK: 1.0})
    nothing = positions_of({BLANK: 1.0}, {BLANK: 1.0}, {BLANK: 1.0})
    letters = positions_of({BLANK: 1.0}, {OTHER: 1.0}, {BLANK: 1.0})
    for other in (nothing, letters):
        views = [View("a", [strip()], 0.0), View("b", [strip()], 0.0)]
        found = pipeline._reading(pipeline._seen(views, Scripted(other, sure)), 1.0, 0.3)
        assert found.text == "3"
        assert found.confidence == pytest.approx(0.9, abs=1e-6)
        assert [view.weight for view in found.views] == pytest.approx([1, 0], abs=1e-6)
        assert found.views[0].view == "b"


def test_several_views_may_outvote_the_surest_one() -> None:
    sure = positions_of({BLANK: 1.0}, {3: 0.7, 5: 0.3}, {BLANK: 1.0})
    other = positions_of({BLANK: 1.0}, {5: 0.6, 3: 0.1, 4: 0.3}, {BLANK: 1.0})
    views = [View(name, [strip()], 0.0) for name in "abc"]
    seen = pipeline._seen(views, Scripted(sure, other, other))
    found = pipeline._reading(seen, 1.0, 0.3)
    weights = np.array([0.7, 0.6, 0.6]) / 1.9
    assert found.text == "5"
    assert found.confidence == pytest.approx(float(weights @ [0.3, 0.6, 0.6]))
    assert [(view.view, view.text) for view in found.views] == [("b", "5"), ("a", "3"), ("c", "5")]
    assert [view.weight for view in found.views] == pytest.approx(weights[[1, 0, 2]])
    assert found.digits[0].probability == pytest.approx(0.6)  # in the view that is shown


def test_views_of_one_kind_of_ink_are_one_witness() -> None:
    right = positions_of({BLANK: 1.0}, {3: 0.7, 4: 0.3}, {BLANK: 1.0})
    wrong = positions_of({BLANK: 1.0}, {5: 0.6, 4: 0.4}, {BLANK: 1.0})
    views = [
        View("a", [strip()], 0.0),
        View("b", [strip()], 0.0),
        View("c", [strip()], 0.0, light=True),
    ]
    found = pipeline._reading(pipeline._seen(views, Scripted(wrong, wrong, right)), 1.0, 0.3)
    assert found.text == "3"
    weights = {view.view: view.weight for view in found.views}
    assert weights == pytest.approx({"a": 0.3 / 1.3, "b": 0.3 / 1.3, "c": 0.7 / 1.3})


def test_what_is_not_a_digit_is_not_in_the_text_but_makes_it_unlikely() -> None:
    said = positions_of({3: 0.9, BLANK: 0.1}, {OTHER: 0.8, BLANK: 0.2}, {7: 1.0})
    (seen,) = pipeline._seen([View("a", [strip()], 0.0)], Scripted(said))
    assert seen.text == ((3, 7),)
    found = pipeline._reading([seen], 1.0, 0.0)
    assert found.text == "37"
    assert found.confidence == pytest.approx(0.9 * 0.2)


def test_a_line_without_a_digit_is_left_out_of_a_view() -> None:
    three = positions_of({BLANK: 1.0}, {3: 0.9, 5: 0.1}, {BLANK: 1.0})
    nothing = positions_of({BLANK: 1.0}, {BLANK: 1.0}, {BLANK: 1.0})
    view = View("a", [strip(), strip(), strip()], 0.0)
    (seen,) = pipeline._seen([view], Scripted(three, nothing, three))
    assert seen.text == ((3,), (3,))
    assert [id(each) for each in seen.view.strips] == [id(view.strips[0]), id(view.strips[2])]
    assert seen.log_likelihood == pytest.approx(2 * math.log(0.9))
    assert seen.log_digitness == pytest.approx(2 * math.log(0.5))  # of those lines


def test_other_ink_and_hairlines_are_looked_for_only_in_doubt() -> None:
    seven = picture((0, SEVEN))

    def names(p: float) -> set[str]:
        said = positions_of({BLANK: 1.0}, {7: p, 1: (1 - p) / 2, 4: (1 - p) / 2}, {BLANK: 1.0})
        return {each.view.name for each in pipeline.look(seven, Scripted(said))}

    sure, unsure, doubtful = names(0.99), names(0.8), names(0.4)
    assert all(name.startswith("dark") for name in sure)
    assert any(name.startswith("light") for name in unsure)
    assert not any("closer look" in name for name in unsure)
    assert any("closer look" in name for name in doubtful)
    assert sure < unsure < doubtful


def test_views_with_other_numbers_of_digits_or_lines_are_compared() -> None:
    two = positions_of({1: 0.8, BLANK: 0.2}, {BLANK: 1.0}, {7: 0.8, BLANK: 0.2})
    one = positions_of({BLANK: 1.0}, {7: 0.8, BLANK: 0.2}, {BLANK: 1.0})
    seen = pipeline._seen([View("a", [strip()], 0.0), View("b", [strip()], 0.0)], Scripted(two, one))
    # a text of two digits is as much evidence as one of one digit
    assert [each.evidence for each in seen] == pytest.approx([math.log(0.8)] * 2)
    assert [each.log_likelihood for each in seen] == pytest.approx([2 * math.log(0.8), math.log(0.8)])
    (lines,) = pipeline._seen([View("c", [strip(), strip()], 0.0)], Scripted(two, one))
    assert lines.text == ((1, 7), (7,))
    assert lines.likelihoods([((1, 7),), ((1, 7), (7,))]).tolist() == pytest.approx([0.0, 0.8**3])


def test_digits_have_probabilities_alternatives_and_places() -> None:
    said = positions_of(
        *[{BLANK: 1.0}] * 3,
        {1: 0.9, 7: 0.1},
        *[{BLANK: 1.0}] * 7,
        {7: 0.6, 1: 0.3, 4: 0.1},
        *[{BLANK: 1.0}] * 3,
    )
    (seen,) = pipeline._seen([View("a", [strip()], 0.0)], Scripted(said))
    found = pipeline._reading([seen], scale=0.5, threshold=0.0)
    first, second = found.digits
    assert (first.label, second.label) == ("1", "7")
    assert (first.probability, second.probability) == (pytest.approx(0.9), pytest.approx(0.6))
    assert [label for label, _ in second.alternatives[:2]] == ["1", "4"]
    assert second.alternatives[0][1] == pytest.approx(0.3)
    # ink of the strip, times 2 and shifted, in a picture of twice the size
    assert first.box == pytest.approx((36, 220, 60, 280))
    assert second.box == pytest.approx((92, 220, 124, 280))
    assert found.confidence == pytest.approx(0.9 * 0.6)


def test_a_digits_probability_is_against_every_other_character_and_none() -> None:
    said = positions_of({BLANK: 1.0}, {4: 0.5, OTHER: 0.3, BLANK: 0.15, 9: 0.05}, {BLANK: 1.0})
    (seen,) = pipeline._seen([View("a", [strip()], 0.0)], Scripted(said))
    (digit,) = pipeline._reading([seen], 1.0, 0.0).digits
    assert digit.probability == pytest.approx(0.5)
    assert len(digit.alternatives) == 3
    assert digit.alternatives[0] == ("9", pytest.approx(0.05))


def test_digits_are_those_of_the_text_line_after_line() -> None:
    first = positions_of({1: 0.9, 7: 0.1}, {BLANK: 1.0}, *[{BLANK: 1.0}] * 6, {4: 1.0}, {BLANK: 1.0})
    second = positions_of({BLANK: 1.0}, {8: 0.7, 3: 0.3}, {BLANK: 1.0})
    low = Strip(strip().pixels, np.array([[2.0, 0.0, 10.0], [0.0, 2.0, 300.0]]))
    seen = pipeline._seen([View("a", [strip(), low], 0.0)], Scripted(first, second))
    found = pipeline._reading(seen, 1.0, 0.0)
    assert found.text == "14 8"
    assert [digit.label for digit in found.digits] == ["1", "4", "8"]
    assert found.confidence == pytest.approx(0.9 * 0.7)
    assert [digit.box[1] for digit in found.digits] == [110, 110, 310]
    assert np.concatenate([d.image for d in found.digits[:2]], axis=1).shape[1] >= 20
    assert found.as_dict()["digits"][2]["alternatives"][0] == {"label": "3", "probability": 0.3}


def test_a_view_without_digits_gives_the_likeliest_single_one() -> None:
    said = positions_of({BLANK: 1.0}, {BLANK: 0.7, 4: 0.2, 9: 0.1}, {BLANK: 1.0})
    (seen,) = pipeline._seen([View("a", [strip()], 0.0)], Scripted(said))
    assert seen.text == ((4,),)
    assert isinstance(seen, Seen)
    assert seen.log_likelihood == pytest.approx(math.log(0.2), abs=1e-4)


def test_a_digit_of_either_polarity_anywhere_and_of_any_size() -> None:
    seven = picture((0, SEVEN))
    large = Image.new("L", (900, 700), 230)
    large.paste(seven, (700, 40))
    for each in (seven, ImageOps.invert(seven), large, seven.resize((28, 28), Image.Resampling.BOX)):
        found = read(each)
        assert (found.text, found.rejected) == ("7", None)
    assert read(large).digits[0].box == pytest.approx((730, 66, 779, 133), abs=9)


def test_every_kind_of_source_gives_the_same(tmp_path: Path) -> None:
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
        Image.fromarray((pixels / 255).astype(np.float32)),
        np.stack([pixels] * 3, axis=2),
        pixels.astype(np.uint16) * 257,
    ]
    readings = [
        read(source, explain=number % 2 == 1).as_dict() for number, source in enumerate(sources)
    ]
    assert np.array_equal(np.asarray(seven), pixels)
    assert all(each == readings[0] for each in readings)
    assert readings[0]["text"] == "7"
    sources[3].close()


def test_transparent_drawings_of_either_colour_and_turned_photos(tmp_path: Path) -> None:
    seven = picture((0, SEVEN))
    alpha = ImageOps.invert(seven).point(lambda v: 255 if v > 128 else 0)
    for colour in ("black", "white"):
        drawing = Image.new("RGBA", alpha.size, colour)
        drawing.putalpha(alpha)
        assert read(drawing).text == "7"
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees to the right
    seven.rotate(90).save(tmp_path / "turned.jpg", exif=exif)
    assert read(tmp_path / "turned.jpg").text == "7"


def test_numbers_in_rows_and_lines_and_uphill() -> None:
    number = picture((0, SEVEN), (60, ONE), (120, SEVEN), size=(260, 120))
    found = read(number)
    assert found.text == "717"
    assert [digit.label for digit in found.digits] == ["7", "1", "7"]
    assert found.confidence <= min(digit.probability for digit in found.digits) + 0.05
    two = Image.new("L", (260, 260), 230)
    two.paste(number, (0, 0))
    two.paste(picture((10, ONE), (80, SEVEN), size=(240, 120)), (0, 120))
    assert read(two).text == "717 17"
    uphill = number.rotate(22, expand=True, fillcolor=230, resample=Image.Resampling.BICUBIC)
    assert read(uphill).text == "717"


def test_ruled_lines_and_frames_do_not_change_what_is_read() -> None:
    number = picture((0, SEVEN), (60, ONE), (120, SEVEN), size=(260, 120), width=7)
    for lines in (
        [(0, 92, 259, 92)],
        [(12, 14, 247, 14), (12, 106, 247, 106), (12, 14, 12, 106), (247, 14, 247, 106)],
    ):
        ruled = number.copy()
        for line in lines:
            ImageDraw.Draw(ruled).line(line, 120, 2)
        assert read(ruled).text == "717"


@pytest.mark.parametrize("negative", [False, True])
@pytest.mark.parametrize("size", [(8, 8), (12, 16), (32, 32)])
def test_small_pictures_may_be_filled_by_a_digit(size: tuple[int, int], negative: bool) -> None:
    digits = read_mnist().test.images[:40, 0].numpy()
    labels = read_mnist().test.labels[:40].tolist()
    right = 0
    for digit, label in zip(digits, labels, strict=True):
        image = Image.fromarray(digit).crop(Image.fromarray(digit).getbbox())
        small = image.resize(size, Image.Resampling.BOX)
        right += read(ImageOps.invert(small) if negative else small).text == str(label)
    assert right >= 34


def test_mnist_is_read_alone_and_as_numbers() -> None:
    test = read_mnist().test
    images, labels = test.images[:60, 0].numpy(), test.labels[:60].tolist()
    alone = [read(image).text == str(label) for image, label in zip(images, labels, strict=True)]
    assert sum(alone) >= 58
    right = 0
    for first in range(0, 60, 4):
        line = 255 - np.concatenate(list(images[first : first + 4, :, 3:25]), axis=1)
        right += read(line).text == "".join(map(str, labels[first : first + 4]))
    assert right >= 12


def test_digits_that_touch_are_read() -> None:
    sevens = picture((0, SEVEN), (44, SEVEN), size=(190, 120))
    assert read(sevens).text == "77"


def test_a_felt_pen_may_fill_the_frame_and_the_paper_within_is_not_a_digit() -> None:
    pen = Image.new("L", (120, 120), 255)
    ImageDraw.Draw(pen).ellipse((0, 0, 119, 119), outline=0, width=26)
    found = read(pen)
    assert found.text == "0"
    assert found.digits[0].box == pytest.approx((0, 0, 120, 120), abs=8)
    assert read(ImageOps.invert(pen)).text == "0"


def test_letters_are_refused_more_than_digits_are() -> None:
    def refused(kind: str, every: int) -> tuple[float, float]:
        """Return the fraction that is refused, and the mean digitness."""
        table = strokes.shapes(kind)
        count = len(table.points)
        still = torch.zeros(count, table.points.shape[1], 2)
        pen = torch.full((count,), 0.9)
        drawn = strokes.write(torch.arange(count), kind, still, pen, torch.ones(count, 2))[::every]
        drawn = torch.nn.functional.interpolate(drawn[:, None], scale_factor=4, mode="bilinear")
        photos = (230 - 190 * np.pad(drawn[:, 0].numpy(), ((0, 0), (20, 20), (20, 20)))).round()
        found = [read(photo.astype(np.uint8)) for photo in photos]
        reasons = [each.rejected is not None for each in found]
        return float(np.mean(reasons)), float(np.mean([each.digitness for each in found]))

    (letters, low), (digits, high) = refused("letters", 2), refused("digits", 5)
    # the weights of a finished training are to refuse more
    assert letters > 0.7
    assert digits < 0.1
    assert low < 0.5
    assert high > 0.9


def test_blank_paper_is_refused() -> None:
    noise = np.random.default_rng(0).normal(200, 3, (90, 90)).astype(np.uint8)
    for blank in (Image.new("L", (50, 50), 255), Image.new("1", (1, 1))):
        found = read(blank)
        assert (found.text, found.confidence, found.digits) == ("", 0.0, ())
        assert found.rejected == "blank: there is no ink in the picture"
        assert str(found) == "-  rejected: blank: there is no ink in the picture"
    assert read(noise).rejected is not None
    grain = np.random.default_rng(0).integers(0, 256, (28, 28)).astype(np.uint8)
    assert read(grain).rejected is not None


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (3, 2), (33, 9), (5, 200)])
def test_pictures_of_a_few_pixels_are_read_without_an_error(size: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    for values in (random.integers(0, 256, size), np.zeros(size), 255 * (random.random(size) < 0.3)):
        found = read(values.astype(np.uint8), explain=True)
        assert 0 <= found.confidence <= 1
        assert found.digits or found.rejected
        assert found.picture is not None


def test_a_reading_shows_itself_and_no_digit_is_certain() -> None:
    digit = Digit("7", 0.99999, (0, 9, 0, 9), (("1", 1e-6),), np.zeros((28, 28), np.uint8))
    found = Reading("7", 0.99999, 1.0, (digit,))
    assert str(found) == "7  >99.9 %"
    shown = found._repr_html_()
    assert '<td style="text-align:left">7  &gt;99.9 %</td>' in shown
    assert "1  &lt;0.1 %" in shown


def test_the_score_is_per_digit_and_the_threshold_may_be_equal_to_it() -> None:
    assert Reading("12 345", 0.5**5, 0.9).score == pytest.approx(0.45)
    assert Reading("", 0.0, 0.0).score == 0
    seven = read(picture((0, SEVEN)))
    assert read(picture((0, SEVEN)), threshold=seven.score).rejected is None


def test_the_threshold_decides_what_is_refused() -> None:
    seven = picture((0, SEVEN))
    assert read(seven, threshold=0.0).rejected is None
    refused = read(seven, threshold=1.0)
    assert refused.text == "7"
    assert refused.rejected is not None
    assert "below the threshold of 1" in refused.rejected
    with pytest.raises(UsageError):
        read(seven, threshold=1.5)


def test_views_and_picture_are_kept_when_asked_for() -> None:
    seven = picture((0, SEVEN), (70, ONE), size=(190, 120))
    plain = read(seven)
    assert (plain.views, plain.picture, plain.size) == ((), None, (190, 120))
    found = read(seven, explain=True)
    assert found.picture is not None
    assert found.picture.shape == (120, 190)
    assert found.views[0].text == found.text == "71"
    assert found == dataclasses.replace(plain, views=found.views, picture=found.picture)
    large = read(seven.resize((1900, 1200)), explain=True)
    assert large.picture is not None
    assert max(large.picture.shape) <= 448
    assert large.size == (1900, 1200)
    assert sum(view.weight for view in found.views) == pytest.approx(1)
    assert all(each.pixels.shape[0] == 28 for view in found.views for each in view.strips)


def test_boxes_and_size_of_a_picture_that_is_reduced_are_those_of_the_picture() -> None:
    huge = Image.new("L", (4000, 3200), 230)
    huge.paste(picture((0, SEVEN)).resize((1200, 1200)), (2000, 1000))
    found = read(huge)
    assert (found.text, found.size) == ("7", (4000, 3200))
    assert found.digits[0].box == pytest.approx((2300, 1260, 2790, 1940), abs=70)


def test_what_is_not_a_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no file"):
        read(tmp_path / "none.png")
    with pytest.raises(ImageError, match="the picture is not a picture"):
        read(b"not a picture")
    with pytest.raises(ImageError, match="has shape"):
        read(np.zeros((2, 3, 4, 5)))
    with pytest.raises(ImageError, match="no pixels"):
        read(np.zeros((0, 5), dtype=np.uint8))
    with pytest.raises(ImageError, match="not finite"):
        read(np.full((5, 5), np.nan))


def test_read_is_public() -> None:
    assert lenetscope.read is read
    assert {"read", "Reading"} <= set(dir(lenetscope))
