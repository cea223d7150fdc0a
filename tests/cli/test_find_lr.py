"""``lenetscope find-lr``."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

Cli = Callable[..., tuple[int, str, str]]


def test_a_rate_is_suggested_and_only_the_picture_is_left(
    cli: Cli, small: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["find-lr", *small, "--steps", "40"]
    status, out, err = cli(*words)
    assert status == 0, err
    assert [path.name for path in tmp_path.iterdir()] == ["find-lr.png"]
    with Image.open("find-lr.png") as picture:
        assert picture.width > picture.height
    lines = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert list(lines) == ["recipe", "suggested", "steepest", "lowest", "diverges", "figure", "next"]
    assert "seed 0: 40 steps of 16 training images at rates from 1e-05 to 10" in lines["recipe"]
    assert lines["suggested"].endswith("the recipe has 0.05")
    status, again, _ = cli(*words, "--out", tmp_path / "charts" / "x.svg", "--json")
    found = json.loads(again)
    assert status == 0
    assert (tmp_path / "charts" / "x.svg").exists()
    assert found["lr"][0] == pytest.approx(1e-5)
    assert len(found["lr"]) == len(found["loss"]) == len(found["losses"]) <= 40
    assert found["suggested"] == float(f"{found['lowest'] / 2:.2g}")
    assert lines["suggested"].split()[0] == f"{found['suggested']:g}"  # the same at each call
    assert f"--lr {found['suggested']:g}" in lines["next"]
    assert found["recipe_lr"] == 0.05


def test_the_schedule_and_the_clipping_of_the_recipe(
    cli: Cli, small: list[str], tmp_path: Path
) -> None:
    words = ["find-lr", *small, "--steps", "40", "--json", "--out", tmp_path / "x.png"]
    plain = json.loads(cli(*words)[1])
    cycle = json.loads(cli(*words, "--schedule", "one-cycle")[1])
    assert cycle["losses"] == plain["losses"]  # the test's own rates are used
    clipped = json.loads(cli(*words, "--clip-grad-norm", "0.5")[1])
    assert clipped["losses"] != plain["losses"]


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (
            ["--start-lr", "0"],
            2,
            "--start-lr must be above 0, --end-lr above it and --steps at least 20",
        ),
        (["--start-lr", "1", "--end-lr", "0.1"], 2, "not 1, 0.1 and 150"),
        (["--end-lr", "inf"], 2, "--end-lr"),
        (["--steps", "19"], 2, "--steps at least 20"),
        (["--dropout", "2"], 2, "'dropout' must be"),
        (["--end-lr", "1e-4", "--steps", "20"], 1, "the loss does not fall"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    cli: Cli, small: list[str], tmp_path: Path, monkeypatch, words: list[str], status: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    found, out, err = cli("find-lr", *small, *words)
    assert (found, out) == (status, "")
    assert message in err
    assert err.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_a_picture_that_cannot_be_written_is_told_before_the_test(cli: Cli, tmp_path: Path) -> None:
    status, out, err = cli("find-lr", "--out", tmp_path)
    assert (status, out) == (1, "")
    assert str(tmp_path) in err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "least", "most"), [("reference", 0.01, 0.1), ("fast", 0.0025, 0.01)]
)
def test_the_shipped_recipes_have_rates_of_the_suggested_size(
    cli: Cli, tmp_path: Path, recipe: str, least: float, most: float
) -> None:
    found = json.loads(cli("find-lr", "--recipe", recipe, "--out", tmp_path / "x.png", "--json")[1])
    assert least <= found["suggested"] <= most
    assert abs(math.log10(found["suggested"] / found["recipe_lr"])) < 1
    assert found["steepest"] < found["lowest"] < found["diverges"]
