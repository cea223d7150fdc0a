"""The process of the command line, from outside."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def python(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("words", "status"),
    [(["--version"], 0), (["recipes", "refrence"], 2), (["evaluate", "nowhere"], 1)],
)
def test_the_exit_status_and_all_output_arrive(words: list[str], status: int) -> None:
    done = python("-m", "lenetscope", *words)
    assert done.returncode == status
    assert (done.stderr if status else done.stdout).endswith("\n")


def test_exit_functions_run_and_an_internal_error_shows_its_traceback() -> None:
    begin = "import atexit, sys; from lenetscope import __main__ as m; atexit.register(print, 'left'); "
    done = python("-c", begin + "sys.argv = ['lenetscope', '--version']; m.run()")
    assert done.returncode == 0
    assert done.stdout.endswith("left\n")
    done = python("-c", begin + "m.main = lambda: 1 / 0; m.run()")
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
