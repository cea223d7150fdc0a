"""``lenetscope train``: what it prints where, its flags, and how it ends."""

import dataclasses
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import torch

import lenetscope
from lenetscope.cli.app import app
from lenetscope.recipe import Recipe, names

Cli = Callable[..., tuple[int, str, str]]
FIELDS = [item for item in dataclasses.fields(Recipe) if item.metadata["group"]]


def allowed(item: "dataclasses.Field[Any]") -> list[str]:
    """The names that a field takes, if there are any."""
    if get_origin(item.type) is Literal:
        return list(get_args(item.type))
    if registry := item.metadata["registry"]:
        module, _, name = registry.partition(":")
        return getattr(import_module(f"lenetscope.{module}"), name).names()
    return []


def another(item: "dataclasses.Field[Any]") -> Any:
    """A value of a field that is not the reference's."""
    value = getattr(Recipe.load("reference"), item.name)
    if names := allowed(item):
        return next((name for name in names if name != value), value)
    if isinstance(value, tuple):
        return (0.25,)
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else value / 2 or 0.25


def test_the_result_is_on_stdout_and_the_progress_on_stderr(
    cli: Cli, small: list[str], tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = cli("train", *small)
    assert status == 0
    assert out.startswith("run       runs/reference-1\naccuracy  ")
    assert "95 % interval" in out
    assert "next      lenetscope report runs/reference-1" in out
    assert "epoch 3/3" in err
    assert "\x1b" not in out + err
    status, out, err = cli("train", *small, "--json")
    result = json.loads(out)
    assert result["run"] == "runs/reference-2"
    assert len(result["history"]) == 3
    assert result["n"] == 23


def test_every_field_of_a_recipe_has_a_flag() -> None:
    wanted = {item.name: another(item) for item in FIELDS}
    words = []
    for key, value in wanted.items():
        flag = key.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", *map(str, value if isinstance(value, tuple) else [value])]
    _, bound, *_ = app.parse_args(["train", *words])
    given = vars(bound.arguments["overrides"])
    assert given.keys() == wanted.keys()
    recipe, reference = Recipe.load("reference", **given), Recipe.load("reference")
    for item in FIELDS:
        assert getattr(recipe, item.name) == wanted[item.name]
        assert wanted[item.name] != getattr(reference, item.name) or len(allowed(item)) == 1


def test_help_lists_the_names_that_a_flag_takes(cli: Cli) -> None:
    out = " ".join(cli("train", "--help")[1].replace("│", "").split())
    assert f"recipe: {', '.join(names())}, or the path of a TOML file" in out
    for item in FIELDS:
        assert f": {', '.join(allowed(item))}" in out or not allowed(item)


def test_the_run_keeps_the_recipe_and_a_recipe_file_names_the_run(
    cli: Cli, run: Path, idx_folder: Path, tmp_path: Path, monkeypatch
) -> None:
    recipe = lenetscope.Run.open(run).recipe()
    reference = Recipe.load("reference")
    assert recipe == reference.replace(data=idx_folder, epochs=3, batch_size=16, device="cpu", lr=0.05)
    monkeypatch.chdir(tmp_path)
    Path("quick.toml").write_text(
        f'data = "{idx_folder}"\nepochs = 1\ndevice = "cpu"\nprecision = "bf16"\n'
    )
    words = ["--recipe", "quick.toml", "--batch-size", 30]
    status, out, err = cli("train", *words)
    assert status == 0, err
    assert out.startswith("run       runs/quick-1")
    assert lenetscope.Run.open(Path("runs/quick-1")).recipe().precision == "bf16-mixed"


def test_a_finished_run_is_done_and_is_not_overwritten(cli: Cli, run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    weights = (run / "weights.safetensors").read_bytes()
    status, out, _ = cli("train", "--resume", copy)
    assert status == 0
    assert out.startswith(f"run       {copy}")
    assert (copy / "weights.safetensors").read_bytes() == weights
    status, _, err = cli("train", "--run-dir", copy)
    assert status == 1
    assert "not overwritten" in err


@pytest.mark.slow
def test_a_loss_that_is_not_a_number_leaves_the_last_checkpoint(
    cli: Cli, small: list[str], tmp_path: Path
) -> None:
    run = tmp_path / "r"
    status, _, err = cli("train", "--run-dir", run, *small[:-1], "1e30", "--checkpoint-steps", 1)
    assert status == 1
    assert "finite number" in err
    content = torch.load(run / "checkpoint.pt", weights_only=True)
    assert content["step"] >= 1


@pytest.mark.slow
def test_a_full_disk_leaves_the_last_checkpoint_intact(
    cli: Cli, small: list[str], tmp_path: Path, monkeypatch
) -> None:
    real, count = os.fsync, 0

    def fsync(descriptor: int) -> None:
        nonlocal count
        count += 1
        if count > 20:  # after the first epoch
            raise OSError(28, os.strerror(28))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    run = tmp_path / "r"
    status, _, err = cli("train", "--run-dir", run, *small)
    assert status == 1
    assert f"cannot write {run}" in err
    assert "No space left on device" in err
    monkeypatch.undo()
    assert cli("train", "--resume", run)[0] == 0
    assert cli("evaluate", run)[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize("stopped", [False, True])
def test_workers_end_with_the_training_and_ctrl_c_is_not_theirs(
    idx_folder: Path, tmp_path: Path, stopped: bool
) -> None:
    words = ["train", "--data", str(idx_folder), "--epochs", "100000" if stopped else "2",
             "--augmentation", "shift", "--workers", "2", "--device", "cpu",
             "--run-dir", "run"]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "lenetscope", *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while stopped and not (tmp_path / "run" / "checkpoint.pt").exists():
        time.sleep(0.05)
    if stopped:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    out, err = process.communicate(timeout=60)
    assert process.returncode == (130 if stopped else 0)
    assert err.count("stopping after this step") == stopped
    assert "Error" not in out + err
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)  # none is left


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sent", "variables"), [(signal.SIGINT, {}), (signal.SIGTERM, {"NO_COLOR": "1"})]
)
def test_a_bar_moves_on_a_terminal_and_a_signal_saves(
    idx_folder: Path, tmp_path: Path, sent: signal.Signals, variables: dict[str, str]
) -> None:
    controller, terminal = pty.openpty()
    words = ["train", "--data", str(idx_folder), "--epochs", "100000",
             "--device", "cpu", "--run-dir", "run"]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "lenetscope", *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=terminal,
        env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "100"} | variables,
    )
    os.close(terminal)
    printed = b""
    signalled = False
    while True:
        try:
            part = os.read(controller, 4096)
        except OSError:  # the other end is closed
            break
        printed += part
        if not signalled and b"valid loss" in printed:
            time.sleep(0.2)
            process.send_signal(sent)
            signalled = True
    out, _ = process.communicate()
    os.close(controller)
    text = printed.decode()
    assert process.returncode == 130
    assert out == b""
    assert "\x1b[?25l" in text  # the cursor is hidden while the bar moves
    assert "\x1b[?25h" in text  # and shown again
    coloured = re.search(r"\x1b\[[\d;]*[34]\d", text)
    assert not coloured if "NO_COLOR" in variables else coloured
    assert re.search(r"epoch +1/100000  train loss \d\.\d+", text)
    assert "Interrupted; saved. Continue with: lenetscope train --resume run" in text
    assert "Traceback" not in text
    assert (tmp_path / "run" / "checkpoint.pt").exists()
