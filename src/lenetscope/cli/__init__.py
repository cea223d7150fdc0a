"""The command line: one file per command, which parses, calls and prints.

Exit statuses: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
"""

import os
import sys
from typing import NoReturn

from cyclopts import CycloptsError

from lenetscope.cli import app, hints
from lenetscope.errors import INTERRUPTED, LOST_PROCESS, UsageError, ending


def main(words: list[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    status = 0
    try:
        words = hints.understood(sys.argv[1:] if words is None else words)
        app.app(words, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except CycloptsError as error:
        app.complain(hints.message(error))
        status = 2
    except BaseException as error:
        if not (end := ending(error)):
            raise
        status, line = end
        # of several processes on a machine, one tells what happens to all
        alone = status not in (UsageError.exit_status, INTERRUPTED) and line != LOST_PROCESS
        if line and (alone or os.environ.get("LOCAL_RANK", "0") == "0"):
            app.complain(line)
    sys.exit(status)
