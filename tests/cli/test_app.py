"""What holds for every command: its help, its errors, its exit statuses."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from inspect import getdoc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lenetscope
from lenetscope.cli.app import COMMANDS, app

Cli = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_file_of_its_name_and_explains_its_flags(cli: Cli, name: str) -> None:
    command = getattr(import_module(f"lenetscope.cli.{name}"), name)
    assert getdoc(command).splitlines()[0] == COMMANDS[name]
    status, out, _ = cli(name, "--help")
    assert status == 0
    assert f"Usage: lenetscope {name}" in out
    for argument in app[name].assemble_argument_collection(parse_docstring=True):
        assert argument.parameter.help or argument.name == "*", argument.name


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["trian"], 2, 'Unknown command "trian". Did you mean "train"?'),
        (["train", "--epoch", "3"], 2, "Unknown option: --epoch. Did you mean --epochs?"),
        (["train", "--epochs", "many"], 2, 'unable to convert "many" into int'),
        (["evaluate"], 2, "requires an argument"),
        (["train", "--epochs", "0"], 2, "'epochs'"),
        (["train", "--recipe", "referense"], 2, "'reference'"),
        (["train", "--model", "lenett"], 2, "'lenet'"),
        (["train", "--optimizer", "sdg"], 2, "'sgd'"),
        (["train", "--dataset", "idx"], 1, "--data-dir"),
        (["train", "--recipe", "none.toml"], 2, "none.toml"),
        (["train", "--checkpoint-steps", "-1"], 2, "--checkpoint-steps must be at least 0"),
        (["train", "--resume", "nope"], 1, "there is no run nope"),
        (["train", "--resume", "nope", "--lr", "1"], 2, "with --resume give no --recipe"),
        (["evaluate", "nope"], 1, "nope"),
        (["predict", "nope", "x.png"], 1, "nope"),
        (["report", "nope"], 1, "nope"),
        (["inspect", "."], 1, "."),
        (["recipes", "referense"], 2, "'reference'"),
    ],
)
def test_wrong_usage_gets_one_line(
    cli: Cli, tmp_path: Path, monkeypatch, words: list[str], status: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    found, out, err = cli(*words)
    assert (found, out) == (status, "")
    assert message in err
    assert err.startswith("lenetscope: ")
    assert err.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_a_run_folder_of_another_format_is_refused(cli: Cli, run: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(run, old)
    config = json.loads((old / "config.json").read_text())
    (old / "config.json").write_text(json.dumps(config | {"format": 99}))
    for words in (
        ["evaluate", old],
        ["predict", old, "x.png"],
        ["inspect", old],
        ["report", old],
        ["read", "x.png", "--run", old],
        ["train", "--resume", old],
    ):
        status, _, err = cli(*words)
        assert status == 1
        assert "format 99" in err


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(
        ["config.json", "recipe.toml", "environment.json", "history.jsonl", "weights.safetensors"]
    ),
    keep=st.floats(0, 1),
    tail=st.binary(max_size=20) | st.text(max_size=20).map(str.encode),
)
def test_a_damaged_run_folder_gets_one_line(
    cli: Cli, run: Path, idx_folder: Path, tmp_path: Path, name: str, keep: float, tail: bytes
) -> None:
    copy, data = tmp_path / "copy", tmp_path / "data"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(run, copy)
    shutil.copytree(idx_folder, data, dirs_exist_ok=True)  # a damaged recipe may unpack MNIST there
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[: int(keep * len(content))] + tail)
    status, out, err = cli("evaluate", copy, "--data-dir", data)
    if status:
        assert out == ""
        assert err.startswith("lenetscope: ")
        assert err.count("\n") == 1
    else:
        assert "accuracy" in out


def python(*words: str, **options: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, check=False, **options
    )


@pytest.mark.slow
def test_help_does_not_wait_for_torch() -> None:
    code = (
        "import sys, lenetscope.cli as c\n"
        "for words in ([], ['--help'], ['--version'], ['train', '--help'], ['inspect', '--help'], "
        "['recipes']):\n"
        "    try: c.main(words)\n"
        "    except SystemExit as e: assert not e.code\n"
        "heavy = {'torch', 'numpy', 'matplotlib', 'torchvision', 'scipy', 'sklearn', 'skimage'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert "lenetscope train" in done.stdout


@pytest.mark.slow
def test_the_module_runs_and_colour_can_be_turned_off() -> None:
    done = python("-m", "lenetscope", "--version")
    assert done.stdout.strip() == lenetscope.__version__
    done = python("-m", "lenetscope", "--help", env={"NO_COLOR": "1", "PATH": "/usr/bin"})
    assert "\x1b" not in done.stdout
    done = python("-m", "lenetscope", "train", "--batch-size", "0")
    assert done.returncode == 2
    assert done.stderr == "lenetscope: 'batch_size' must be at least 1, not 0.\n"


@pytest.mark.slow
def test_a_reader_that_closes_the_pipe_gets_no_traceback() -> None:
    done = subprocess.run(
        f"{sys.executable} -m lenetscope recipes reference | head -n 1",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("# reference")
    assert done.stderr == ""
