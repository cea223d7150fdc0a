"""Crowds, slow and broken clients, and an end in order."""

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest

from lenetscope.errors import UsageError
from lenetscope.serving.server import listen
from serving.conftest import Client, brightness, png, served

HEAD = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\n"
GREYS = [png(np.full((4, 5), level, dtype=np.uint8)) for level in range(100)]


class Gate:
    """Computes only once it is opened."""

    def __init__(self) -> None:
        self.opened = threading.Event()

    def __call__(self, images: np.ndarray) -> np.ndarray:
        assert self.opened.wait(20)
        return brightness(images)


@contextmanager
def connected(client: Client, data: bytes) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", client.port), timeout=20) as connection:
        connection.sendall(data)
        yield connection


def received(connection: socket.socket) -> bytes:
    """Return all that comes until the connection is closed."""
    data = b""
    while part := connection.recv(65536):
        data += part
    return data


def until(client: Client, requests: int) -> None:
    """Wait until so many predictions are in progress."""
    while client.metric("lenetscope_requests_in_progress") < requests:
        time.sleep(0.01)


def test_a_hundred_at_once_get_their_own_answers_in_shared_passes() -> None:
    gate = Gate()
    with served(gate) as client, ThreadPoolExecutor(100) as crowd:
        answers = [crowd.submit(client.predict, each, "image/png") for each in GREYS]
        until(client, 100)
        gate.opened.set()
        for level, answer in enumerate(answers):
            status, found = answer.result()
            assert status == 200
            bright = found["predictions"][0]["probabilities"]["bright"]
            assert bright == pytest.approx(level / 255, abs=1e-6)
        # one for whoever was first, and the others in batches of at most 64
        assert client.metric("lenetscope_batch_images_sum") == 100
        assert client.metric("lenetscope_batch_images_count") <= 4


def test_more_than_the_limit_are_sent_away_and_the_others_are_answered() -> None:
    gate = Gate()
    with served(gate, max_requests=2) as client, ThreadPoolExecutor(2) as crowd:
        answers = [crowd.submit(client.predict, each, "image/png") for each in GREYS[:2]]
        until(client, 2)
        status, headers, body = client.ask("POST", "/predict", GREYS[2], "image/png")
        assert (status, headers["retry-after"]) == (503, "1")
        assert "busy with 2 requests" in json.loads(body)["error"]
        assert client.ask("GET", "/health")[0] == 200
        gate.opened.set()
        assert [answer.result()[0] for answer in answers] == [200, 200]
        assert client.predict(GREYS[2], "image/png")[0] == 200


def test_a_prediction_that_takes_too_long_is_given_up() -> None:
    gate = Gate()
    with served(gate, timeout=0.2) as client:
        status, headers, body = client.ask("POST", "/predict", GREYS[0], "image/png")
        assert (status, headers["retry-after"]) == (503, "1")
        assert "no prediction within 0.2 s" in json.loads(body)["error"]
        gate.opened.set()
        assert client.metric("lenetscope_requests_in_progress") == 0


def test_a_body_that_does_not_arrive_is_given_up() -> None:
    with (
        served(timeout=0.2) as client,
        connected(client, HEAD + b"Content-Length: 99\r\n\r\nabc") as slow,
    ):
        answer = received(slow)
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"did not arrive within 0.2 s" in answer


def test_connections_on_which_nothing_goes_on_are_closed() -> None:
    with served(timeout=0.2) as client:
        with connected(client, b"") as silent, connected(client, HEAD) as slow:
            assert client.predict(GREYS[0], "image/png")[0] == 200
            for connection in (silent, slow):
                assert received(connection) == b""
        assert client.ask("GET", "/health")[0] == 200


def test_whoever_leaves_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    with served() as client:
        for data in (b"", b"?", HEAD, HEAD + b"Content-Length: 99\r\n\r\nabc"):
            with connected(client, data):
                pass
        left = 'lenetscope_requests_total{path="/predict",status="499"}'
        while client.metric(left) < 1:
            time.sleep(0.01)
        assert client.predict(GREYS[0], "image/png")[0] == 200
    assert caplog.text == ""


@pytest.mark.parametrize(
    "data",
    [
        b"\0\xff\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: 1_0\r\n\r\n0123456789",
        HEAD + b"Content-Length: " + b"9" * 99 + b"\r\n\r\n",
        HEAD + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde",
        HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        HEAD + b"X: " + b"a" * 200_000 + b"\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: [\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: [\xff\r\nConnection: close\r\n\r\n",
    ],
)
def test_no_bytes_are_a_fault(data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with served(timeout=0.2) as client:
        with connected(client, data) as connection:
            connection.shutdown(socket.SHUT_WR)
            try:
                answer = received(connection)
            except ConnectionResetError:
                answer = b""
        assert not re.search(rb"HTTP/1.1 5\d\d", answer)
        assert client.predict(GREYS[0], "image/png")[0] == 200
    assert "Traceback" not in caplog.text


def test_what_has_begun_is_finished() -> None:
    gate = Gate()
    with ThreadPoolExecutor(1) as crowd, served(gate) as client, connected(client, HEAD) as half:
        whole = crowd.submit(client.predict, GREYS[7], "image/png")
        half.sendall(f"Content-Length: {len(GREYS[9])}\r\n\r\n".encode() + GREYS[9][:20])
        until(client, 2)
        threading.Timer(0.5, gate.opened.set).start()
        threading.Timer(0.6, half.sendall, [GREYS[9][20:]]).start()
        client.stop()
        assert whole.result()[0] == 200
        answer = received(half)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"0.0352" in answer  # 9 / 255
        with pytest.raises(ConnectionRefusedError):
            client.ask("GET", "/health")


def test_a_port_that_is_taken_is_told() -> None:
    taken, url = listen("127.0.0.1", 0)
    port = int(url.rpartition(":")[2])
    assert url == f"http://127.0.0.1:{port}"
    with taken, pytest.raises(UsageError, match=rf"cannot listen on port {port} .*in use.*--port 0"):
        listen("127.0.0.1", port)
    for host in ("192.0.2.1", "no such host", "a" * 100):
        with pytest.raises(UsageError, match="cannot listen on port 0"):
            listen(host, 0)
