"""Processes started by the command itself: what they are told, and how they end together."""

import os
import signal
import subprocess
import sys

import pytest
import torch

from lenetscope.errors import UsageError
from lenetscope.training import launcher
from lenetscope.training.engine import make_engine

pytestmark = pytest.mark.slow

PROGRAM = """
import os, signal, sys, time
from lenetscope.errors import TrainingError
from lenetscope.training import launcher

launcher.GRACE = 0.5
try:
    status = launcher.launch(int(sys.argv[1]), None)
except TrainingError as error:
    sys.exit(str(error))
if status is None:
    rank = int(os.environ["LOCAL_RANK"])
    exec(sys.argv[2])
sys.exit(status)
"""


def start(devices: int, does: str) -> "subprocess.Popen[str]":
    """Start a program that starts itself in so many processes, which then do something."""
    command = [sys.executable, "-c", PROGRAM, str(devices), does]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)


def test_each_process_is_told_who_it_is() -> None:
    names = (*launcher.RANKS, "GROUP_RANK", "MASTER_ADDR", "OMP_NUM_THREADS")
    says = f"os.write(1, (' '.join(os.environ[name] for name in {names}) + chr(10)).encode())"
    out, err = (process := start(3, says)).communicate(timeout=60)
    assert process.returncode == 0, err
    threads = os.environ.get("OMP_NUM_THREADS") or str(max((os.cpu_count() or 1) // 3, 1))
    expected = [f"{rank} 3 {rank} 3 0 127.0.0.1 {threads}" for rank in range(3)]
    assert sorted(out.splitlines()) == expected


@pytest.mark.parametrize(
    ("does", "status", "told"),
    [
        ("sys.exit(2 * rank)", 2, ""),  # the others end well
        ("sys.exit(130)", 130, ""),
        # one fails, the other would wait for ever
        ("sys.exit(3) if rank else time.sleep(60)", 3, ""),
        ("os.kill(os.getpid(), signal.SIGKILL) if rank else time.sleep(60)", 1, "process 1 of 2"),
        ("time.sleep(60) if rank else os.kill(os.getpid(), signal.SIGSEGV)", 1, "killed by SIGSEGV"),
    ],
)
def test_all_end_as_one_has_ended(does: str, status: int, told: str) -> None:
    _, err = (process := start(2, does)).communicate(timeout=30)
    assert process.returncode == status
    assert told in err
    assert bool(err) == bool(told)


WAITS = """
signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
os.write(1, f"{os.getpid()}\\n".encode())
time.sleep(60)
"""


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_reaches_all(sent: signal.Signals) -> None:
    waits = WAITS.replace("SIGTERM", "SIGTERM" if sent == signal.SIGKILL else sent.name)
    process = start(2, waits)
    assert process.stdout is not None
    started = [int(process.stdout.readline()) for _ in range(2)]
    process.send_signal(sent)
    # standard output is closed when the last of them has ended
    process.communicate(timeout=30)
    assert process.returncode == (130 if sent != signal.SIGKILL else -sent)
    assert len(set(started)) == 2


@pytest.mark.parametrize(
    ("environment", "flags", "told"),
    [
        ({}, (0, None), "--devices must be at least 1"),
        ({}, (None, 0), "--num-nodes must be at least 1"),
        ({}, (None, 2), "needs MASTER_ADDR, MASTER_PORT, NODE_RANK"),
        ({"MASTER_ADDR": "h", "MASTER_PORT": "1", "NODE_RANK": "2"}, (1, 2), "from 0 to 1, not 2"),
        ({"WORLD_SIZE": "2", "RANK": "0"}, (None, None), "start with torchrun, or remove WORLD_SIZE"),
        ("4 of 2 machines", (4, None), "--devices is 4, and whoever started this process says 2"),
        ("4 of 2 machines", (None, 1), "--num-nodes is 1, and whoever started this process says 2"),
    ],
)
def test_contradictions_are_one_clear_line(
    environment: dict[str, str] | str, flags: tuple[int | None, int | None], told: str, monkeypatch
) -> None:
    if isinstance(environment, str):
        environment = dict(zip(launcher.RANKS, "3412", strict=True))
    for name in (*launcher.RANKS, *launcher.MEETING):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=told) as raised:
        launcher.launch(*flags)
    assert "\n" not in str(raised.value)


def test_flags_that_agree_with_torchrun_change_nothing(monkeypatch) -> None:
    for name, value in zip(launcher.RANKS, "3412", strict=True):
        monkeypatch.setenv(name, value)
    assert launcher.group() == (4, 2)
    assert launcher.launch(2, 2) is None
    assert launcher.launch(None, None) is None


def test_more_processes_than_gpus_are_refused(monkeypatch) -> None:
    for name, value in zip(launcher.RANKS, "3412", strict=True):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UsageError, match="2 processes on this machine cannot share 1 cuda"):
        make_engine("cuda")


def test_a_strategy_that_is_not_known_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown strategy 'dpp'; did you mean 'ddp'"):
        make_engine("cpu", strategy="dpp")
