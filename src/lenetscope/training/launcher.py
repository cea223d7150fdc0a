"""Starts the processes of one machine that train together, and ends when they have ended.

It does without torch what torchrun does for a command: the processes find the same variables in their
environment. Fabric's own launcher kills itself, without a word, where one of its processes has died.
"""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from typing import Any

from lenetscope.errors import INTERRUPTED, TrainingError, UsageError

RANKS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
"""What a process is told: its number and how many there are, in all and on its machine."""

MEETING = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK")
"""Where the processes of several machines meet, and the machine's number, as Fabric names them."""

GRACE = 8.0
"""Seconds that the others have to end after one has failed. Over gloo they learn of it at once, over
NCCL they would wait for it."""

_POLL = 0.05
"""Seconds from one look at the processes to the next."""

_PR_SET_PDEATHSIG = 1
"""Option of Linux's ``prctl``: which signal a process gets when the one that started it dies."""

Process = subprocess.Popen[bytes]


def group() -> tuple[int, int]:
    """Return how many processes train together, in all and on this machine.

    Raises:
        UsageError: if the environment says that there are several, and not which of them this one is.
    """
    processes, local = (os.environ.get(name, "1") for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    if processes != "1" and not all(os.environ.get(name, "").isdecimal() for name in RANKS):
        raise UsageError(
            f"WORLD_SIZE is '{processes}' in the environment, and not all of {', '.join(RANKS)} are "
            "numbers there: start with torchrun, or remove WORLD_SIZE."
        )
    return int(processes), int(local)


def launch(devices: int | None, num_nodes: int | None) -> int | None:
    """Run this command in several processes, if that is asked for, and return its exit status.

    Args:
        devices: processes on this machine.
        num_nodes: machines, on each of which the command is started.

    Returns:
        None where this process is to do the work: as the only one, or as one of several.

    Raises:
        UsageError: if the environment says something else, or not where to meet.
        TrainingError: if a process was killed.
    """
    processes, local = group()
    asked = (("--devices", devices, local), ("--num-nodes", num_nodes, processes // local))
    for flag, number, there in asked:
        if number is not None and number < 1:
            raise UsageError(f"{flag} must be at least 1, not {number}.")
        if "LOCAL_RANK" in os.environ and number not in (None, there):
            raise UsageError(
                f"{flag} is {number}, and whoever started this process says {there}: with torchrun "
                f"give no {flag}."
            )
    devices, num_nodes = devices or 1, num_nodes or 1
    if "LOCAL_RANK" in os.environ or devices * num_nodes == 1:
        return None
    return _watch(_start(devices, num_nodes))


def _start(devices: int, num_nodes: int) -> list[Process]:
    found = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": _free_port(), "NODE_RANK": "0"}
    if num_nodes > 1:
        found = {name: os.environ.get(name, "") for name in MEETING}
        if not all(found.values()) or not found["NODE_RANK"].isdecimal():
            raise UsageError(
                f"--num-nodes {num_nodes} needs {', '.join(MEETING)} in the environment: address and a "
                "free port of the first machine, and the number of this one, from 0."
            )
    node = int(found["NODE_RANK"])
    if node >= num_nodes:
        raise UsageError(f"NODE_RANK must be below --num-nodes, from 0 to {num_nodes - 1}, not {node}.")
    threads = {"OMP_NUM_THREADS": str(max((os.cpu_count() or 1) // devices, 1))}
    shared = {
        "WORLD_SIZE": str(devices * num_nodes),
        "LOCAL_WORLD_SIZE": str(devices),
        "GROUP_RANK": str(node),
        "TORCHELASTIC_RUN_ID": "lenetscope",
    }
    options: dict[str, Any] = {"start_new_session": True}  # a Ctrl-C comes from `_watch`, and once
    if sys.platform == "linux":  # where this process is killed, the others save and end
        options["preexec_fn"] = partial(ctypes.CDLL(None).prctl, _PR_SET_PDEATHSIG, signal.SIGTERM)
    started = []
    for local in range(devices):
        own = {"LOCAL_RANK": str(local), "RANK": str(node * devices + local)}
        environment = threads | os.environ | found | shared | own
        command = [sys.executable, *sys.orig_argv[1:]]
        started.append(subprocess.Popen(command, env=environment, **options))
    return started


def _watch(processes: list[Process]) -> int:
    """Pass signals on, end the others where one has failed, and return the exit status of all."""
    received: list[int] = []

    def pass_on(number: int, _frame: Any) -> None:
        received.append(number)
        for process in processes:
            process.send_signal(number)

    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, pass_on)
    failed: list[Process] = []
    deadline = 0.0
    while None in [process.poll() for process in processes]:
        if not failed:
            failed = [p for p in processes if p.returncode not in (None, 0, INTERRUPTED)]
            deadline = time.monotonic() + GRACE
        elif time.monotonic() > deadline:
            for process in processes:
                process.kill()
        time.sleep(_POLL)
    failed = failed or [p for p in processes if p.returncode]
    killed = [p for p in failed if p.returncode < 0]
    if killed and received:
        return INTERRUPTED
    if killed:
        name = signal.Signals(-killed[0].returncode).name
        raise TrainingError(
            f"process {processes.index(killed[0])} of {len(processes)} on this machine was killed by "
            f"{name}. The last checkpoint is kept: continue from it with --resume."
        )
    return max(process.returncode for process in processes)


def _free_port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])
