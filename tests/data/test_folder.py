"""A folder of images: which files are read, in which order and form, and what is wrong with others."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import EpsImagePlugin, Image

from conftest import EPS
from lenetscope import Architecture, Recipe, Run, RunWriter
from lenetscope.data import dataset
from lenetscope.data.pixels import Form, of_anything
from lenetscope.data.sources import folder as folders
from lenetscope.data.sources import read
from lenetscope.data.splits import load
from lenetscope.errors import DataError, RunError

from .conftest import Write


def test_a_folder_for_each_class_in_natural_order(tmp_path: Path, write_picture: Write) -> None:
    for name in ("10", "2", "1"):
        for number in (10, 9, 1):
            write_picture(f"data/{name}/{number}.png", int(name) * 10 + number)
    write_picture("data/1/.hidden.png", 255)
    write_picture("data/.cache/x.png", 255)
    (tmp_path / "data/1/notes.txt").write_text("not a picture")
    (tmp_path / "data/README").write_text("")
    raw = read(str(tmp_path / "data"), Form())
    assert raw.classes == ("1", "2", "10")
    assert raw.train.images.shape == (9, 1, 5, 6)
    assert raw.train.images[:, 0, 0, 0].tolist() == [11, 19, 20, 21, 29, 30, 101, 109, 110]
    assert raw.train.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert (raw.name, raw.where) == ("data", tmp_path / "data")
    assert (raw.test, raw.valid, raw.left_out) == (None, None, ())


@pytest.mark.parametrize("valid", ["valid", "val"])
def test_parts_are_used_as_they_are(tmp_path: Path, write_picture: Write, valid: str) -> None:
    for part, count in (("train", 6), (valid, 2), ("test", 3)):
        for name in ("a", "b"):
            for number in range(count):
                write_picture(f"{part}/{name}/{number}.png", number)
    recipe = Recipe.load("reference", data=tmp_path, epochs=1, device="cpu")
    splits = load(recipe)
    assert [len(p.labels) for p in (splits.train, splits.valid, splits.test)] == [12, 4, 6]
    assert splits.train.labels.tolist() == [0] * 6 + [1] * 6
    assert splits.test.images[:, 0, 0, 0].tolist() == [0, 1, 2, 0, 1, 2]
    # the folder's own validation part takes the place of the holdout
    assert len(load(recipe.replace(holdout=5)).train.labels) == 12
    assert Architecture.from_recipe(recipe).recipe.holdout == 4


@pytest.mark.parametrize("suffix", ["png", "jpg", "jpeg", "bmp", "gif", "webp", "tif", "PNG"])
def test_every_kind_of_picture(tmp_path: Path, write_picture: Write, suffix: str) -> None:
    colours = np.zeros((8, 8, 3))
    colours[:, :, 0] = 200
    lossless = {"lossless": True} if suffix == "webp" else {}
    for name in ("a", "b"):
        write_picture(f"{name}/1.{suffix}", colours, **lossless)
        write_picture(f"{name}/2.{suffix}", 90, (8, 8), **lossless)
    images = read(str(tmp_path), Form()).train.images
    assert images.shape == (4, 3, 8, 8)
    tolerance = 3 if suffix.startswith("jp") else 0
    red, grey = images[0].float().mean((1, 2)), images[1].float().mean((1, 2))
    assert (red - torch.tensor([200.0, 0, 0])).abs().max() <= tolerance
    assert (grey - 90).abs().max() <= tolerance


def test_grey_pictures_in_any_mode_have_one_channel(tmp_path: Path, write_picture: Write) -> None:
    write_picture("a/grey.png", 7)
    write_picture("a/rgb.png", np.full((5, 6, 3), 7))
    write_picture("b/rgba.png", np.dstack([np.full((5, 6, 3), 7), np.full((5, 6), 255)]))
    Image.fromarray(np.full((5, 6), 7 * 257, dtype=np.uint16)).save(tmp_path / "b" / "sixteen.png")
    images = read(str(tmp_path), Form()).train.images
    assert images.shape == (4, 1, 5, 6)
    assert (images == 7).all()


def test_transparent_pixels_are_white_and_exif_is_obeyed(tmp_path: Path, write_picture: Write) -> None:
    write_picture("a/clear.png", np.zeros((6, 5, 4)))
    pixels = np.zeros((5, 6))
    pixels[0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the first row is on the right
    write_picture("b/turned.png", pixels, exif=exif)
    images = read(str(tmp_path), Form()).train.images
    assert (images[0] == 255).all()
    expected = np.zeros((6, 5))
    expected[:, -1] = 255
    assert np.array_equal(images[1, 0].numpy(), expected)


def test_sizes_and_channels_are_made_alike_when_asked(tmp_path: Path, write_picture: Write) -> None:
    first = write_picture("a/1.png", 9, (4, 4))
    second = write_picture("b/1.png", np.full((10, 7, 3), 9))
    with pytest.raises(DataError, match=f"{first} is 4x4 and {second} 10x7: .*--image-size 28"):
        read(str(tmp_path), Form())
    assert read(str(tmp_path), Form(size=6)).train.images.shape == (2, 1, 6, 6)
    images = read(str(tmp_path), Form(size=6, channels=3)).train.images
    assert images.shape == (2, 3, 6, 6)
    assert (images == 9).all()


def test_no_program_runs_for_a_file_that_is_no_picture(
    tmp_path: Path, write_picture: Write, ghostscript: Path
) -> None:
    for name in ("a", "b"):
        write_picture(f"data/{name}/1.png", 9)
    (tmp_path / "data/a/2.png").write_bytes(EPS)
    raw = read(str(tmp_path / "data"), Form())
    assert len(raw.train.images) == 2
    assert not ghostscript.exists()
    picture = EpsImagePlugin.EpsImageFile(io.BytesIO(EPS))
    with pytest.raises(DataError, match="EPS"):
        of_anything(picture, "an image")
    assert not ghostscript.exists()


def test_a_damaged_picture_is_named_and_left_out(tmp_path: Path, write_picture: Write) -> None:
    for name in ("a", "b"):
        for number in range(5):
            write_picture(f"{name}/{number}.png", 20 * number + 50, (9, 9))
    whole = read(str(tmp_path), Form())
    bad = tmp_path / "a" / "2.png"
    bad.write_bytes(bad.read_bytes()[:40])
    raw = read(str(tmp_path), Form())
    assert raw.left_out == (str(bad),)
    assert raw.train.images[:, 0, 0, 0].tolist() == [50, 70, 110, 130, 50, 70, 90, 110, 130]
    assert raw.train.labels.tolist() == [0] * 4 + [1] * 5
    assert raw.checksums != whole.checksums
    told = load(Recipe.load("reference", data=tmp_path)).describe().splitlines()
    assert told[1] == f"left out, because they cannot be read: {bad}"
    for path in (tmp_path / "a").iterdir():
        path.write_text("nothing")
    with pytest.raises(DataError, match="no image of 'a' in .* can be read"):
        read(str(tmp_path), Form())
    for path in (tmp_path / "b").iterdir():
        path.write_text("nothing")
    with pytest.raises(DataError, match="none of the 10 images in .* can be read"):
        read(str(tmp_path), Form())


def test_what_is_too_little(tmp_path: Path, write_picture: Write) -> None:
    write_picture("flat/1.png")
    with pytest.raises(DataError, match="flat holds 1.png. --data reads a folder"):
        read(str(tmp_path / "flat"), Form())
    write_picture("one/a/1.png")
    with pytest.raises(DataError, match="has one class, 'a'; at least two"):
        read(str(tmp_path / "one"), Form())
    empty = tmp_path / "one" / "b"
    empty.mkdir()
    with pytest.raises(DataError, match=f"{empty} holds no images"):
        read(str(tmp_path / "one"), Form())
    write_picture("one/b/1.png")
    write_picture("one/b/2.png")
    with pytest.raises(DataError, match="has 1 image of the class 'a'; two are needed"):
        load(Recipe.load("reference", data=tmp_path / "one"))
    write_picture("parts/train/1.png")
    with pytest.raises(DataError, match="parts/train has no folder for each class"):
        read(str(tmp_path / "parts"), Form())
    write_picture("other/train/a/1.png")
    write_picture("other/train/b/1.png")
    write_picture("other/test/c/1.png")
    with pytest.raises(DataError, match="other/test/c: there is no class 'c' in .*other/train"):
        read(str(tmp_path / "other"), Form())


@pytest.mark.parametrize("colour", [False, True])
def test_more_than_fits_into_memory_is_decoded_once_and_gives_the_same(
    tmp_path: Path, write_picture: Write, monkeypatch: pytest.MonkeyPatch, colour: bool
) -> None:
    generator = np.random.default_rng(0)
    for name in ("a", "b"):
        for number in range(10):
            write_picture(f"data/{name}/{number}.png", generator.integers(0, 256, (5, 6)))
    if colour:
        write_picture("data/b/10.png", generator.integers(0, 256, (5, 6, 3)))
    (tmp_path / "data" / "a" / "3.png").write_text("damaged")
    recipe = Recipe.load("reference", data=tmp_path / "data", holdout=4)
    in_memory = load(recipe)
    monkeypatch.setenv("LENETSCOPE_DATA_DIR", str(tmp_path / "cache"))
    for module in (folders, dataset):
        monkeypatch.setattr(module, "MAP_ABOVE", 100)
    first = load(recipe)
    assert isinstance(first.train.images, dataset.Rows)
    with monkeypatch.context() as patched:
        patched.setattr(folders, "of_file", lambda _: pytest.fail("decoded again"))
        again = load(recipe)
    for mapped in (first, again):
        for part in ("train", "valid", "test"):
            mine, theirs = getattr(mapped, part), getattr(in_memory, part)
            assert torch.equal(mine.images[:], theirs.images[:])
            assert torch.equal(mine.labels, theirs.labels)
        assert mapped.checksums == in_memory.checksums
        assert mapped.left_out == in_memory.left_out
    # another file, time, size or number of channels is decoded anew
    os.utime(tmp_path / "data" / "a" / "1.png", ns=(1, 1))
    assert load(recipe).checksums == in_memory.checksums
    load(recipe.replace(image_size=4))
    assert len(list((tmp_path / "cache" / "decoded").glob("*.uint8"))) == 3


def test_a_run_resumes_from_anywhere_and_knows_its_data(
    tmp_path: Path, write_picture: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    colour = np.zeros((8, 8, 3))
    colour[:, :, 1] = 90
    for name in ("a", "b"):
        for number in range(10):
            write_picture(f"data/{name}/{number}.png", colour + number)
    monkeypatch.chdir(tmp_path)
    recipe = Recipe.load(
        "reference", data="data", epochs=1, model="mlp", holdout=2, mean=0.4, device="cpu", threads=1
    )
    arch = Architecture.from_recipe(recipe)
    run = arch.start_run("run")
    arch.train(callbacks=[RunWriter(run)], progress=False)
    saved = Run.open(tmp_path / "run").recipe()
    assert saved.data == str(tmp_path / "data")
    assert (saved.mean, saved.std, saved.holdout) == ((0.4,) * 3, (0.5,) * 3, 2)
    assert Run.open("run").config()["classes"] == ["a", "b"]
    monkeypatch.chdir("/")
    resumed = Architecture.resume_run(tmp_path / "run", epochs=2)
    assert resumed.history == arch.history
    moved = (tmp_path / "data").rename(tmp_path / "moved")
    with pytest.raises(DataError, match="data does not exist"):
        Architecture.resume_run(tmp_path / "run")
    assert Architecture.resume_run(tmp_path / "run", data_dir=moved).splits.name == "moved"
    write_picture("moved/a/0.png", colour + 77)
    with pytest.raises(RunError, match="the data are not those"):
        Architecture.resume_run(tmp_path / "run", data_dir=moved)
