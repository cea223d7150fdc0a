"""``lenetscope compare``."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from conftest import write_bars
from lenetscope.cli.compare import require_same_images
from lenetscope.errors import RunError

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def worse(cli: Cli, idx_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of another network on the same data, which has learned little."""
    return trained(cli, tmp_path_factory.mktemp("runs") / "worse", idx_folder, "--holdout", "20")


def trained(cli: Cli, path: Path, data: Path, *flags: str) -> Path:
    """Train another network for an epoch, at a rate at which little is learned."""
    words = [
        "--data",
        data,
        "--device",
        "cpu",
        "--epochs",
        "1",
        "--lr",
        "0.001",
    ]
    assert cli("train", "--run-dir", path, "--model", "mlp", "--seed", "3", *words, *flags)[0] == 0
    return path


def test_two_runs_and_their_picture(
    cli: Cli, run: Path, worse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = cli("compare", run, worse)
    assert status == 0, err
    assert out.startswith("test images  23\n\nnetwork ")
    assert f"Validated on these test images: {run}. Their" in out
    assert out.endswith("another seed gives other weights.\n")
    assert [path.name for path in tmp_path.iterdir()] == ["comparison.png"]
    with Image.open("comparison.png") as picture:
        assert min(picture.size) > 100
    status, again, _ = cli("compare", run, worse, "--json", "--out", tmp_path / "x" / "y.svg")
    found = json.loads(again)
    assert status == 0
    assert found["figure"] == str(tmp_path / "x" / "y.svg")
    assert Path(found["figure"]).exists()
    assert found["validated_on_test_images"] == [str(run)]
    for row, folder in zip(found["networks"], (run, worse), strict=True):
        scores = json.loads((folder / "scores.json").read_text())
        assert (row["name"], row["errors"]) == (str(folder), scores["errors"])
        assert [row["low"], row["high"]] == pytest.approx(scores["accuracy_interval"])
    (pair,) = found["pairs"]
    errors = [row["errors"] for row in found["networks"]]
    assert errors[1] > errors[0]
    assert pair["only_first"] - pair["only_second"] == errors[1] - errors[0]
    assert found["words"][0] in out


def test_runs_that_answer_alike_have_no_picture(cli: Cli, run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    rows = (copy / "history.jsonl").read_text().splitlines(keepends=True)
    (copy / "history.jsonl").write_text("".join(rows[:2]))
    status, out, err = cli("compare", run, copy, "--out", tmp_path / "x.png")
    assert status == 0
    assert f"{copy} is unfinished: " in err
    assert f"{run} is unfinished" not in err
    assert "make equally many errors on the same 23 images" in out
    assert "They give the same answer to every image." in out
    assert not (tmp_path / "x.png").exists()


def test_what_cannot_be_compared_is_refused_in_one_line(
    cli: Cli, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "other"
    data.mkdir()
    other = trained(cli, tmp_path / "run", write_bars(data, 61, 23))
    before = sorted(tmp_path.iterdir())
    for words, status, message in (
        ([run, other], 1, f"{run} and {other} were trained on different data"),
        ([run], 2, "give two runs or more, each once"),
        ([run, run / "." / ".." / run.name], 2, "each once"),
        ([run, "nope"], 1, "there is no run nope"),
        ([run, other, "--out", tmp_path], 1, str(tmp_path)),
    ):
        found, out, err = cli("compare", *words)
        assert (found, out) == (status, "")
        assert message in err
        assert err.startswith("lenetscope: ")
        assert err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_other_classes_and_other_test_images_are_refused() -> None:
    def opened(**changes: object) -> SimpleNamespace:
        run = SimpleNamespace(path="runs/x", environment=lambda: {"data": {"images": "1"}})
        same = {
            "classes": ("a", "b"),
            "labels": torch.tensor([0, 1]),
            "pixels": torch.zeros(2, 1, 3, 3),
        }
        return SimpleNamespace(run=run, **same | changes)

    require_same_images(opened(), opened())
    for changes, message in (
        ({"classes": ("a", "c")}, "different data"),
        ({"labels": torch.tensor([1, 0])}, "different test images"),
        ({"pixels": torch.ones(2, 1, 3, 3)}, "different test images"),
    ):
        with pytest.raises(RunError) as raised:
            require_same_images(opened(), opened(**changes))
        assert message in str(raised.value)
