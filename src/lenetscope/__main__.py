"""The process of the command line: ``lenetscope`` and ``python -m lenetscope``.

Importing torch creates very many objects that live until the end. Python would search them for garbage
again and again, and free them one by one in the end: together more than a second of a process that may
take six.
"""

import atexit
import contextlib
import gc
import io
import os
import signal
import sys
from types import FrameType
from typing import Any, NoReturn

from lenetscope.errors import INTERRUPTED, StorageError, ending

OMP_WAITING = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "1000"}
"""How threads wait for each other: asleep, with GNU's OpenMP after some microseconds; read as torch is
imported. One that waits by computing takes the core from the one that it waits for as soon as other
programs compute, too: training was up to eight times slower than with one thread."""


class _Output(io.FileIO):
    """Standard output; a full disk is an error of the user's, with its message."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise StorageError(f"cannot write to standard output: {error.strerror}.") from error


class _Messages(io.FileIO):
    """Standard error; what cannot be written is dropped, for the work does not depend on it."""

    def write(self, data: Any) -> int:
        with contextlib.suppress(OSError):
            return super().write(data)
        return len(data)


def run() -> NoReturn:
    """Run the command line, then exit without freeing every object."""
    gc.set_threshold(100_000, 50, 100)
    if not OMP_WAITING.keys() & {*os.environ} and "KMP_BLOCKTIME" not in os.environ:
        os.environ.update(OMP_WAITING)
    status: Any = 0
    try:
        _open_streams()
        _require_folder()
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, _interrupt)
        from lenetscope.cli import main  # here, so that a lack of memory and Ctrl-C are handled

        main()
    except SystemExit as ended:
        status = ended.code
    except BaseException as error:
        if not (end := ending(error)):
            raise
        status, line = end
        sys.stderr.write(f"lenetscope: {line}\n")
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(status if isinstance(status, int) else 0 if status is None else 1)


def _interrupt(_number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt; within an import, where libraries swallow it or abort, exit at once."""
    while frame:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            sys.stderr.write("lenetscope: interrupted.\n")
            os._exit(INTERRUPTED)
        frame = frame.f_back
    raise KeyboardInterrupt


def _open_streams() -> None:
    """Make the three standard streams usable, whatever the caller has closed.

    A file that is opened later never gets the number of a closed one, and with it the messages of
    libraries. A character that the terminal's encoding lacks is written as its number.

    Raises:
        StorageError: if standard output is closed or cannot be written.
    """
    for number, mode in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # gets the lowest number that is free
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115
    sys.stderr = _text(_Messages(2, "w", closefd=False), sys.stderr, line_buffering=True)
    output = _Output(1, "w", closefd=False)
    sys.stdout = _text(output, sys.stdout, line_buffering=output.isatty())
    output.write(b"")


def _require_folder() -> None:
    """Raise if the current folder is gone: libraries end the process with words of their own.

    Raises:
        StorageError: if so.
    """
    try:
        os.getcwd()  # noqa: PTH109  # pathlib, too, is imported under the eyes of `run`
    except OSError as error:
        raise StorageError("the current folder does not exist any more: change to another.") from error


def _text(raw: io.FileIO, before: Any, line_buffering: bool) -> io.TextIOWrapper:
    encoding = before.encoding if before else "utf-8"
    buffer = io.BufferedWriter(raw)
    return io.TextIOWrapper(buffer, encoding, "backslashreplace", line_buffering=line_buffering)


if __name__ == "__main__":
    run()
