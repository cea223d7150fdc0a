"""``lenetscope inspect``."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lenetscope.questions import QUESTIONS

Cli = Callable[..., tuple[int, str, str]]
FILTERS = ["filters-conv2", "filters-conv2-2", "filters-conv2-3", "filters-conv2-4"]


@pytest.mark.slow
def test_the_layers_are_listed_and_the_quick_questions_answered(cli: Cli, run: Path) -> None:
    status, out, _ = cli("inspect", run)
    assert status == 0
    assert "conv1    Conv2d     32x28x28         320" in out
    assert "parameters  420,739" in out
    names = {"curves", "confusion", "filters-conv1", *FILTERS, "outputs"}
    assert {Path(line).stem for line in out.splitlines() if line.endswith(".png")} == names
    assert all((run / "figures" / f"{name}.png").stat().st_size > 5000 for name in names)


@pytest.mark.slow
def test_images_layers_format_and_folder_can_be_chosen(
    cli: Cli, run: Path, picture: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "o"
    words = ["--image", picture, "--layers", "conv2", "fc1", "--out", folder, "--json"]
    status, out, _ = cli("inspect", run, *words)
    assert status == 0
    result = json.loads(out)
    assert [Path(p) for p in result["figures"]] == [folder / f"{n}.png" for n in (*FILTERS, "outputs")]
    assert result["index"] == str(folder / "index.html")
    assert sum(row["parameters"] for row in result["layers"]) == result["parameters"]
    status, out, _ = cli("inspect", run, "--what", "confusion,outputs", "--format", "svg")
    names = ("confusion.svg", "outputs.svg", "index.html")
    assert out.splitlines()[-3:] == [f"{run}/figures/{name}" for name in names]
    assert './confusion.svg"' in (run / "figures" / "index.html").read_text("utf-8")
    assert (run / "figures" / "outputs.svg").read_bytes().startswith(b"<?xml")


def test_a_folder_that_cannot_be_written_is_refused_at_once(
    cli: Cli, run: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    status, out, err = cli("inspect", run, "--out", tmp_path / "file")
    assert (status, out) == (1, "")
    assert err.startswith(f"lenetscope: cannot write {tmp_path}/file/index.html")


def test_unknown_questions_and_layers_are_refused(cli: Cli, run: Path, tmp_path: Path) -> None:
    for words, nearest in (["--what", "outpots"], "'outputs'"), (["--layers", "conv3"], "'conv2'"):
        status, out, err = cli("inspect", run, *words, "--out", tmp_path / "figures")
        assert (status, out) == (2, "")
        assert nearest in err
    assert not (tmp_path / "figures").exists()


def test_every_question_says_what_it_asks(cli: Cli) -> None:
    lines = cli("inspect", ".", "--what", "list")[1].splitlines()
    assert [line.split()[0] for line in lines] == QUESTIONS.names() == sorted(QUESTIONS.names())
    assert all(len(line.split()) > 4 and line.endswith((".", "?")) for line in lines)
    found = json.loads(cli("inspect", ".", "--what", "list", "--json")[1])["questions"]
    assert list(found) == QUESTIONS.names()
    out = "".join(cli("inspect", "--help")[1].replace("│", "").split())  # lines break at hyphens
    assert ",".join(QUESTIONS.names()) in out
