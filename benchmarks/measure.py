"""Measures a program from outside: its run time, the times of its output lines and its peak memory.

The program writes events to standard output, one JSON object per line:

    {"event": "ready"}                                              imports done, data loaded
    {"event": "epoch", "train_seconds": 21.4, "accuracy": 0.9871}   after each epoch

Other lines are ignored. All times count from just before the program is started.

The peak memory is what the kernel reports for the finished process. It begins with the memory of the
parent process, which must therefore be small: neither this module nor one that imports it may import
torch before the last measurement is done.
"""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

TAIL_LINES = 15
"""Last lines of a failed program's standard error that the error message quotes."""

ENOUGH = "enough"
"""Returned by a listener to stop the program."""


class MeasurementError(Exception):
    """A program failed, or did not write the expected output."""


class Epoch(NamedTuple):
    """One epoch: seconds of training alone, test accuracy, and when it was reported, in seconds."""

    train_seconds: float
    accuracy: float | None
    at: float


@dataclass(frozen=True)
class Measurement:
    """One run of one program.

    Attributes:
        name: of the contender.
        seconds: of the whole process.
        peak_mib: peak memory, in MiB.
        ready_seconds: from the start until training could begin, None if not reported.
        epochs: in order.
        stopped: whether it was stopped early because it had reached the target.
    """

    name: str
    seconds: float
    peak_mib: float
    ready_seconds: float | None
    epochs: tuple[Epoch, ...]
    stopped: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        epochs = [epoch._asdict() for epoch in self.epochs]
        return dataclasses.asdict(self) | {"epochs": epochs}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Measurement":
        """Return the measurement that `as_dict` was called on."""
        return cls(**{**values, "epochs": tuple(Epoch(**epoch) for epoch in values["epochs"])})


class Line(NamedTuple):
    """When a line of a program's output arrived, in seconds, and its text."""

    at: float
    text: str


@dataclass(frozen=True)
class Watched:
    """Output lines, run time, peak memory of a program, and whether it was stopped early."""

    lines: tuple[Line, ...]
    seconds: float
    peak_mib: float
    stopped: bool


def watch(
    command: Sequence[str],
    *,
    stream: Literal["stdout", "stderr"] = "stdout",
    listener: Callable[[str], str | None] = lambda _line: None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Watched:
    """Run a command to its end, and record when each line of one of its streams arrived.

    Args:
        command: program and arguments.
        stream: that is watched; the other one is kept for the error message.
        listener: is passed each line; when it returns `ENOUGH`, SIGTERM is sent to the command.
        cwd: working directory.
        env: the complete environment; by default that of this process.

    Raises:
        MeasurementError: if the exit status is not 0 although the command was not stopped.
    """
    lines: list[Line] = []
    stopped = False
    with tempfile.TemporaryFile("w+", errors="replace") as other:
        ends: dict[str, Any] = {"stdout": other, "stderr": other} | {stream: subprocess.PIPE}
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, text=True, errors="replace", **ends
        )
        pipe = process.stdout if stream == "stdout" else process.stderr
        assert pipe is not None
        try:
            for text in pipe:
                lines.append(Line(time.perf_counter() - started, text.rstrip("\n")))
                if not stopped and listener(lines[-1].text) == ENOUGH:
                    process.terminate()
                    stopped = True
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            pipe.close()
        # wait4 instead of Popen.wait, because only it reports the memory of this one child
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0 and not stopped:
            other.seek(0)
            written = other.read().splitlines() if stream == "stdout" else [x.text for x in lines]
            raise MeasurementError(_complaint(command, process.returncode, written))
    return Watched(tuple(lines), seconds, _mib(usage.ru_maxrss), stopped)


def measure(
    name: str, command: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Measurement:
    """Run a program that follows the protocol above.

    Raises:
        MeasurementError: if it fails or reports no epoch.
    """
    watched = watch(command, cwd=cwd, env=env)
    ready: float | None = None
    epochs: list[Epoch] = []
    for line in watched.lines:
        event = _event(line.text)
        if event.get("event") == "ready" and ready is None:
            ready = line.at
        elif event.get("event") == "epoch":
            epochs.append(Epoch(event["train_seconds"], event["accuracy"], line.at))
    if not epochs:
        raise MeasurementError(f"{' '.join(command)} ended without an error, but reported no epoch.")
    return Measurement(name, watched.seconds, watched.peak_mib, ready, tuple(epochs))


def _event(text: str) -> dict[str, Any]:
    """Return the JSON object of a line, an empty one if the line is not one."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _mib(maxrss: int) -> float:
    return maxrss / 2**20 if sys.platform == "darwin" else maxrss / 2**10  # bytes there, KiB elsewhere


def _complaint(command: Sequence[str], status: int, written: Sequence[str]) -> str:
    how = f"was killed by signal {-status}" if status < 0 else f"failed with status {status}"
    tail = "\n".join(f"  {line}" for line in written[-TAIL_LINES:]) or "  (nothing)"
    return f"{' '.join(command)} {how}; the end of its standard error:\n{tail}"
