"""``lenetscope read``: its output, error messages and exit statuses."""

import io
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from conftest import write_idx
from lenetscope import Architecture, Recipe
from lenetscope.cli import main
from lenetscope.data.dataset import LabelledImages
from lenetscope.data.sources.mnist import read_mnist
from lenetscope.reading import load_reader
from lenetscope.reading.reader import FILE
from lenetscope.reading.training import lines
from lenetscope.runs.writer import RunWriter

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
    assert set(first) == {"path", "text", "confidence", "digitness", "score", "digits", "rejected"}
    assert (first["text"], second["text"]) == ("7", "2")
    (digit,) = first["digits"]
    assert set(digit) == {"label", "probability", "box", "alternatives"}
    assert digit["box"] == pytest.approx([6, 7, 22, 27], abs=1)
    assert len(digit["alternatives"]) == 3


def test_standard_input_and_the_figures_of_how_pictures_are_read(
    cli: Cli, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin = SimpleNamespace(buffer=io.BytesIO((folder / "1.png").read_bytes()))
    monkeypatch.setattr("sys.stdin", stdin)
    status, out, err = cli("-", folder / "1.png", "--explain", tmp_path / "figures")
    assert (status, err) == (0, f"wrote 2 figures in {tmp_path / 'figures'}\n")
    assert [line.split()[1] for line in out.splitlines()] == ["1", "1"]
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == ["1.png", "stdin.png"]
    assert all(path.stat().st_size > 3000 for path in (tmp_path / "figures").iterdir())


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


def test_a_mistyped_option_is_not_taken_for_a_picture(cli: Cli, folder: Path, tmp_path: Path) -> None:
    status, out, err = cli(folder / "7.png", "--explian", tmp_path)
    assert (status, out) == (2, "")
    assert "unknown option '--explian'; did you mean '--explain'?" in err


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


def test_figures_that_cannot_be_written_are_reported_before_anything_is_read(
    cli: Cli, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    status, out, err = cli(folder, "--explain", tmp_path / "file")
    assert (status, out) == (1, "")
    assert err.startswith("lenetscope: cannot write")
    status, _, err = cli(folder / "7.png", "--explain", tmp_path / "new" / "figures")
    assert (status, err) == (0, f"wrote {tmp_path / 'new' / 'figures' / '7.png'}\n")


def test_a_threshold_of_one_rejects(cli: Cli, folder: Path) -> None:
    status, out, _ = cli(folder / "2.png", "--threshold", "1", "--json")
    assert status == 0
    found = json.loads(out)
    assert found["text"] == "2"
    assert "below the threshold of 1" in found["rejected"]


def test_files_are_read_in_the_order_that_is_given(cli: Cli, folder: Path) -> None:
    names = ["2", "7", "1", "7", "2", "1", "1"]
    status, out, _ = cli(*(folder / f"{name}.png" for name in names), "--json")
    found = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    assert [Path(each["path"]).stem for each in found] == names
    assert [each["text"] for each in found] == names
    alone = [json.loads(cli(folder / f"{name}.png", "--json")[1]) for name in "217"]
    for each in alone:
        together = next(one for one in found if one["text"] == each["text"])
        assert each["confidence"] == pytest.approx(together["confidence"], abs=1e-4)


def test_figures_of_files_of_one_name_are_kept_apart(cli: Cli, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "more"
    other.mkdir()
    (other / "7.png").write_bytes((folder / "1.png").read_bytes())
    (other / "bad.png").write_text("not a picture")
    status, out, err = cli(
        folder / "7.png", other / "bad.png", other / "7.png", "--explain", tmp_path / "figures"
    )
    assert status == 1
    assert out.count("\n") == 2
    assert f"wrote 2 figures in {tmp_path / 'figures'}" in err
    figures = list((tmp_path / "figures").iterdir())
    assert len(figures) == 2
    assert figures[0].read_bytes() != figures[1].read_bytes()
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in figures)


READER = ["--epochs", "2", "--warmup", "0", "--batch-size", "100", "--holdout", "150"]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave 350 images of MNIST to train lines on, 150 to hold out and 50 to test."""
    raw = read_mnist()
    train = LabelledImages(raw.train.images[:500], raw.train.labels[:500])
    test = LabelledImages(raw.test.images[:50], raw.test.labels[:50])
    monkeypatch.setattr(lines, "read_mnist", lambda *_: replace(raw, train=train, test=test))


@pytest.fixture
def train(capsys: pytest.CaptureFixture[str]) -> Callable[..., int]:
    """Train on the command line, and return the exit status."""

    def run(*words: object) -> int:
        with pytest.raises(SystemExit) as ended:
            main(["train", "--device", "cpu", "--threads", "1", *(str(word) for word in words)])
        capsys.readouterr()
        return int(ended.value.code or 0)

    return run


def test_a_run_of_the_recipe_reader_reads_once_it_is_finished(
    cli: Cli, train: Callable[..., int], folder: Path, tmp_path: Path, few: None
) -> None:
    path = tmp_path / "run"
    recipe = Recipe.load(
        "reader", epochs=2, warmup=0, batch_size=100, holdout=150, threads=1, device="cpu"
    )
    arch = Architecture.from_recipe(recipe)
    run = arch.start_run(path)
    arch.train(callbacks=[RunWriter(run)], progress=False, stop=lambda: arch.state.epoch == 1)
    status, out, err = cli(folder, "--run", path)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert f"lenetscope train --resume {path}" in err
    assert train("--resume", path) == 0
    status, out, err = cli(folder / "7.png", folder, "--run", path, "--json")
    assert (status, err) == (0, "")
    assert len(out.splitlines()) == 4
    found = [json.loads(line) for line in out.splitlines()]
    assert found[0]["digitness"] == pytest.approx(found[3]["digitness"], abs=1e-4)
    status, plain, _ = cli(folder / "7.png", "--json")
    assert json.loads(plain)["digitness"] != pytest.approx(found[0]["digitness"], abs=1e-6)
    (path / FILE).write_bytes((path / FILE).read_bytes()[:1000])
    status, out, err = cli(folder, "--run", path)
    assert (status, out) == (1, "")
    assert err.count("\n") == 1
    assert FILE in err


def test_the_training_of_the_recipe_reader_ends_with_a_reader(
    cli: Cli, train: Callable[..., int], folder: Path, tmp_path: Path, few: None
) -> None:
    assert train("--recipe", "reader", "--run-dir", tmp_path / "run", *READER) == 0
    assert (tmp_path / "run" / FILE).is_file()
    # the reader that is installed, in its place, reads as it does by default
    load_reader().save(tmp_path / "run" / FILE)
    _, with_run, _ = cli(folder, "--run", tmp_path / "run")
    assert with_run == cli(folder)[1]


def test_a_run_of_single_digits_reads_one_digit(
    cli: Cli, train: Callable[..., int], folder: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    raw = read_mnist()
    for name, part, count in (("train", raw.train, 2000), ("t10k", raw.test, 50)):
        write_idx(data / f"{name}-images-idx3-ubyte", part.images[:count, 0].numpy())
        write_idx(data / f"{name}-labels-idx1-ubyte", part.labels[:count].numpy())
    path = tmp_path / "run"
    words = ["--data", data, "--run-dir", path, "--epochs", "2"]
    assert train(*words, "--batch-size", "64") == 0
    status, out, _ = cli(folder, "--run", path, "--json")
    found = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    texts = [each["text"] for each in found]
    assert all(len(text) == 1 for text in texts)
    # trained for a moment only
    assert sum(text == truth for text, truth in zip(texts, "127", strict=True)) >= 2
    assert all(len(each["digits"]) == 1 for each in found)
    assert all(0.3 < each["digitness"] <= 1 for each in found)
    status, _, err = cli(folder / "7.png", "--run", path, "--explain", tmp_path / "figures")
    assert (status, err) == (0, f"wrote {tmp_path / 'figures' / '7.png'}\n")


def test_a_run_that_reads_no_digits_is_refused(cli: Cli, folder: Path, run: Path) -> None:
    status, out, err = cli(folder, "--run", run)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert "3 classes" in err
