"""Which files a path on the command line stands for."""

from pathlib import Path

import pytest

from lenetscope.errors import ImageError
from lenetscope.reading.files import find_pictures


def test_a_folder_stands_for_its_pictures_by_name(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "notes.txt"):
        (tmp_path / name).write_text("")
    (tmp_path / "c.png").mkdir()
    assert [path.name for path in find_pictures(tmp_path)] == ["a.JPG", "b.png"]
    assert find_pictures(tmp_path / "b.png") == [tmp_path / "b.png"]
    assert find_pictures(Path("-")) == [Path("-")]
    with pytest.raises(ImageError, match="there is no picture in the folder"):
        find_pictures(tmp_path / "c.png")
