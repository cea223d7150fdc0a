"""``lenetscope read``: its output, error messages and exit statuses."""

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from lenetscope.cli import main
from lenetscope.data.sources.mnist import read_mnist

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["read", *(str(word) for word in words)])
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The first three test images of MNIST, 7, 2 and 1, in files of these names."""
    folder = tmp_path / "digits"
    folder.mkdir()
    for name, image in zip("721", read_mnist().test.images[:3, 0].numpy(), strict=True):
        Image.fromarray(image).save(folder / f"{name}.png")
    return folder


def test_one_line_per_picture_and_a_folder_stands_for_its_pictures(cli: Cli, folder: Path) -> None:
    status, out, err = cli(folder / "7.png", folder)
    assert (status, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert [Path(line[0]).stem for line in lines] == ["7", "1", "2", "7"]
    assert [line[1] for line in lines] == ["7", "1", "2", "7"]


def test_json_has_one_line_per_picture_and_a_bad_file_is_reported(cli: Cli, folder: Path) -> None:
    (folder / "bad.png").write_text("not a picture")
    status, out, err = cli(folder / "7.png", folder / "bad.png", folder / "2.png", "--json")
    assert status == 1
    assert "bad.png is not a picture" in err
    assert "Traceback" not in err
    first, second = [json.loads(line) for line in out.splitlines()]
    assert set(first) == {"path", "text", "confidence", "digits", "rejected"}
    assert (first["text"], second["text"]) == ("7", "2")
    (digit,) = first["digits"]
    assert set(digit) == {"label", "probability", "box", "alternatives"}
    assert digit["box"] == [0, 0, 28, 28]
    assert len(digit["alternatives"]) == 3


def test_standard_input_and_the_picture_of_the_steps(
    cli: Cli, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin = SimpleNamespace(buffer=io.BytesIO((folder / "1.png").read_bytes()))
    monkeypatch.setattr("sys.stdin", stdin)
    status, out, err = cli("-", folder / "1.png", "--explain", tmp_path / "steps")
    assert (status, err) == (0, f"wrote 2 figures in {tmp_path / 'steps'}\n")
    assert [line.split()[1] for line in out.splitlines()] == ["1", "1"]
    assert sorted(path.name for path in (tmp_path / "steps").iterdir()) == ["1.png", "stdin.png"]
    assert all(path.stat().st_size > 3000 for path in (tmp_path / "steps").iterdir())


def test_what_is_not_allowed_is_reported_once(cli: Cli, folder: Path, tmp_path: Path) -> None:
    status, _, err = cli(folder, "--threshold", "2")
    assert status == 2
    assert err == "lenetscope: the threshold must be between 0 and 1, not 2.0.\n"
    (tmp_path / "empty").mkdir()
    status, out, err = cli(tmp_path / "empty", folder / "7.png")
    assert status == 1
    assert f"there is no picture in the folder {tmp_path / 'empty'}" in err
    assert out.count("\n") == 1
    status, _, err = cli(folder, "--run", tmp_path / "nowhere")
    assert status == 1
    assert "nowhere" in err


def test_a_folder_passes_over_what_is_no_picture_and_reads_the_rest(cli: Cli, folder: Path) -> None:
    (folder / "notes.png").write_text("not a picture")
    (folder / "a.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0")
    status, out, err = cli(folder)
    assert (status, out.count("\n")) == (0, 3)
    assert err.count("\n") == 1
    assert f"not pictures in a format that is read: {folder / 'a.eps'}, {folder / 'notes.png'}" in err
    (folder / "gone.png").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.png")
    (folder / "2.png").unlink()
    (folder / "2.png").write_bytes((folder / "1.png").read_bytes()[:90])
    status, out, err = cli(folder)
    assert (status, out.count("\n")) == (1, 2)
    assert err.count("\n") == 4
    for part in ("gone.png; it is a link to nowhere", "pipe.png is a pipe", "2.png cannot be decoded"):
        assert part in err


def test_steps_that_cannot_be_written_are_reported_before_anything_is_read(
    cli: Cli, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    status, out, err = cli(folder, "--explain", tmp_path / "file")
    assert (status, out) == (1, "")
    assert err.startswith("lenetscope: cannot write")
    status, _, err = cli(folder / "7.png", "--explain", tmp_path / "new" / "steps")
    assert (status, err) == (0, f"wrote {tmp_path / 'new' / 'steps' / '7.png'}\n")


def test_a_threshold_of_one_rejects(cli: Cli, folder: Path) -> None:
    status, out, _ = cli(folder / "2.png", "--threshold", "1", "--json")
    assert status == 0
    found = json.loads(out)
    assert found["text"] == "2"
    assert "below the threshold of 1" in found["rejected"]
