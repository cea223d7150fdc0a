"""A server in a thread of this process, whose network is computed by hand."""

import http.client
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lenetscope.export.predictor import Predictor
from lenetscope.serving import Limits
from lenetscope.serving.app import make_app
from lenetscope.serving.server import Server, listen

SHAPE = (1, 4, 5)


def png(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    """Return the bytes of a picture file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def brightness(images: np.ndarray) -> np.ndarray:
    """Return (N, 2): the mean pixel over 255 is the probability of "bright"."""
    bright = images.reshape(len(images), -1).mean(axis=1) / 255
    return np.stack([1 - bright, bright], axis=1).astype(np.float32)


@dataclass
class Client:
    """Asks a server, each time on a new connection."""

    port: int
    server: Server | None = None

    def ask(
        self, method: str, path: str, body: Any = None, kind: str | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, names | ({"Content-Type": kind} if kind else {}))
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def predict(self, body: bytes, kind: str | None, **headers: str) -> tuple[int, Any]:
        status, _, answer = self.ask("POST", "/predict", body, kind, **headers)
        return status, json.loads(answer)

    def stop(self) -> None:
        """Tell the server to end, as a signal does."""
        assert self.server is not None
        self.server.should_exit = True

    def metric(self, line: str) -> float:
        """Return the value of a line of /metrics that begins so."""
        text = self.ask("GET", "/metrics")[2].decode()
        return sum(float(each.rsplit(" ", 1)[1]) for each in text.splitlines() if each.startswith(line))


@contextmanager
def served(
    network: Predictor | Callable[[np.ndarray], np.ndarray] = brightness, **limits: Any
) -> Iterator[Client]:
    """Serve a network, or a function of images of the shape `SHAPE`."""
    chosen = Limits(**limits)
    given = isinstance(network, Predictor)
    predictor = network if given else Predictor(("dark", "bright"), SHAPE, network, light_on_dark=True)
    listener, url = listen("127.0.0.1", 0)
    server = Server(make_app(predictor, "by hand", chosen), patience=2 * chosen.timeout, grace=5)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield Client(int(url.rpartition(":")[2]), server)
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def client() -> Iterator[Client]:
    with served(max_images=5, max_bytes=20_000, max_pixels=10_000) as client:
        yield client
