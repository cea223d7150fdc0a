"""Images in one form, compared with what Pillow and torchvision make of them."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from lenetscope.data import pixels
from lenetscope.data.pixels import Form, bytes_of, of_picture, resized
from lenetscope.errors import DataError, RecipeError


def colours(count: int = 5, height: int = 12, width: int = 9) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randint(0, 256, (count, 3, height, width), generator=generator, dtype=torch.uint8)


def test_grey_is_what_pillow_makes_of_colours() -> None:
    images = colours()
    grey = Form(channels=1)(images)
    assert grey.shape == (5, 1, 12, 9)
    for image, found in zip(images, grey, strict=True):
        expected = Image.fromarray(image.permute(1, 2, 0).numpy()).convert("L")
        assert np.array_equal(found[0].numpy(), np.array(expected))


def test_colours_of_grey_are_alike() -> None:
    grey = Form(channels=1)(colours())
    assert torch.equal(Form(channels=3)(grey), grey.repeat(1, 3, 1, 1))
    with pytest.raises(RecipeError, match="'channels' must be 0 for images of 4 channels"):
        Form(channels=1)(torch.zeros(1, 4, 2, 2, dtype=torch.uint8))


@pytest.mark.parametrize("size", [4, 9, 20])
def test_resizing_is_torchvisions_with_antialiasing(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    images = colours()
    found = Form(size=size)(images)
    expected = v2.functional.resize(images.float(), [size, size], antialias=True)
    assert torch.equal(found, expected.round().clamp(0, 255).to(torch.uint8))
    monkeypatch.setattr(pixels, "CHUNK", 2)
    assert torch.equal(Form(size=size)(images), found)


def test_images_that_have_the_form_are_not_copied() -> None:
    images = colours(height=8, width=8)
    assert Form()(images) is images
    assert Form(size=8, channels=3)(images) is images
    assert resized(images, (8, 8)) is images


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([0, 255], dtype=np.uint8), [0, 255]),
        (np.array([0, 255], dtype=np.int32), [0, 255]),
        (np.array([0.0, 1.0], dtype=np.float32), [0, 255]),
        (np.array([0.0, 0.2, 0.501]), [0, 51, 128]),
        (np.array([0.0, 1.4, 254.6]), [0, 1, 255]),
        (np.array([0, 1], dtype=np.int8), [0, 1]),  # whole numbers are never fractions
        (np.array([False, True]), [0, 255]),
        (torch.tensor([0.0, 1.0]), [0, 255]),
    ],
)
def test_numbers_become_bytes(values: object, expected: list[int]) -> None:
    found = bytes_of(values, "x")
    assert found.dtype == np.uint8
    assert found.tolist() == expected


@pytest.mark.parametrize("values", [[-1], [256], [-0.1, 0.5], [255.5], [np.inf], [np.nan], ["a"], [1j]])
def test_other_numbers_are_refused(values: list[object]) -> None:
    with pytest.raises(DataError, match="^x "):
        bytes_of(np.array(values), "x")


def test_pictures_in_other_modes() -> None:
    red = Image.new("RGB", (3, 2), (204, 0, 0))
    for mode in ("P", "RGBA", "RGB"):
        assert of_picture(red.convert(mode)).flatten(1).unique(dim=1).flatten().tolist() == [204, 0, 0]
    assert of_picture(red.convert("CMYK")).shape == (3, 2, 3)
    for mode in ("1", "L", "LA", "RGB", "RGBA", "P"):
        white = of_picture(Image.new("L", (3, 2), 255).convert(mode))
        assert white.shape == (1, 2, 3)
        assert (white == 255).all()
    bright = Image.fromarray(np.full((2, 3), 200, dtype=np.int32))  # mode I, of 8 bits
    assert (of_picture(bright) == 200).all()
