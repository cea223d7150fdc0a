"""What is made of pictures and JSON; whatever else comes is refused in a line."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException

from lenetscope.data.pixels import fit_to
from lenetscope.pictures import decode
from lenetscope.serving import Limits
from lenetscope.serving.inputs import decode_pictures, json_images
from serving.conftest import png

LIMITS = Limits(max_images=3, max_pixels=10_000)
GREY, COLOUR = (1, 2, 3), (3, 2, 3)


def refusal(body: bytes, shape: tuple[int, int, int] = GREY) -> tuple[int, str]:
    with pytest.raises(HTTPException) as error:
        json_images(body, shape, LIMITS)
    return error.value.status_code, error.value.detail


@pytest.mark.parametrize(
    ("shape", "given"),
    [
        (GREY, (2, 3)),
        (GREY, (1, 2, 3)),
        (GREY, (3, 2, 3)),
        (GREY, (3, 1, 2, 3)),
        (COLOUR, (3, 2, 3)),
        (COLOUR, (1, 3, 2, 3)),
        (COLOUR, (3, 3, 2, 3)),
    ],
)
def test_numbers_are_pixels(shape: tuple[int, int, int], given: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, given)
    body = json.dumps({"images": pixels.tolist()}).encode()
    images = json_images(body, shape, LIMITS)
    assert images.dtype == np.uint8
    assert np.array_equal(images, pixels.reshape(-1, *shape))


ROWS = [[0, 1, 2], [3, 4, 255]]


def test_whole_numbers_may_be_written_with_a_point() -> None:
    body = b'{"images": [[0.0, 1, 2e0], [3, 4.0, 255.0]]}'
    assert json_images(body, GREY, LIMITS).tolist() == [[ROWS]]


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ([], "at least one image"),
        ({}, "must be a list"),
        (7, "must be a list"),
        (None, "must be a list"),
        ([1, 2], "(N, 1, 2, 3) or (N, 2, 3)"),
        ([[]], "(N, 1, 2, 3) or (N, 2, 3)"),
        ([[[]]], "(N, 2, 3)"),
        ([[[[[1]]]]], "(N, 2, 3)"),
        ([ROWS, [[0, 1, 2]]], "(N, 2, 3)"),
        ([ROWS, [[0, 1, 2], [3, 4]]], "(N, 2, 3)"),
        ([ROWS, [[0, 1, 2], "abc"]], "(N, 2, 3)"),
        ([ROWS, "abc"], "(N, 2, 3)"),
        ([ROWS] * 4, "4 images are too many for one request; the limit is 3"),
        (["aa=="] * 4, "4 images are too many"),
        ([[0, 1, 2], [3, 4, 256]], "whole numbers from 0 to 255"),
        ([[0, 1, 2], [3, 4, -1]], "whole numbers from 0 to 255"),
        ([[0, 1, 2], [3, 4, 2**80]], "whole numbers from 0 to 255"),
        ([[0, 1, 2], [3, 4, 0.5]], "whole numbers from 0 to 255"),
        ([[0, 1, 2], [3, 4, 256.0]], "whole numbers from 0 to 255"),
        ([[0, 1, 2], [3, 4.0, 10**999]], "whole numbers from 0 to 255"),
        ([[0.5] * 3] * 2, "whole numbers from 0 to 255"),
        ([[0, 1, 2], [3, 4, True]], "whole numbers from 0 to 255"),
        ([[0, 1, 2], [3, 4, "5"]], "whole numbers from 0 to 255"),
        ([[0, 1, 2], [3, 4, None]], "whole numbers from 0 to 255"),
        ([[0, 1, 2], [3, 4, [5]]], "whole numbers from 0 to 255"),
        ("not base64", "base64"),
        (["YWJj\n"], "base64"),
        (["ä"], "base64"),
        ("", "is empty"),
        ("YWJj", "not a picture"),
    ],
)
def test_other_values_are_refused(images: Any, words: str) -> None:
    status, message = refusal(json.dumps({"images": images}).encode())
    assert status == 422
    assert words in message


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"\xff\xfe\xfd", 400),
        (b"[" * 100_000, 400),
        (b'{"images": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", 400),
        (b'{"images": [[NaN, 0, 0], [0, 0, 0]]}', 400),
        (b'{"images": [[Infinity, 0, 0], [0, 0, 0]]}', 400),
        (b'{"images": [[' + b"9" * 5000 + b", 0, 0], [0, 0, 0]]}", 400),
        (b'{"images": [[1e999, 0, 0], [0, 0, 0]]}', 422),
        (b"[]", 422),
        (b"{}", 422),
        (b'{"instances": []}', 422),
        (b'{"images": [], "more": 1}', 422),
        (b"null", 422),
    ],
)
def test_other_bodies_are_refused(body: bytes, status: int) -> None:
    assert refusal(body)[0] == status


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF"])
@pytest.mark.parametrize("shape", [GREY, COLOUR])
def test_pictures_are_decoded_as_files_are(
    tmp_path: Path, kind: str, shape: tuple[int, int, int]
) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    file = png(pixels, kind)
    (tmp_path / "a").write_bytes(file)
    wanted = fit_to(decode(tmp_path / "a", shape[0]), shape[1:]).numpy()
    assert np.array_equal(decode_pictures([file, file], shape, LIMITS), [wanted, wanted])
    text = base64.b64encode(file).decode()
    for images in (text, [text]):
        body = json.dumps({"images": images}).encode()
        assert np.array_equal(json_images(body, shape, LIMITS), [wanted])


def test_which_picture_is_wrong_is_told_and_large_ones_are_not_decoded() -> None:
    good, bomb = png(np.zeros((9, 9), np.uint8)), png(np.zeros((200, 200), np.uint8))
    with pytest.raises(
        HTTPException, match="picture 2 has 200x200 = 0.04 megapixels; the limit is 0.01"
    ) as error:
        decode_pictures([good, bomb], GREY, LIMITS)
    assert error.value.status_code == 422
    with pytest.raises(HTTPException, match="the picture cannot be decoded|is not a picture"):
        decode_pictures([good[:-30]], GREY, LIMITS)


NUMBERS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
VALUES = st.recursive(
    NUMBERS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner)
)


@given(VALUES | st.builds(lambda images: {"images": images}, VALUES))
def test_any_json_is_pixels_or_refused(value: Any) -> None:
    body = json.dumps(value).encode()
    try:
        images = json_images(body, GREY, LIMITS)
    except HTTPException as error:
        assert error.status_code in (400, 422)
        assert error.detail
    else:
        assert images.ravel().tolist() == np.array(value["images"]).ravel().tolist()


DIGIT = png(np.random.default_rng(3).integers(0, 256, (12, 12), dtype=np.uint8))


@given(st.integers(0, len(DIGIT) - 1), st.binary(max_size=4), st.integers(0, len(DIGIT)))
def test_any_bytes_are_a_picture_or_refused(at: int, put: bytes, end: int) -> None:
    damaged = (DIGIT[:at] + put + DIGIT[at + len(put) :])[:end]
    try:
        images = decode_pictures([damaged], GREY, LIMITS)
    except HTTPException as error:
        assert error.status_code == 422
    else:
        assert images.shape == (1, *GREY)
