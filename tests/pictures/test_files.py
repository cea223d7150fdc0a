"""Which files a path on the command line stands for, and that opening them runs no program."""

import contextlib
import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from conftest import EPS
from lenetscope.errors import ImageError
from lenetscope.pictures import decode, open_picture
from lenetscope.pictures.files import MAX_BYTES, find_pictures


def lazy(path: Path) -> Image.Image:
    """Return the image of an EPS file that Pillow has identified, but not decoded."""
    picture = EpsImagePlugin.EpsImageFile(BytesIO(path.read_bytes()))
    assert picture.format == "EPS"
    return picture


@pytest.mark.parametrize("name", ["a.eps", "a.png"])
@pytest.mark.parametrize(
    "source",
    [decode, open_picture, *(
        lambda path, make=make: open_picture(make(path))
        for make in (str, Path.read_bytes, lambda path: BytesIO(path.read_bytes()), lazy)
    )],
)  # fmt: skip
def test_no_program_runs_for_an_eps_file(
    source: Callable[[Path], Any], name: str, tmp_path: Path, ghostscript: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(EPS)
    with pytest.raises(ImageError, match="is in EPS format; formats that are read: PNG, JPEG"):
        source(path)
    assert not ghostscript.exists()


def test_the_program_of_that_test_would_run(ghostscript: Path) -> None:
    with contextlib.suppress(OSError):  # it is not the real one, and draws nothing
        EpsImagePlugin.EpsImageFile(BytesIO(EPS)).load()
    assert ghostscript.exists()


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("WMF", b"\xd7\xcd\xc6\x9a"),
        ("PDF", b"%PDF-1.7"),
        ("HEIC", b"\0\0\0\x18ftypheic"),
        ("ICO", b"\0\0\1\0"),
        ("PSD", b"8BPS"),
    ],
)
def test_other_formats_are_refused_by_name(name: str, head: bytes) -> None:
    with pytest.raises(ImageError, match=f"is in {name} format"):
        open_picture(head + bytes(100))


@pytest.mark.parametrize("head", [b"BUFR", b"GRIB\0\0\0\1", b"\x89HDF\r\n\x1a\n", b"DDS ", b"SIMPLE"])
def test_whatever_else_pillow_knows_is_refused(head: bytes) -> None:
    with pytest.raises(ImageError, match="is not a picture that can be read"):
        open_picture(head + bytes(1000))


def test_a_folder_stands_for_its_pictures_whatever_their_names(tmp_path: Path) -> None:
    for name in ("b.png", "a.txt"):
        Image.new("L", (2, 2)).save(tmp_path / name, format="PNG")
    (tmp_path / "notes.png").write_text("not a picture")
    (tmp_path / "e.jpg").write_bytes(EPS)
    (tmp_path / "c.png").mkdir()
    (tmp_path / "gone.png").symlink_to("nowhere.png")
    pictures, others = find_pictures(tmp_path)
    assert [path.name for path in pictures] == ["a.txt", "b.png", "gone.png"]
    assert [path.name for path in others] == ["e.jpg", "notes.png"]
    assert find_pictures(tmp_path / "b.png") == ([tmp_path / "b.png"], [])
    assert find_pictures(Path("-")) == ([Path("-")], [])


def test_a_folder_without_a_picture_is_named_as_the_user_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ImageError, match=f"there is no picture in the folder {tmp_path}"):
        find_pictures(Path())


def test_what_cannot_be_opened_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "gone.png").symlink_to("nowhere.png")
    (tmp_path / "empty.png").touch()
    os.mkfifo(tmp_path / "pipe.png")
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    for path, reason in {
        tmp_path / "loop.png": "cannot be opened: Too many levels of symbolic links",
        tmp_path / "gone.png": "there is no file .*gone.png; it is a link to nowhere.png",
        tmp_path / "empty.png": "is empty",
        tmp_path / "pipe.png": "is a pipe or a device",
        Path(os.devnull): "is a pipe or a device",
        tmp_path / "huge.png": "has more than 200 MB",
        tmp_path: "is a folder",
        Path("a\0b"): "cannot be opened: embedded null",
        Path("https://example.org/7.png"): "nothing is downloaded: save",
    }.items():
        for opening in (decode, open_picture):
            with pytest.raises(ImageError, match=reason) as told:
                opening(path)
            assert "\n" not in str(told.value)

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(ImageError, match=r"a.png cannot be opened: Permission denied"):
        decode(Path("a.png"))
    assert find_pictures(Path("a.png")) == ([Path("a.png")], [])


def test_what_holds_no_picture_is_refused() -> None:
    for source in (None, 5, ["a.png"], b"", BytesIO()):
        with pytest.raises(ImageError, match="the picture is"):
            open_picture(source)
    endless = BytesIO(np.zeros(MAX_BYTES + 1, dtype=np.uint8))
    with pytest.raises(ImageError, match="more than 200 MB"):
        open_picture(endless)
