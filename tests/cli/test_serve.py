"""``lenetscope serve``."""

import http.client
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lenetscope.export.predictor import open_predictor
from lenetscope.serving.server import listen
from serving.conftest import Client, served

Cli = Callable[..., tuple[int, str, str]]


def test_the_server_and_the_command_predict_agree(
    cli: Cli, run: Path, picture: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(run, tmp_path / "run")
    recipe = run / "recipe.toml"
    recipe.write_text(re.sub("^data = .*", 'data = "mnist"', recipe.read_text(), flags=re.MULTILINE))
    pictures = [picture, tmp_path / "light.jpg", tmp_path / "colour.gif", tmp_path / "clear.png"]
    noise = np.random.default_rng(4).integers(0, 256, (50, 70, 4), dtype=np.uint8)
    Image.fromarray(255 - np.array(Image.open(picture))).save(pictures[1])
    Image.fromarray(noise[..., :3]).save(pictures[2])
    Image.fromarray(noise).save(pictures[3])
    _, out, err = cli("predict", run, *pictures, "--json")
    with served(open_predictor(run)) as client:
        for path, wanted in zip(pictures, json.loads(out)["predictions"], strict=True):
            status, answer = client.predict(path.read_bytes(), "image/png")
            (found,) = answer["predictions"]
            assert status == 200
            assert found["label"] == wanted["label"]
            assert found["probabilities"] == pytest.approx(wanted["probabilities"], abs=1e-6)
            assert "warning" in found or path != pictures[1]
            assert ("warning" in found) == (f"{path}: {found.get('warning')}" in err)


def test_what_cannot_be_served_is_told_at_once(cli: Cli, run: Path, tmp_path: Path) -> None:
    taken, url = listen("127.0.0.1", 0)
    with taken:
        status, out, err = cli("serve", run, "--port", url.rpartition(":")[2])
        assert (status, out, len(err.splitlines())) == (2, "", 1)
        assert "in use" in err
    for words in (["--port", 70000], ["--max-batch", 0], ["--timeout", "nan"], ["--threads", -1]):
        status, _, err = cli("serve", run, *words)
        assert (status, err.startswith(f"lenetscope: {words[0]} must be a")) == (2, True)
    assert cli("serve", tmp_path / "nothing", "--port", 0)[0] == 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_serves_a_crowd_and_ends_in_order(
    run: Path, picture: Path, number: signal.Signals
) -> None:
    command = [sys.executable, "-m", "lenetscope", "serve", str(run), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            told = json.loads(process.stdout.readline())
            assert (told["model"], told["classes"]) == (str(run), ["0", "1", "2"])
            client = Client(int(told["url"].rpartition(":")[2]))
            data = picture.read_bytes()
            with ThreadPoolExecutor(100) as crowd:
                answers = list(crowd.map(lambda _: client.predict(data, "image/png"), range(100)))
            assert [status for status, _ in answers] == [200] * 100
            assert {answer["predictions"][0]["label"] for _, answer in answers} == {"1"}
            begun = http.client.HTTPConnection("127.0.0.1", client.port, timeout=60)
            begun.putrequest("POST", "/predict")
            begun.putheader("Content-Type", "image/png")
            begun.putheader("Content-Length", str(len(data)))
            begun.endheaders(data[:30])
            while not client.metric("lenetscope_requests_in_progress"):
                time.sleep(0.01)
            process.send_signal(number)
            with pytest.raises(ConnectionRefusedError):
                while True:
                    socket.create_connection(("127.0.0.1", client.port)).close()
                    time.sleep(0.01)
            begun.send(data[30:])
            answer = begun.getresponse()
            assert (answer.status, b'"label":"1"' in answer.read()) == (200, True)
            assert process.wait(60) == 0
            assert process.stderr.read() == b""
        finally:
            process.kill()
