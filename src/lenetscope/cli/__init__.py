"""The command line: one file per command, which parses, calls and prints.

Exit statuses: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
"""

import os
import sys
from typing import NoReturn

from cyclopts import CycloptsError

from lenetscope.cli import app
from lenetscope.errors import LenetscopeError


def main(words: list[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    status = 0
    try:
        app.app(words, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except CycloptsError as error:
        command = " ".join(("lenetscope", *(error.command_chain or ())))
        app.complain(f"{error} See: {command} --help")
        status = 2
    except LenetscopeError as error:
        app.complain(error)
        status = error.exit_status
    except KeyboardInterrupt:
        app.complain("interrupted.")
        status = app.INTERRUPTED
    except BrokenPipeError:  # the program that reads our output has ended, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status)
