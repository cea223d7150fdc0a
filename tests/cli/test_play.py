"""``lenetscope play``."""

import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from lenetscope.serving.server import listen

Cli = Callable[..., tuple[int, str, str]]


def test_what_cannot_be_played_is_told_at_once(cli: Cli, tmp_path: Path) -> None:
    taken, url = listen("127.0.0.1", 0)
    with taken:
        status, out, err = cli("play", "--no-browser", "--port", url.rpartition(":")[2])
        assert (status, out, len(err.splitlines())) == (2, "", 1)
        assert "in use" in err
    for words in (["--port", 70000], ["--token", " "], ["--host", "no such host"]):
        status, out, err = cli("play", "--no-browser", *words)
        assert (status, out, len(err.splitlines())) == (2, "", 1)
    status, out, err = cli("play", tmp_path / "nothing", "--port", 0, "--no-browser")
    assert (status, out, len(err.splitlines())) == (1, "", 1)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_the_page_and_ends_in_order(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "lenetscope", "play", "--port", "0", "--no-browser", "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            told = json.loads(process.stdout.readline())
            assert told["run"] == "example"
            page = http.client.HTTPConnection(told["url"].removeprefix("http://"), timeout=60)
            page.request("GET", "/api/events")
            with closing(page), page.getresponse() as stream:
                assert stream.status == 200
                process.send_signal(number)  # a page that is open does not hold up the end
                assert process.wait(10) == 0
                assert process.stderr.read() == b""
        finally:
            process.kill()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_other_machines_need_a_token(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lenetscope", "play", "--host", "0.0.0.0", "--port", "0"]
    with subprocess.Popen(
        [*command, "--no-browser"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    ) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline().decode()
            address, _, token = line.split()[0].partition("/?token=")
            assert len(token) >= 16
            port = int(address.rpartition(":")[2])
            for path, status in (("/", 401), (f"/?token={token}", 303)):
                with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as page:
                    page.request("GET", path)
                    assert page.getresponse().status == status
        finally:
            process.kill()
