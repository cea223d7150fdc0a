"""``lenetscope predict``."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lenetscope.runs import Run

Cli = Callable[..., tuple[int, str, str]]


def test_each_picture_gets_a_line(cli: Cli, run: Path, picture: Path) -> None:
    status, out, err = cli("predict", run, picture)
    assert (status, err) == (0, "")
    assert out.startswith(f"{picture}  1  ")
    assert out.endswith(" %\n")


def test_the_run_may_be_left_out_and_pictures_may_not(
    cli: Cli, run: Path, picture: Path, tmp_path: Path, monkeypatch
) -> None:
    shutil.copytree(run, tmp_path / "runs" / "small.1")
    monkeypatch.chdir(tmp_path)
    status, out, err = cli("predict", picture)
    assert (status, err) == (0, "runs/small.1 is the newest run.\n")
    assert cli("predict", "runs/small.1", picture) == (0, out, "")
    assert cli("predict", "runs/small.1")[::2] == (
        2,
        "lenetscope: there is no picture to predict: name one after the folder of the run.\n",
    )


def test_an_unreadable_file_is_reported_and_the_others_are_predicted(
    cli: Cli, run: Path, picture: Path, tmp_path: Path
) -> None:
    light, text = tmp_path / "light.png", tmp_path / "text.png"
    Image.fromarray(255 - np.array(Image.open(picture))).save(light)
    text.write_text("no picture")
    status, out, err = cli("predict", run, light, text, picture, "--json")
    assert status == 1
    first, second = json.loads(out)["predictions"]
    assert (first["path"], second["path"]) == (str(light), str(picture))
    assert second["label"] == "1"
    assert (
        second["probability"] == second["probabilities"]["1"] == max(second["probabilities"].values())
    )
    assert sum(first["probabilities"].values()) == pytest.approx(1)
    assert "light.png" not in err  # of data of one's own it is not known how they look
    assert "text.png" in err
    assert cli("predict", run, text)[:2] == (1, "")


def test_a_light_background_where_training_had_dark_ones(
    cli: Cli, run: Path, picture: Path, tmp_path: Path
) -> None:
    shutil.copytree(run, tmp_path / "run")
    recipe = Run.open(run).recipe().replace(data="mnist")
    recipe.save(tmp_path / "run" / "recipe.toml")
    Image.fromarray(255 - np.array(Image.open(picture))).save(tmp_path / "light.png")
    status, _, err = cli("predict", tmp_path / "run", picture, tmp_path / "light.png")
    assert status == 0
    assert err.startswith(f"{tmp_path}/light.png: the background is light")
