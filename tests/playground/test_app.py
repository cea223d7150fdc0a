"""Requests, right and wrong: each gets an answer, and the server lives."""

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lenetscope.playground import Limits
from lenetscope.playground.answers import ANSWERS
from lenetscope.playground.lab import EXAMPLE, example
from report_runs import make_run
from visitors import Playground, serve

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("name", ANSWERS.names())
def test_any_field_with_any_value_is_answered(playground: Playground, name: str) -> None:
    fields = ANSWERS.get(name).fields

    @settings(max_examples=15, suppress_health_check=list(HealthCheck))
    @given(st.dictionaries(st.sampled_from([*fields, "other"]), json_values, min_size=1, max_size=3))
    def ask(body: dict[str, Any]) -> None:
        status, answer = playground.ask(name, body)
        assert status in (200, 422)
        if status == 422:
            assert set(answer) == {"error"}
            assert "\n" not in answer["error"]

    ask()
    assert playground.ask("network")[0] == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"\xff\xfe", 400),
        (b"[" * 100_000, 400),
        (b'{"run": NaN}', 422),
        (b'{"run": "..' + b"/.." * 9 + b'"}', 422),
        (b'{"epoch": 99}', 422),
        (b'{"epoch": -1}', 422),
        (b'{"epoch": 1e400}', 422),
        (b'{"wrong": 1}', 422),
    ],
)
def test_what_is_wrong_is_told(playground: Playground, body: bytes, status: int) -> None:
    found, answer = playground.ask("weights", body)
    assert (found, set(answer)) == (status, {"error"})


def test_the_message_names_what_is_allowed(playground: Playground) -> None:
    _, answer = playground.ask("weights", {"epoch": 3})
    assert answer["error"].endswith("run has no snapshot of epoch 3; it has: 0, 1, 2, 4, 6.")
    _, answer = playground.ask("weights", {"run": "exampel"})
    assert answer["error"] == "unknown run 'exampel'; did you mean 'example'? Known: 'example'."


@pytest.fixture
def small(tmp_path: Any) -> Iterator[Playground]:
    """A playground with a limit of 1,000 bytes, and none that may wait."""
    yield from serve(tmp_path, limits=Limits(max_bytes=1000, max_waiting=0, max_listeners=1))


def test_limits_are_kept(small: Playground, playground: Playground) -> None:
    assert small.ask("network")[0] == 503
    for place, status in ((small, 503), (playground, 413)):
        host, port = place.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            head = "POST /api/network HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            connection.sendall(f"{head}Content-Length: 20000000\r\n\r\n".encode())
            connection.settimeout(20)
            try:
                for _ in range(20):
                    connection.sendall(b" " * 1_000_000)
            except OSError:
                pass  # it was cut off
            assert f"HTTP/1.1 {status}".encode() in connection.recv(4096)


def test_a_listener_too_many_is_sent_away(small: Playground) -> None:
    host = small.url.removeprefix("http://")
    first = http.client.HTTPConnection(host, timeout=20)
    first.request("GET", "/api/events")
    assert first.getresponse().fp.readline().strip()  # the stream has begun
    second = http.client.HTTPConnection(host, timeout=20)
    second.request("GET", "/api/events")
    assert second.getresponse().status == 503
    first.close()
    second.close()


def test_events_tell_the_latest_first_and_then_what_is_new(playground: Playground) -> None:
    playground.lab.events.publish("test", {"n": 1})
    playground.lab.events.publish("test", {"n": 2})
    connection = http.client.HTTPConnection(playground.url.removeprefix("http://"), timeout=20)
    connection.request("GET", "/api/events")
    stream = connection.getresponse()

    def heard() -> list[int]:
        found = []
        while not found:
            line = stream.fp.readline().decode()
            if line.startswith("data:"):
                found.append(json.loads(line[5:])["n"])
        return found

    assert heard() == [2]
    playground.lab.events.publish("test", {"n": 3})
    assert heard() == [3]
    connection.close()


def test_no_other_file_is_served(playground: Playground) -> None:
    connection = http.client.HTTPConnection(playground.url.removeprefix("http://"), timeout=20)
    for path in (
        "/play/../lab.py",
        "/play/%2e%2e%2flab.py",
        "/play/lab.py",
        "/report/template.html",
        "/x/y",
    ):
        connection.request("GET", path)
        response = connection.getresponse()
        assert response.status == 404
        response.read()
    connection.close()


def test_weights_are_those_of_the_epoch(playground: Playground) -> None:
    run = example()
    for epoch in (0, None):
        status, data = playground.ask("weights", {"epoch": epoch})
        assert status == 200
        values = np.frombuffer(data, "<f4")
        expected = run.load_model(epoch).state_dict()
        first = torch.cat([expected["conv1.weight"].flatten(), expected["conv1.bias"]])
        assert torch.equal(torch.from_numpy(values[: len(first)].copy()), first)
        assert len(values) == sum(tensor.numel() for tensor in expected.values())


def test_the_run_that_ships_is_what_it_says(playground: Playground) -> None:
    status, facts = playground.ask("network")
    assert status == 200
    assert facts["run"] == EXAMPLE
    assert facts["accuracy"] == "99.41 %"
    assert facts["epochs"] == [0, 1, 2, 4, 6]
    scores = playground.lab.run().inspection.scores
    assert (scores.n, scores.errors) == (10_000, 59)


@pytest.mark.slow
def test_a_run_of_ones_own_is_shown(tmp_path: Any, idx_folder: Any) -> None:
    run = make_run(tmp_path / "mine", idx_folder, epochs=1)
    for place in serve(tmp_path, run):
        facts = place.ask("network")[1]
        assert (facts["run"], facts["runs"], len(facts["classes"])) == ("mine", ["mine"], 3)
        assert place.ask("network", {"run": EXAMPLE})[0] == 422
