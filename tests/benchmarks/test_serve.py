"""The computations of the benchmark of the server, and that both of its clients count alike."""

import base64
import json

import numpy as np
import pytest

from benchmarks import inference, machine, serve
from lenetscope import Architecture
from serving.conftest import served

IMAGES = np.random.default_rng(0).integers(0, 256, (32, 1, 4, 5), dtype=np.uint8)


def test_bodies_hold_what_their_loads_say() -> None:
    single, _, _, numbers, texts = (serve.body_of(load, IMAGES) for load in serve.LOADS)
    assert single.startswith(b"\x89PNG")
    assert np.array_equal(json.loads(numbers)["images"], IMAGES[:, 0])
    files = [base64.b64decode(text) for text in json.loads(texts)["images"]]
    assert (len(files), files[0]) == (32, single)


@pytest.mark.parametrize("load", [serve.LOADS[0], serve.LOADS[1], serve.LOADS[3]], ids=lambda x: x.name)
def test_the_clients_count_what_the_server_counts(load: serve.Load) -> None:
    with served() as client:
        row = serve.measure(client.port, load, serve.body_of(load, IMAGES), 0.3, "asyncio")
        assert row["failed"] == 0
        assert 0 < row["p50_ms"] <= row["p95_ms"]
        assert row["images_per_second"] == pytest.approx(load.images * row["requests"] / row["seconds"])
        warm_up = client.metric("lenetscope_images_total") / load.images - row["requests"]
        assert load.connections <= warm_up <= row["requests"]
        failed = serve.measure(client.port, load, b"?", 0.1, "asyncio")
        assert failed["failed"] == failed["requests"] > 0


def test_the_table_has_medians_of_rounds() -> None:
    rows = [
        {"format": "onnx", "load": "a", "images_per_second": speed, "p50_ms": speed / 1000}
        | {"p95_ms": 9.0, "requests": 1000, "failed": 1}
        for speed in (1000.0, 5000.0, 3000.0)
    ]
    results = {"machine": machine.describe(), "smoke": True, "client": "wrk", "rounds": rows}
    text = serve.report(results)
    assert "| onnx | a | 3,000 (1,000 to 5,000) | 3.00 | 9.00 | 3,000 | 3 |" in text
    assert "meaningless" in text


@pytest.mark.slow
def test_a_smoke_run_writes_numbers_and_a_table(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(inference, "trained", lambda steps: Architecture.from_recipe("reference"))
    serve.main(tmp_path, smoke=True)
    rounds = json.loads((tmp_path / "serve.json").read_text())["rounds"]
    assert {(row["format"], row["load"]) for row in rounds} == {
        (name, load.name) for name in ("onnx", "pt2") for load in serve.LOADS
    }
    assert sum(row["failed"] for row in rounds) == 0
    assert "meaningless" in (tmp_path / "serve.md").read_text()
