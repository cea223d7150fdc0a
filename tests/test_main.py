"""The process of the command line, from outside."""

import subprocess
import sys

import pytest


def python(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("words", "status"), [(["--version"], 0), (["recipes", "sead"], 2), (["evaluate", "nowhere"], 1)]
)
def test_the_status_and_all_that_was_written_arrive(words: list[str], status: int) -> None:
    done = python("-m", "lenetscope", *words)
    assert done.returncode == status
    assert (done.stderr if status else done.stdout).endswith("\n")


def test_what_is_registered_for_the_end_is_done_and_an_error_of_ours_shows_where() -> None:
    begin = "import atexit, sys; from lenetscope import __main__ as m; atexit.register(print, 'left'); "
    done = python("-c", begin + "sys.argv = ['lenetscope', '--version']; m.run()")
    assert done.returncode == 0
    assert done.stdout.endswith("left\n")
    done = python("-c", begin + "m.main = lambda: 1 / 0; m.run()")
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
