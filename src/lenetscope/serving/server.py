"""The process side of serving: a port, connections that may not linger, and an end in order."""

import socket
import time
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from lenetscope.errors import UsageError
from lenetscope.serving import Limits

BACKLOG = 1024
"""Connections that the system keeps until they are accepted."""


def listen(host: str, port: int) -> tuple[socket.socket, str]:
    """Return a socket that listens, and its URL; port 0 takes any that is free.

    Raises:
        UsageError: if the address is unknown or not of this machine, or the port is taken.
    """
    try:
        (family, _, _, _, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        listener = socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(
            f"cannot listen on port {port} of '{host}': {why}. --port 0 takes a free port."
        ) from error
    shown = f"[{host}]" if ":" in host else host
    return listener, f"http://{shown}:{listener.getsockname()[1]}"


def serve(app: ASGIApp, listener: socket.socket, limits: Limits) -> None:
    """Answer until the process gets SIGINT or SIGTERM; what has begun is finished then."""
    Server(app, patience=2 * limits.timeout, grace=int(limits.timeout) + 5).run([listener])


class Server(uvicorn.Server):
    """Uvicorn, which closes connections on which nothing goes on, and ends a stopped process with 0.

    Args:
        app: to serve.
        patience: seconds that a connection may be in the middle of the same request.
        grace: seconds in which requests may end after the process was stopped.
        stop: is called then, to end answers that would go on.
    """

    def __init__(
        self, app: ASGIApp, *, patience: float, grace: int, stop: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="httptools",
                lifespan="on",
                ws="none",
                log_config=None,
                log_level="error",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=BACKLOG,
                timeout_graceful_shutdown=grace,
            )
        )
        self._patience, self._stop = patience, stop
        self._unchanged: dict[Any, float] = {}

    async def on_tick(self, counter: int) -> bool:
        """Also abort each connection that is in the middle of the same request for too long.

        Requests have their own limit of time; this one is for headers that do not end, and for answers
        that nobody reads.
        """
        if counter % 10 == 0:  # each second
            now = time.monotonic()
            connections: set[Any] = set(self.server_state.connections)  # of httptools
            states = [(each, each.cycle) for each in connections]
            self._unchanged = {state: self._unchanged.get(state, now) for state in states}
            for (connection, _), since in self._unchanged.items():
                if now - since > self._patience:
                    connection.transport.abort()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what has begun; that is what a signal asked for, so it is not raised again."""
        self._stop()
        await super().shutdown(sockets)
        self._captured_signals.clear()
