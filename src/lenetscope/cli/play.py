"""``lenetscope play``: a page on this machine to draw on, and to walk through a network."""

import secrets
import threading
import webbrowser
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lenetscope.cli import app


def play(
    run: Annotated[Path | None, Parameter(help="folder of a run (default: one that ships)")] = None,
    /,
    *,
    host: str = "127.0.0.1",
    port: app.Whole = 8001,
    browser: Annotated[bool, Parameter(show_default=False)] = True,
    token: str | None = None,
    folder: Annotated[Path, Parameter(show_default=False)] = Path(),
    data_dir: app.DataOfRun = None,
    as_json: app.Json = False,
) -> None:
    """Open a page in the browser: draw a digit, and walk through the network.

    Parameters
    ----------
    host
        address to listen on; 0.0.0.0 is every address of this machine, for other machines too
    port
        to listen on; 0 takes a free one
    browser
        open the page in the browser (default)
    token
        that visitors must know (default: none on this machine, a random one for others)
    folder
        where runs that are trained in the page are put, in runs, and kept drawings, in digits
        (default: the current folder)
    """
    from lenetscope.arguments import require_whole
    from lenetscope.errors import UsageError
    from lenetscope.serving.server import Server, listen

    require_whole("--port", port, 0, 65535)
    if token is not None and not token.strip():
        raise UsageError("--token must not be empty.")
    listener, url = listen(host, port)  # first, for it takes no time
    with listener:
        from lenetscope.playground import Limits
        from lenetscope.playground.app import make_app
        from lenetscope.playground.guard import is_this_machine
        from lenetscope.playground.lab import Lab
        from lenetscope.runs.folder import Run

        app.prepare_process(0)
        lab = Lab(Run.open(run) if run else None, folder, data_dir)
        if token is None and not is_this_machine(host):
            token = secrets.token_urlsafe(12)
        if token:
            url = f"{url}/?token={token}"
        limits = Limits()
        server = Server(
            make_app(lab, host, token, limits), patience=limits.patience, grace=1, stop=lab.close
        )
        app.show(as_json, {"url": url, "run": lab.first}, f"{url} shows {lab.first}. Ctrl-C ends it.")
        if browser:
            # the socket listens already: the browser waits for the server
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
        server.run([listener])
