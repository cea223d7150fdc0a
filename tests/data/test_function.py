"""Data that a function of the user's own returns."""

from pathlib import Path

import pytest
import torch

from lenetscope import Architecture, Recipe
from lenetscope.data.pixels import Form
from lenetscope.data.sources import read
from lenetscope.data.splits import load
from lenetscope.errors import DataError, UsageError

MODULE = """
import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset, TensorDataset

class Kinds(Dataset):
    classes = ["cat", "dog"]

    def __len__(self):
        return 12

    def __getitem__(self, k):
        pixels = np.full((4, 5), 20 * k, dtype=np.uint8)
        kinds = [
            Image.fromarray(pixels), pixels, torch.tensor(pixels), torch.tensor(pixels)[None],
            pixels[:, :, None], torch.tensor(pixels)[None] / 255,
        ]
        return kinds[k % 6], [k % 2, np.int64(k % 2), torch.tensor(k % 2)][k % 3]

def kinds():
    return Kinds()

def parts():
    images = torch.linspace(0, 1, 40).reshape(10, 1, 2, 2)
    labels = torch.tensor([3, 10] * 5)
    return TensorDataset(images, labels), TensorDataset(images[:4], labels[:4])

def sizes():
    return [(np.zeros((3 + k, 3)), "ab"[k % 2]) for k in range(4)]

def raises():
    raise KeyError("no such thing")

class Late(Kinds):
    def __getitem__(self, k):
        return np.full((2, 2), 30 // (3 - k)), 0

def late():
    return Late()

def nothing():
    return None

def tensors():
    return torch.zeros(3, 1, 2, 2), torch.zeros(3)

def none_in_it():
    return []

def not_pairs():
    return [np.zeros((2, 2))] * 3

def no_image():
    return [("x.png", 0)] * 3

def five_channels():
    return [(np.zeros((5, 4, 4)), 0)] * 3

def normalized():
    return [(torch.zeros(1, 2, 2) - 1, 0)] * 3

def strange_label():
    return [(np.zeros((2, 2)), 0.5)] * 3

def beyond():
    found = Kinds()
    found.classes = ["cat"]
    return found

def twice():
    found = Kinds()
    found.classes = ["cat", "cat"]
    return found

def other_test_labels():
    return [(np.zeros((2, 2)), "ab"[k % 2]) for k in range(4)], [(np.zeros((2, 2)), "c")]

number = 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"own_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    return name


def test_pictures_arrays_and_tensors_with_names_of_classes(module: str) -> None:
    raw = read(f"{module}:kinds", Form())
    assert raw.classes == ("cat", "dog")
    assert raw.train.images.shape == (12, 1, 4, 5)
    assert raw.train.images[:, 0, 0, 0].tolist() == [20 * k for k in range(12)]
    assert raw.train.labels.tolist() == [0, 1] * 6
    assert (raw.test, raw.where, raw.name) == (None, None, f"{module}:kinds")
    assert raw.checksums == read(f"{module}:kinds", Form()).checksums
    assert raw.checksums != read(f"{module}:kinds", Form(channels=3)).checksums


def test_a_part_to_train_and_one_to_test(module: str) -> None:
    recipe = Recipe.load("reference", data=f"{module}:parts", model="mlp", device="cpu")
    splits = load(recipe)
    assert splits.classes == ("3", "10")
    expected = (torch.linspace(0, 1, 40) * 255).round().to(torch.uint8).reshape(10, 1, 2, 2)
    # each image is converted by itself: its own largest value is at most 1
    assert torch.equal(splits.train.images, expected)
    assert torch.equal(splits.test.images, expected[:4])
    assert splits.test.labels.tolist() == [0, 1, 0, 1]
    assert Architecture.from_recipe(recipe).recipe.data == f"{module}:parts"
    with pytest.raises(UsageError, match="is not read from a folder: give no --data-dir"):
        load(recipe, ".")
    with pytest.raises(UsageError, match="--download is for data with a name"):
        load(recipe, download=True)


def test_images_of_different_sizes(module: str) -> None:
    with pytest.raises(DataError, match=r"train\[0\] is 3x3 and .*train\[1\] 4x3: give all images one"):
        read(f"{module}:sizes", Form())
    assert read(f"{module}:sizes", Form(size=2)).train.images.shape == (4, 1, 2, 2)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("raises", r"raises KeyError: 'no such thing' \(.*own_.*\.py, line 33\)"),
        ("late", r"train\[3\] raises ZeroDivisionError: .* \(.*own_.*\.py, line 37\)"),
        ("nothing", "must return a dataset .*, not NoneType"),
        ("tensors", "must return a dataset .*, not a tuple of Tensor, Tensor"),
        ("none_in_it", "returns a dataset without images to train on"),
        ("not_pairs", r"train\[0\] must be \(image, label\), not ndarray"),
        ("no_image", r"train\[0\] must be numbers, not <U5"),
        ("five_channels", r"train\[0\] must be a picture, .* not 5x4x4"),
        ("normalized", r"train\[0\] has pixels from -1 to -1; .*leave any normalisation"),
        ("strange_label", r"train\[0\] has a label that is neither a number nor text: 0.5"),
        ("beyond", r"train\[1\] has the label 1, but 'classes' has 1 name"),
        ("other_test_labels", "has the test label 'c', which no training image has"),
        ("twice", "has two classes of the same name: cat, cat"),
        ("number", "must be a function, not int"),
    ],
)
def test_what_is_not_data(module: str, name: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        read(f"{module}:{name}", Form())
    assert f"{module}:{name}" in str(error.value)
    assert "\n" not in str(error.value)


def test_no_such_function(module: str) -> None:
    with pytest.raises(UsageError, match="has no 'nope'"):
        read(f"{module}:nope", Form())
    with pytest.raises(UsageError, match="there is no module 'nowhere'"):
        read("nowhere:kinds", Form())
