"""Watch a program from outside: how long it took, when it said what, how much memory it needed.

In: a command. Out: a `Measurement`. The program says on standard output, a JSON object a line:

    {"event": "ready"}                                              imported, data at hand
    {"event": "epoch", "train_seconds": 21.4, "accuracy": 0.9871}   after each epoch

Other lines are ignored. All times count from just before the program is started.

The peak of the memory is the kernel's own count for the process that was waited for. It begins with
the memory of the process that starts it, so whoever measures must be small: nothing here, nor in
what imports this, may import torch before the last measurement is done.
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
"""How much of what a failed program wrote on standard error is repeated."""

ENOUGH = "enough"
"""What a listener returns to have the program stopped."""


class MeasurementError(Exception):
    """A program failed, or did not say what it should."""


class Epoch(NamedTuple):
    """One epoch: seconds of training alone, share right of the test images, when it was said."""

    train_seconds: float
    accuracy: float | None
    at: float


@dataclass(frozen=True)
class Measurement:
    """One run of one program.

    ``ready_seconds`` is None if the program did not say when it was ready; ``stopped`` tells that it
    was asked to stop when it had reached what was wanted.
    """

    name: str
    seconds: float
    peak_mib: float
    ready_seconds: float | None
    epochs: tuple[Epoch, ...]
    stopped: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        epochs = [epoch._asdict() for epoch in self.epochs]
        return dataclasses.asdict(self) | {"epochs": epochs}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Measurement":
        """Return what `as_dict` was made of."""
        return cls(**{**values, "epochs": tuple(Epoch(**epoch) for epoch in values["epochs"])})


class Line(NamedTuple):
    """A line that a program wrote, and when it arrived."""

    at: float
    text: str


@dataclass(frozen=True)
class Watched:
    """What was seen of a program: its lines on the stream that was watched, time and memory."""

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
    """Run a command to its end, and note when each line of one of its streams arrived.

    Args:
        command: program and arguments.
        stream: which of the two is watched; the other is kept for the message if the command fails.
        listener: is given each line; when it returns `ENOUGH`, the command is sent SIGTERM.
        cwd: where it runs.
        env: the whole of its environment; by default this process's.

    Raises:
        MeasurementError: if the command ends with another status than 0 without having been stopped.
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
        # wait4 in the place of Popen.wait, because it alone says what this one child needed
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
    """Run a program that keeps to the protocol above.

    Raises:
        MeasurementError: if it fails, or ends without having told of an epoch.
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
        raise MeasurementError(f"{' '.join(command)} ended well, but told of no epoch.")
    return Measurement(name, watched.seconds, watched.peak_mib, ready, tuple(epochs))


def _event(text: str) -> dict[str, Any]:
    """Return the JSON object of a line, an empty one if the line is something else."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _mib(maxrss: int) -> float:
    return maxrss / 2**20 if sys.platform == "darwin" else maxrss / 2**10  # bytes there, KiB elsewhere


def _complaint(command: Sequence[str], status: int, written: Sequence[str]) -> str:
    how = f"was ended by signal {-status}" if status < 0 else f"failed with status {status}"
    tail = "\n".join(f"  {line}" for line in written[-TAIL_LINES:]) or "  (nothing)"
    return f"{' '.join(command)} {how}; the end of what it wrote on standard error:\n{tail}"
