"""The command line: what it prints where, its exit statuses, and what it says when typed wrong."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import lenetscope
from lenetscope.cli import main
from lenetscope.inspection import QUESTIONS

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run the command line in this process: (exit status, standard output, standard error)."""

    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return run


SMALL = ["--dataset", "idx", "--epochs", "3", "--batch-size", "16", "--device", "cpu", "--lr", "0.05"]


@pytest.fixture(scope="module")
def run(idx_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the small data."""
    run = tmp_path_factory.mktemp("runs") / "small"
    with pytest.raises(SystemExit, match="0"):
        main(["train", "--run-dir", str(run), "--data-dir", str(idx_folder), *SMALL])
    return run


def test_training_prints_its_result_on_stdout_and_its_progress_on_stderr(
    cli: Cli, idx_folder: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = cli("train", "--data-dir", idx_folder, *SMALL)
    assert status == 0
    assert out.startswith("run       runs/seed-1\naccuracy  ")
    assert "95 % interval" in out
    assert "next      lenetscope report runs/seed-1" in out
    assert "epoch 3/3" in err
    assert "\x1b" not in out + err
    status, out, err = cli("train", "--data-dir", idx_folder, *SMALL, "--json")
    result = json.loads(out)
    assert result["run"] == "runs/seed-2"
    assert len(result["history"]) == 3
    assert result["n"] == 23


def test_evaluation_as_text_and_as_json(cli: Cli, run: Path) -> None:
    status, out, _ = cli("evaluate", run)
    assert status == 0
    assert "images    23" in out
    assert "true \\ predicted" in out
    status, out, _ = cli("evaluate", run, "--json")
    result = json.loads(out)
    assert {"n", "errors", "accuracy", "accuracy_interval", "loss", "confusion", "per_class"} <= set(
        result
    )
    assert result["n"] == 23 == np.sum(result["confusion"])
    assert json.loads((run / "scores.json").read_text())["loss"] == pytest.approx(result["loss"])


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A picture of class 1, four times the size of the images."""
    pixels = np.zeros((112, 112), dtype=np.uint8)
    pixels[44:60, 16:96] = 255
    Image.fromarray(pixels).save(tmp_path / "one.png")
    return tmp_path / "one.png"


def test_prediction_of_pictures(cli: Cli, run: Path, picture: Path, tmp_path: Path) -> None:
    status, out, err = cli("predict", run, picture)
    assert (status, err) == (0, "")
    assert out.startswith(f"{picture}  1  ")
    Image.fromarray(255 - np.array(Image.open(picture))).save(tmp_path / "dark.png")
    (tmp_path / "text.png").write_text("no picture")
    status, out, err = cli(
        "predict", run, tmp_path / "dark.png", tmp_path / "text.png", picture, "--json"
    )
    assert status == 1
    first, second = json.loads(out)["predictions"]
    assert second["label"] == "1"
    assert sum(first["probabilities"].values()) == pytest.approx(1)
    assert "dark.png: the background is light" in err
    assert "text.png is no picture" in err


def test_inspection_draws_what_it_names(cli: Cli, run: Path, picture: Path, tmp_path: Path) -> None:
    status, out, _ = cli("inspect", run)
    assert status == 0
    assert "conv1    Conv2d     32x28x28         320" in out
    pages = ["filters-conv2", "filters-conv2-2", "filters-conv2-3", "filters-conv2-4"]
    names = ["curves", "confusion", "filters-conv1", *pages, "outputs"]
    assert [Path(line).stem for line in out.splitlines() if line.endswith(".png")] == names
    assert all((run / "figures" / f"{name}.png").stat().st_size > 5000 for name in names)
    status, out, _ = cli(
        "inspect",
        run,
        "--image",
        picture,
        "--layers",
        "conv2",
        "fc1",
        "--out",
        tmp_path / "o",
        "--json",
    )
    result = json.loads(out)
    assert [Path(p).stem for p in result["pictures"]] == [*pages, "outputs"]
    assert sum(row["parameters"] for row in result["layers"]) == result["parameters"]
    status, out, _ = cli("inspect", run, "--what", "confusion,maps", "--format", "svg")
    assert out.splitlines()[-2:] == [f"{run}/figures/confusion.svg", f"{run}/figures/outputs.svg"]
    assert (run / "figures" / "outputs.svg").read_bytes().startswith(b"<?xml")
    status, _, err = cli("inspect", run, "--what", "mpas")
    assert (status, "unknown question 'mpas'; did you mean 'maps'?" in err) == (2, True)
    status, _, err = cli("inspect", run, "--layers", "conv3")
    assert status == 2
    assert "unknown layer 'conv3'; did you mean 'conv2'" in err


def test_every_question_says_what_it_answers(cli: Cli) -> None:
    lines = cli("inspect", ".", "--what", "list")[1].splitlines()
    assert [line.split()[0] for line in lines] == QUESTIONS.names()
    assert all(len(line) > 30 and line.endswith((".", "?")) for line in lines)


def test_recipes(cli: Cli) -> None:
    listed = cli("recipes")[1].splitlines()
    assert listed[0].startswith("fast       99 % in one epoch")
    assert listed[1].startswith("reader     the network that reads")
    assert listed[2].startswith("seed       the reference")
    assert cli("recipes", "seed")[1].startswith("# seed: ")
    found = json.loads(cli("recipes", "--json")[1])["recipes"]
    assert [recipe["name"] for recipe in found] == ["fast", "reader", "seed"]
    assert json.loads(cli("recipes", "seed", "--json")[1])["batch_size"] == 64
    assert cli("recipes", "sead")[0] == 2


def test_every_field_of_a_recipe_has_a_flag(cli: Cli, idx_folder: Path, tmp_path: Path) -> None:
    words = {"dataset": "idx", "holdout": 9, "mean": 0.1, "std": 0.3, "model": "mlp", "dropout": 0.2}
    words |= {"loss": "cross-entropy", "optimizer": "adam", "lr": 0.003, "momentum": 0.8}
    words |= {"weight-decay": 0.001, "schedule": "one-cycle", "batch-size": 8, "epochs": 1, "seed": 7}
    words |= {"device": "cpu", "precision": "bf16", "augmentation": "shift", "beta2": 0.99}
    words |= {"label-smoothing": 0.1, "memory-format": "contiguous", "threads": 1}
    flags = [word for key, value in words.items() for word in (f"--{key}", value)] + ["--no-compile"]
    status, _, err = cli("train", "--data-dir", idx_folder, "--run-dir", tmp_path / "r", *flags)
    assert status == 0, err
    recipe = lenetscope.Run.open(tmp_path / "r").recipe().as_dict()
    expected = {key.replace("-", "_"): value for key, value in words.items()}
    expected |= {"mean": [0.1], "std": [0.3], "precision": "bf16-mixed", "compile": False}
    assert {key: recipe[key] for key in expected} == expected
    assert set(recipe) - set(expected) == {"name", "summary"}


def test_a_recipe_file(cli: Cli, idx_folder: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("quick.toml").write_text('dataset = "idx"\nepochs = 1\ndevice = "cpu"\n')
    status, out, _ = cli(
        "train", "--recipe", "quick.toml", "--data-dir", idx_folder, "--batch-size", 30
    )
    assert status == 0
    assert out.startswith("run       runs/quick-1")


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["trian"], 2, 'Unknown command "trian". Did you mean "train"?'),
        (["train", "--epoch", "3"], 2, "Unknown option: --epoch. Did you mean --epochs?"),
        (["train", "--epochs", "many"], 2, 'unable to convert "many" into int'),
        (["train", "--epochs", "0"], 2, "'epochs' must be at least 1, not 0."),
        (["train", "--batch-size", "0"], 2, "'batch_size' must be at least 1, not 0."),
        (["train", "--recipe", "sead"], 2, "unknown recipe 'sead'; did you mean 'seed'?"),
        (["train", "--model", "lenett"], 2, "unknown model 'lenett'; did you mean 'lenet'?"),
        (["train", "--optimizer", "sdg"], 2, "unknown optimizer 'sdg'; did you mean 'sgd'?"),
        (["train", "--dataset", "idx"], 1, "give --data-dir"),
        (["train", "--recipe", "none.toml"], 2, "there is no recipe file none.toml"),
        (["train", "--checkpoint-steps", "-1"], 2, "--checkpoint-steps must be at least 0"),
        (["train", "--resume", "nope"], 1, "there is no run nope"),
        (["train", "--resume", "nope", "--lr", "1"], 2, "with --resume give no --recipe"),
        (["evaluate", "nope"], 1, "there is no run nope"),
        (["evaluate"], 2, "requires an argument"),
        (["predict", "nope", "x.png"], 1, "there is no run nope"),
        (["inspect", "."], 1, ". is no run folder"),
    ],
)
def test_what_is_typed_wrong_gets_one_line(
    cli: Cli, tmp_path: Path, monkeypatch, words: list[str], status: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    found, out, err = cli(*words)
    assert (found, out) == (status, "")
    assert message in err
    assert err.startswith("lenetscope: ")
    assert err.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_a_resumed_run_keeps_its_recipe_and_a_finished_one_is_done(cli: Cli, run: Path) -> None:
    weights = (run / "weights.safetensors").read_bytes()
    status, out, _ = cli("train", "--resume", run)
    assert status == 0
    assert out.startswith(f"run       {run}")
    assert (run / "weights.safetensors").read_bytes() == weights
    status, _, err = cli("train", "--resume", run, "--epochs", "9")
    assert status == 2
    assert "goes on with the recipe and folder it began with" in err
    status, _, err = cli("train", "--run-dir", run)
    assert status == 1
    assert "exists already and is not overwritten" in err


def test_an_unfinished_run_is_evaluated_and_called_so(cli: Cli, run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    rows = (copy / "history.jsonl").read_text().splitlines(keepends=True)
    (copy / "history.jsonl").write_text("".join(rows[:2]))
    status, out, err = cli("evaluate", copy)
    assert status == 0
    assert "images    23" in out
    assert "is unfinished: these are its weights after epoch 2 of 3" in err
    (copy / "weights.safetensors").unlink()
    status, _, err = cli("evaluate", copy)
    assert status == 1
    assert "has no weights yet: its first epoch was not finished." in err
    assert f"lenetscope train --resume {copy}" in err


def test_a_loss_that_is_no_number_leaves_the_last_checkpoint(
    cli: Cli, idx_folder: Path, tmp_path: Path
) -> None:
    run = tmp_path / "r"
    words = ["--dataset", "idx", "--data-dir", idx_folder, "--device", "cpu", "--batch-size", 16]
    status, _, err = cli("train", "--run-dir", run, *words, "--lr", "1e30", "--checkpoint-steps", 1)
    assert status == 1
    assert "the loss is no longer a finite number" in err
    content = torch.load(run / "checkpoint.pt", weights_only=True)
    assert content["step"] >= 1


def test_a_full_disk_ends_with_the_last_checkpoint_intact(
    cli: Cli, idx_folder: Path, tmp_path: Path, monkeypatch
) -> None:
    import os

    real, count = os.fsync, 0

    def fsync(descriptor: int) -> None:
        nonlocal count
        count += 1
        if count > 20:  # after the first epoch
            raise OSError(28, os.strerror(28))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    run = tmp_path / "r"
    status, _, err = cli("train", "--run-dir", run, "--data-dir", idx_folder, *SMALL)
    assert status == 1
    assert f"cannot write {run}" in err
    assert "No space left on device" in err
    monkeypatch.undo()
    assert cli("train", "--resume", run)[0] == 0
    assert cli("evaluate", run)[0] == 0


def test_other_data_or_another_version_is_refused(
    cli: Cli, run: Path, idx_folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "data"
    shutil.copytree(idx_folder, copy)
    labels = copy / "t10k-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-1] + b"\0")
    status, _, err = cli("evaluate", run, "--data-dir", copy)
    if labels.read_bytes() != (idx_folder / labels.name).read_bytes():
        assert status == 1
        assert "the data are not those" in err
    old = tmp_path / "old"
    shutil.copytree(run, old)
    config = json.loads((old / "config.json").read_text())
    (old / "config.json").write_text(json.dumps(config | {"format": 99}))
    for words in (
        ["evaluate", old],
        ["predict", old, "x.png"],
        ["inspect", old],
        ["train", "--resume", old],
    ):
        status, _, err = cli(*words)
        assert status == 1
        assert "is a run folder of format 99" in err


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(
        ["config.json", "recipe.toml", "environment.json", "history.jsonl", "weights.safetensors"]
    ),
    keep=st.floats(0, 1),
    tail=st.binary(max_size=20) | st.text(max_size=20).map(str.encode),
)
def test_a_damaged_run_folder_is_told_in_one_line(
    cli: Cli, run: Path, idx_folder: Path, tmp_path: Path, name: str, keep: float, tail: bytes
) -> None:
    copy = tmp_path / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(run, copy)
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[: int(keep * len(content))] + tail)
    status, out, err = cli("evaluate", copy, "--data-dir", idx_folder)
    if status:
        assert out == ""
        assert err.startswith("lenetscope: ")
        assert err.count("\n") == 1
    else:
        assert "accuracy" in out


def python(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, check=False, **options
    )


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["train", "--help"], ["recipes"], []])
def test_help_does_not_wait_for_torch(words: list[str]) -> None:
    code = (
        "import sys, lenetscope.cli as c\n"
        "try: c.main(sys.argv[1:])\n"
        "except SystemExit as e: assert not e.code\n"
        "assert not {'torch', 'numpy', 'matplotlib', 'torchvision'} & set(sys.modules), 'imported'"
    )
    done = python("-c", code, *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_module_runs_and_colour_can_be_turned_off() -> None:
    done = python("-m", "lenetscope", "--version")
    assert done.stdout.strip() == lenetscope.__version__
    done = python("-m", "lenetscope", "--help", env={"NO_COLOR": "1", "PATH": "/usr/bin"})
    assert "\x1b" not in done.stdout
    done = python("-m", "lenetscope", "train", "--batch-size", "0")
    assert done.returncode == 2
    assert done.stderr == "lenetscope: 'batch_size' must be at least 1, not 0.\n"


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    done = subprocess.run(
        f"{sys.executable} -m lenetscope recipes seed | head -n 1",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("# seed")
    assert done.stderr == ""


def test_the_public_names_are_all_there() -> None:
    for name in dir(lenetscope):
        assert getattr(lenetscope, name)
    with pytest.raises(AttributeError, match="no attribute 'Architectur'"):
        _ = lenetscope.Architectur


def test_the_report_is_one_file_that_is_named(cli: Cli, run: Path, tmp_path: Path) -> None:
    status, out, _ = cli("report", run, "--out", tmp_path / "page.html")
    assert status == 0
    assert out.startswith(f"{tmp_path}/page.html  (")
    assert (tmp_path / "page.html").read_text("utf-8").startswith("<!DOCTYPE html>")
    result = json.loads(cli("report", run, "--json")[1])
    assert result["report"] == f"{run}/report.html"
    assert result["bytes"] == (run / "report.html").stat().st_size < 8_000_000
    status, _, err = cli("report", tmp_path / "none")
    assert (status, "there is no run" in err) == (1, True)
