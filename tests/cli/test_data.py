"""``lenetscope data``, and training on data of one's own from the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    generator = np.random.default_rng(4)
    for name in ("cat", "dog"):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        for number in range(10):
            image = generator.integers(0, 120, (9, 9, 3))
            image[:, :, int(name == "dog")] += 100
            Image.fromarray(image.astype(np.uint8)).save(folder / f"{number}.png")
    (tmp_path / "photos" / "cat" / "broken.png").write_text("")
    return tmp_path / "photos"


def test_numbers_and_a_picture(cli: Cli, photos: Path, tmp_path: Path) -> None:
    picture = tmp_path / "x" / "photos.png"
    status, out, err = cli("data", photos, "--out", picture)
    assert (status, err) == (0, "")
    assert "data      photos\nimages    9x9, colour\n" in out
    assert f"left out  1 file that cannot be read:\n          {photos}/cat/broken.png\n" in out
    assert "\nall          16     4\n" in out
    assert out.endswith(f"figure    {picture}\n")
    with Image.open(picture) as drawn:
        assert drawn.size[0] > 500
    found = json.loads(cli("data", photos, "--json", "--image-size", "6", "--channels", "1")[1])
    assert found["counts"] == {"train": [8, 8], "test": [2, 2]}
    assert found["image_shape"] == [1, 6, 6]
    assert found["left_out"] == [f"{photos}/cat/broken.png"]
    assert found["figure"] is None


def test_a_name_and_its_files(cli: Cli, idx_folder: Path, tmp_path: Path) -> None:
    found = json.loads(cli("data", "kmnist", "--data-dir", idx_folder, "--json")[1])
    assert found["classes"][:2] == ["o", "ki"]
    assert sum(found["counts"]["train"]) == 60
    status, out, err = cli("data", "kmnist", "--data-dir", tmp_path)
    assert (status, out) == (1, "")
    assert f"'kmnist' is not in {tmp_path}: add --download" in err


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["data"], 2, ""),
        (["data", "mnits"], 2, "did you mean 'mnist'"),
        (["data", "nowhere/at/all"], 1, "does not exist"),
        (["data", "x.csv", "--data-dir", "."], 2, "says where the data are: give no --data-dir"),
        (["train", "--data", "x.csv", "--data-dir", "."], 2, "give no --data-dir"),
        (["find-lr", "--data", "x.csv", "--data-dir", "."], 2, "give no --data-dir"),
        (["data", "mnist", "--channels", "2"], 2, "'channels' must be 0, 1 or 3"),
        (["data", "mnist", "--out", "/"], 1, "cannot write /"),
        (["train", "--dataset", "x"], 2, "Did you mean --data?"),
    ],
)
def test_what_is_wrong(cli: Cli, words: list[str], status: int, message: str) -> None:
    found, out, err = cli(*words)
    assert (found, out) == (status, "")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.slow
def test_a_network_learns_from_photos(
    cli: Cli, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    flags = ["--epochs", 8, "--batch-size", 4, "--model", "mlp", "--device", "cpu", "--lr", "0.02"]
    status, out, err = cli("train", "--data", "photos", *flags)
    assert status == 0, err
    assert "left out, because they cannot be read:" in err
    assert "accuracy  100.00 %" in out
    monkeypatch.chdir("/")
    run = tmp_path / "runs" / "reference-1"
    status, out, err = cli("evaluate", run)
    assert status == 0, err
    assert "cat" in out
    status, out, err = cli("predict", run, photos / "dog" / "3.png")
    assert (status, err) == (0, "")
    assert "  dog  " in out
