"""The process of the command line, from outside: whatever the system refuses becomes one line."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import obey_permissions

pytestmark = pytest.mark.slow

COMMAND = f"exec {sys.executable} -m lenetscope"


def python(*words: str, **options: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, check=False, **options
    )


def shell(command: str, folder: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=os.environ | variables, capture_output=True, text=True,
        check=False, stdin=subprocess.DEVNULL, preexec_fn=obey_permissions,
    )  # fmt: skip


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
    done = python("-c", begin + "import lenetscope.cli as c; c.main = lambda: 1 / 0; m.run()")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.parametrize("words", ["--version", "recipes", "train --help"])
@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (">/dev/full", "No space left on device"),
        (">&-", "Bad file descriptor"),
        ("1</dev/null", "Bad file descriptor"),
    ],
)
def test_output_that_cannot_be_written(tmp_path: Path, words: str, output: str, reason: str) -> None:
    done = shell(f"{COMMAND} {words} {output}", tmp_path)
    assert done.returncode == 1
    assert done.stderr == f"lenetscope: cannot write to standard output: {reason}.\n"


@pytest.mark.parametrize("messages", ["2>/dev/full", "2>&-", "2</dev/null", "2>/dev/full <&-"])
@pytest.mark.parametrize(("words", "status"), [("--version", 0), ("recipes", 0), ("trian", 2)])
def test_messages_that_cannot_be_written(
    tmp_path: Path, words: str, messages: str, status: int
) -> None:
    done = shell(f"{COMMAND} {words} {messages}", tmp_path)
    assert done.returncode == status
    assert bool(done.stdout) == (status == 0)
    assert done.stderr == ""


def test_a_file_never_gets_the_messages_of_a_closed_stream(tmp_path: Path) -> None:
    code = (
        "from lenetscope import __main__ as m; import lenetscope.cli as c, os, pathlib\n"
        "def main():\n"
        "    with pathlib.Path('a').open('w') as file: os.write(2, b'message'); file.write('content')\n"
        "c.main = main; m.run()"
    )
    assert shell(f'{sys.executable} -c "{code}" 2>&- <&-', tmp_path).returncode == 0
    assert (tmp_path / "a").read_text() == "content"


REFUSALS = {
    "no memory for torch": (
        f"ulimit -v 400000; {COMMAND} read a.png",
        "too little memory: close other",
    ),
    "no current folder": (
        f"mkdir x; cd x; rmdir ../x; {COMMAND} --help",
        "the current folder does not",
    ),
    "a run without permission": (
        f"mkdir -m 0 x; {COMMAND} evaluate x",
        "x/config.json: Permission denied",
    ),
    "a recipe without permission": (
        f"touch x.toml; chmod 0 x.toml; {COMMAND} recipes x.toml",
        "x.toml: Permission denied",
    ),
    "a picture without permission": (
        f"touch x.png; chmod 0 x.png; {COMMAND} read x.png",
        "x.png .*: Permission denied",
    ),
    "a folder of pictures without permission": (
        f"mkdir -m 0 x; {COMMAND} read x",
        "x .*: Permission denied",
    ),
    "data without permission": (
        f"mkdir -m 0 x; {COMMAND} train --data-dir x",
        "cannot read the folder x: Permission denied",
    ),
    "a home that does not take the data": (
        f"LENETSCOPE_DATA_DIR=/proc/x {COMMAND} train",
        "cannot write /proc/x/MNIST/raw/.*another folder with LENETSCOPE_DATA_DIR",
    ),
    "a folder that takes no run": (
        f"chmod 555 .; {COMMAND} train",
        "cannot make a run folder in runs: Permission denied",
    ),
    "a disk that is full": (f"ulimit -f 8; {COMMAND} train", "snapshots/.*: File too large"),
    "a run that is a file": (
        f"touch x; {COMMAND} evaluate x",
        "x is not a run folder|there is no run x",
    ),
    "a name that is too long": (
        f"{COMMAND} evaluate {'x' * 300}",
        "there is no run|File name too long",
    ),
    "a name that is not text": (
        f"LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 {COMMAND} evaluate $'x\\xff'",
        r"there is no run x\\ufffd",
    ),
    "an empty name": (f'{COMMAND} evaluate ""', "a word of the command line is empty"),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_what_the_system_refuses_becomes_one_line(tmp_path: Path, what: str) -> None:
    command, message = REFUSALS[what]
    done = shell(command, tmp_path)
    last = done.stderr.splitlines()[-1]
    assert done.returncode == (2 if "empty" in message else 1)
    assert last.startswith("lenetscope: ")
    assert done.stderr.count("lenetscope: ") == 1
    assert re.search(message, last)
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_surroundings_that_are_unusual_but_enough(tmp_path: Path, idx_folder: Path) -> None:
    nowhere = dict.fromkeys(("TMPDIR", "MPLCONFIGDIR", "HOME", "XDG_CACHE_HOME"), "/nonexistent")
    train = f"train --data {idx_folder} --epochs 1 --batch-size 16 --run-dir grüß"
    both = f"{COMMAND.removeprefix('exec ')} {train} && {COMMAND} inspect grüß --what filters"
    done = shell(both, tmp_path, **nowhere, PYTHONIOENCODING="ascii", PYTHONWARNINGS="error")
    assert done.returncode == 0, done.stderr
    assert r"run       gr\xfc\xdf" in done.stdout
    assert not re.search("Traceback|Matplotlib|Warning", done.stderr)


def test_ctrl_c_within_an_import_exits_at_once(tmp_path: Path) -> None:
    """Libraries such as numpy swallow the exception, and C++ code aborts; this one swallows it."""
    (tmp_path / "cyclopts.py").write_text(
        "import time\nprint('importing', flush=True)\nfor _ in range(300):\n"
        "    try: time.sleep(0.1)\n    except BaseException: pass\n"
    )
    words = [sys.executable, "-m", "lenetscope", "--version"]
    with subprocess.Popen(
        words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=20) == ("", "lenetscope: interrupted.\n")
    assert process.returncode == 130


@pytest.mark.parametrize(
    ("given", "policy"),
    [({}, "passive 1000"), ({"GOMP_SPINCOUNT": "9"}, "None 9"), ({"KMP_BLOCKTIME": "1"}, "None None")],
)
def test_waiting_threads_sleep_unless_the_user_has_chosen(given: dict[str, str], policy: str) -> None:
    code = (
        "import os, sys; from lenetscope import __main__ as m; sys.argv = ['lenetscope', '-V']; "
        "os._exit = lambda status: print(status, *map(os.environ.get, m.OMP_WAITING)); m.run()"
    )
    plain = {name: v for name, v in os.environ.items() if not name.startswith(("OMP", "GOMP", "KMP"))}
    done = python("-c", code, env=plain | given)
    assert done.stdout.endswith(f"0 {policy}\n"), done.stderr
