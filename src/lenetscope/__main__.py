"""The process of the command line: ``lenetscope`` and ``python -m lenetscope``.

Importing torch creates very many objects that live until the end. Python would search them for garbage
again and again, and free them one by one in the end: together more than a second of a process that may
take six.
"""

import atexit
import contextlib
import gc
import os
import sys
from typing import NoReturn

from lenetscope.cli import main

OMP_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Variables that say how a thread of OpenMP waits for the others."""


def run() -> NoReturn:
    """Run the command line, then exit without freeing every object."""
    gc.set_threshold(100_000, 50, 100)
    if not any(name in os.environ for name in OMP_WAITING):
        # asleep: a thread that waits by computing takes the core from the one that it waits for as
        # soon as other programs compute, too; read when torch is imported
        os.environ["OMP_WAIT_POLICY"] = "passive"
    try:
        main()
    except SystemExit as ended:
        status = ended.code
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(status if isinstance(status, int) else 0 if status is None else 1)


if __name__ == "__main__":
    run()
