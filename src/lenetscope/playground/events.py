"""What happens on the server, told to every page that listens: server-sent events."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

KEEP_ALIVE = 15.0
"""Seconds after which a silent stream sends a comment, so that a page that went away is noticed."""


class Events:
    """A channel to which any thread publishes, and from which pages hear the latest of each kind.

    A page that is slow misses what was replaced in the meantime, and no queue grows.
    """

    def __init__(self) -> None:
        self._latest: dict[str, Any] = {}
        self._changed: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self._numbers: dict[str, int] = {}
        self._lock = threading.Lock()
        self._closed = False

    def close(self) -> None:
        """End all streams."""
        self._closed = True
        self._wake()

    def publish(self, kind: str, value: Any) -> None:
        """Tell all pages what is the latest of a kind."""
        with self._lock:
            self._latest[kind] = value
            self._numbers[kind] = self._numbers.get(kind, 0) + 1
        self._wake()

    def _wake(self) -> None:
        """Let all streams look for news."""
        with self._lock:
            listeners = list(self._changed.items())
        for event, loop in listeners:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)

    @property
    def listeners(self) -> int:
        """How many pages listen."""
        return len(self._changed)

    async def stream(self) -> AsyncIterator[str]:
        """Yield events as text, beginning with the latest of each kind."""
        changed, told = asyncio.Event(), dict[str, int]()
        with self._lock:
            self._changed[changed] = asyncio.get_running_loop()
        try:
            yield "retry: 1000\n\n"
            while not self._closed:
                changed.clear()
                with self._lock:
                    news = {k: self._latest[k] for k, n in self._numbers.items() if told.get(k) != n}
                    told = dict(self._numbers)
                for kind, value in news.items():
                    yield f"event: {kind}\ndata: {json.dumps(value)}\n\n"
                try:
                    await asyncio.wait_for(changed.wait(), KEEP_ALIVE)
                except TimeoutError:
                    yield ": still here\n\n"
        finally:
            with self._lock:
                del self._changed[changed]
