"""``lenetscope tune``."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from lenetscope.recipe import Recipe

Cli = Callable[..., tuple[int, str, str]]
SPACE = "lr=log:1e-6..0.3,batch_size=8|16"


@pytest.fixture
def words(idx_folder: Path) -> list[str]:
    """A command that searches in a moment."""
    return [
        "tune", "--data", str(idx_folder), "--model", "mlp", "--epochs", "2",
        "--device", "cpu", "--threads", "1", "--space", SPACE,
    ]  # fmt: skip


def test_a_study_its_best_recipe_and_its_figures(
    cli: Cli, words: list[str], idx_folder: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = cli(*words, "--trials", "5")
    assert status == 0, err
    told = err.splitlines()
    assert "54 training, 6 validation and 23 test images" in told[0]
    assert told[1] == (
        "recipe reference: chosen by 6 held-out training images (the recipe has none of its own); "
        "the test images are not read"
    )
    assert told[2] == "study: runs/reference-tune-1"
    assert [line.split()[:2] for line in told[3:]] == [["trial", str(n + 1)] for n in range(5)]
    lines = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert list(lines) == ["study", "trials", "best", "importance", "figures", "next"]
    assert lines["next"] == "lenetscope train --recipe runs/reference-tune-1/best.toml"
    for figure in lines["figures"].split(", "):
        with Image.open(figure) as picture:
            assert picture.width > picture.height

    # alone, it goes on, with more trials if asked for
    status, out, err = cli("tune", "--study", "runs/reference-tune-1", "--trials", "6", "--json")
    found = json.loads(out)
    assert status == 0
    assert [trial["number"] for trial in found["trials"]] == [1, 2, 3, 4, 5, 6]
    assert "the recipe has none" not in err
    best = Recipe.load("runs/reference-tune-1/best.toml")
    assert {name: getattr(best, name) for name in ("lr", "batch_size")} == found["best"]["params"]
    assert found["recipe"]["holdout"] == best.holdout == 6

    recipe = ["--recipe", "runs/reference-tune-1/best.toml"]
    status, out, err = cli("train", *recipe, "--json")
    assert status == 0, err
    assert json.loads(out)["run"] == "runs/reference-tuned-1"
    assert json.loads(out)["history"][-1]["valid_accuracy"] == found["best"]["value"]


def test_by_loss(cli: Cli, words: list[str], tmp_path: Path) -> None:
    command = [*words, "--trials", "2", "--study", tmp_path / "study", "--by", "loss"]
    found = json.loads(cli(*command, "--json")[1])
    assert found["by"] == "loss"
    assert found["best"]["value"] == min(trial["value"] for trial in found["trials"])
    status, out, _ = cli(*command)  # the same again: there are enough
    assert status == 0
    assert f"{found['best']['value']:.4f} validation loss on 6 images" in out


@pytest.mark.parametrize(
    ("more", "status", "message"),
    [
        (["--space", "lrr=1..2"], 2, "unknown field 'lrr'; did you mean 'lr'?"),
        (["--space", "lr=2..1"], 2, "the range of 'lr' must go from less to more"),
        (["--space", "lr=0.1"], 2, "give it as --lr 0.1"),
        (["--trials", "0"], 2, "--trials must be at least 1, not 0."),
        (["--trials", "1.5"], 2, '"1.5" is not a whole number'),
        (["--by", "size"], 2, "--by"),
        (["--dropout", "2"], 2, "'dropout' must be"),
        (["--holdout", "60"], 2, "'holdout' must be below 60"),
        (["--study", "."], 2, ". exists and is not a study"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    cli: Cli, words: list[str], tmp_path: Path, monkeypatch, more: list[str], status: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "letter.txt").touch()
    kept = words[:-2] if "--space" in more else words
    found, out, err = cli(*kept, *more)
    assert (found, out) == (status, "")
    assert message in err
    assert err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ([], 2, "say what to search, as in --space 'lr=log"),
        (["--study", "nope"], 1, "there is no study in nope"),
        (["--study", "nope", "--lr", "1"], 2, "with --study alone give no more than --trials"),
        (["--study", "nope", "--recipe", "fast"], 2, "with --study alone give no more than --trials"),
    ],
)
def test_a_study_needs_a_space_or_a_beginning(
    cli: Cli, words: list[str], status: int, message: str
) -> None:
    found, out, err = cli("tune", *words)
    assert (found, out) == (status, "")
    assert message in err
    assert err.count("\n") == 1


def test_not_with_torchrun(cli: Cli, words: list[str], monkeypatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "several times with one --study" in cli(*words)[2]


@pytest.mark.slow
def test_ctrl_c_saves_and_says_how_to_go_on(cli: Cli, words: list[str], tmp_path: Path) -> None:
    study = tmp_path / "study"
    long = [*words, "--epochs", "2000", "--trials", "1", "--study", str(study)]
    del long[long.index("--epochs") : long.index("--epochs") + 2]  # the first of the two
    command = [sys.executable, "-m", "lenetscope", *long]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": os.environ}
    with subprocess.Popen(command, **options) as process:
        until = time.monotonic() + 120
        file = study / "trials.jsonl"
        while not (file.exists() and '"step":3' in file.read_text().replace(" ", "")):
            assert time.monotonic() < until
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130
    assert f"Interrupted; saved. Continue with: lenetscope tune --study {study}\n" in err
    before = file.read_text()
    assert '"repeats":0' in before.replace(" ", "")
    # the trial is in the queue, and the first of the next process
    base = study / "base.toml"
    base.write_text(base.read_text().replace("epochs = 2000", "epochs = 1"))
    found = json.loads(cli("tune", "--study", study, "--json")[1])
    assert [trial["state"] for trial in found["trials"]] == ["failed", "complete"]
    assert found["trials"][0]["params"] == found["trials"][1]["params"]
