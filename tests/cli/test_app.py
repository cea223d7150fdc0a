"""What holds for every command: its help, its errors, its exit statuses."""

import json
import os
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
from lenetscope.cli import main
from lenetscope.cli.app import COMMANDS, app
from lenetscope.recipe import Recipe

Cli = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_file_of_its_name_and_explains_its_flags(cli: Cli, name: str) -> None:
    module = name.replace("-", "_")
    command = getattr(import_module(f"lenetscope.cli.{module}"), module)
    summary, example = COMMANDS[name]
    assert getdoc(command).splitlines()[0] == summary
    status, out, _ = cli(name, "--help")
    assert status == 0
    assert f"Usage: lenetscope {name}" in out
    assert example.startswith(f"lenetscope {name} ")
    assert out.rstrip().endswith(f"Example: {example}")
    assert cli("help", name) == (0, out, "")
    for argument in app[name].assemble_argument_collection(parse_docstring=True):
        assert argument.parameter.help or argument.name == "*", argument.name


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["trian"], 2, 'Unknown command "trian". Did you mean "train"?'),
        (["train", "--epoch", "3"], 2, "Unknown option: --epoch. Did you mean --epochs?"),
        (["train", "--epochs", "many"], 2, '"many" is not a whole number.'),
        (["train", "--batch-size", "3.5"], 2, '"3.5" is not a whole number.'),
        (["train", "--checkpoint-steps", "1.5"], 2, '"1.5" is not a whole number.'),
        (["train", "--learning-rate=1"], 2, "Unknown option: --learning-rate. Did you mean --lr?"),
        (["train", "--config", "x"], 2, "Did you mean --recipe?"),
        (["train", "--output-dir", "x"], 2, "Did you mean --run-dir?"),
        (["report", "--output-dir", "x"], 2, "Did you mean --out?"),
        (["train", "epochs=3"], 2, "Did you mean --epochs 3?"),
        (["train", "fast"], 2, "Did you mean --recipe fast?"),
        (["fast"], 2, 'Did you mean "train --recipe fast"?'),
        (["evaluate", "a", "b"], 2, '"b" is one word too many.'),
        (
            ["train", "--recipe=https://x.org/a.toml"],
            2,
            "nothing is downloaded: save https://x.org/a.toml",
        ),
        (["read", "HTTP://x.org/a.png"], 2, "nothing is downloaded"),
        (["evaluate"], 1, "there is no run"),
        (["train", "--resume"], 1, "there is no run"),
        (["train", "--resume", "--json"], 1, "there is no run"),
        (["train", "--epochs", "0"], 2, "'epochs'"),
        (["train", "--recipe", "referense"], 2, "'reference'"),
        (["train", "--model", "lenett"], 2, "'lenet'"),
        (["train", "--optimizer", "sdg"], 2, "'sgd'"),
        (["train", "--dataset", "idx"], 1, "--data-dir"),
        (["train", "--data-dir", "."], 1, ". is empty. MNIST comes with the package"),
        (["train", "--recipe", "none.toml"], 2, "none.toml"),
        (["train", "--checkpoint-steps", "-1"], 2, "--checkpoint-steps must be at least 0"),
        (["train", "--resume", "nope"], 1, "there is no run nope"),
        (["train", "--resume", "nope", "--recipe", "fast"], 2, "with --resume give no --recipe"),
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


def test_ctrl_c_and_a_fault_of_the_program(cli: Cli, monkeypatch) -> None:
    monkeypatch.setattr("lenetscope.cli.recipes.names", raise_(KeyboardInterrupt()))
    assert cli("recipes") == (130, "", "lenetscope: interrupted.\n")
    monkeypatch.setattr("lenetscope.cli.recipes.names", raise_(RuntimeError("a fault")))
    with pytest.raises(RuntimeError, match="a fault"):
        main(["recipes"])


def raise_(error: BaseException) -> Callable[[], None]:
    def fails() -> None:
        raise error

    return fails


def test_a_home_folder_that_the_shell_leaves(cli: Cli, run: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.copytree(run, tmp_path / "run")
    assert not cli("inspect", "~/run", "--what", "filters", "--out=~/figures")[0]
    assert (tmp_path / "figures" / "filters-conv1.png").exists()
    assert cli("evaluate", "") == (
        2,
        "",
        "lenetscope: a word of the command line is empty: give a value, or leave its option out.\n",
    )


def test_short_forms(cli: Cli) -> None:
    version = cli("--version")
    assert version == (0, f"{lenetscope.__version__}\n", "")
    assert cli("-V") == cli("version") == version
    assert cli("help") == cli("--help")


def test_the_help_of_train_has_the_default_of_each_field(cli: Cli) -> None:
    _, out, _ = cli("train", "--help")
    words = " ".join(out.partition("Fields of the recipe")[2].replace("│", " ").split())
    for name, value in Recipe.load("reference").as_dict().items():
        if name not in ("name", "summary"):
            shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value).lower()
            part = words.split(f"--{name.replace('_', '-')} ", 1)[1]
            assert part.split("[reference: ", 1)[1].startswith(f"{shown}]"), name


def test_without_a_folder_the_newest_run_is_taken_and_named(
    cli: Cli, run: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("small-1", "small-2", "small-3"):
        shutil.copytree(run, tmp_path / "runs" / name)
        for file in (tmp_path / "runs" / name).rglob("*"):
            os.utime(file, (1, {"small-1": 10, "small-2": 30, "small-3": 20}[name]))
    status, out, err = cli("evaluate", "--json")
    assert status == 0
    assert json.loads(out)["run"] == "runs/small-2"
    assert err == "runs/small-2 is the newest run.\n"
    assert cli("train", "--resume")[0] == 0


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


def python(*words: str, **options: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, check=False, **options
    )


@pytest.mark.slow
def test_help_does_not_wait_for_torch() -> None:
    code = (
        "import sys, lenetscope.cli as c\n"
        "for words in ([], ['--help'], ['--version'], ['train', '--help'], ['inspect', '--help'], "
        "['export', '--help'], ['recipes']):\n"
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
