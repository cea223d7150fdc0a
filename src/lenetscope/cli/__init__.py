"""The command line: one function a command, which parses, calls and prints.

In: words. Out: what the commands print, and an exit status: 0 done, 1 failed, 2 wrong usage, 130
interrupted.
"""

import os
import sys
from typing import NoReturn

from cyclopts import CycloptsError

# imported because they add their commands to the application
from lenetscope.cli import looking, pictures, training
from lenetscope.cli.app import INTERRUPTED, app, complain, note, one_line
from lenetscope.errors import LenetscopeError

__all__ = ["app", "looking", "main", "pictures", "training"]


def main(words: list[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    try:
        app(words, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
        status = 0
    except CycloptsError as error:
        command = " ".join(("lenetscope", *(error.command_chain or ())))
        note(f"lenetscope: {one_line(error)} See: {command} --help")
        status = 2
    except LenetscopeError as error:
        complain(error)
        status = error.exit_status
    except KeyboardInterrupt:
        note("lenetscope: interrupted.")
        status = INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status)
