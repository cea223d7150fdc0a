"""Measures ``lenetscope serve``: latency of single pictures, and images per second of a crowd.

Writes ``serve.json`` with every measurement and ``serve.md``. The network of the recipe ``reference``
is trained for some steps, exported, and served by the real command in a process of its own, once as
ONNX and once as a program of PyTorch. The load comes from wrk if it is installed, else from the clients
below, which take much more of the processor, so that speeds are lower. Both run on the same machine.
"""

import asyncio
import base64
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from benchmarks import inference, machine
from lenetscope.export import FORMATS
from lenetscope.export.exportable import Exportable
from lenetscope.files import write_json, write_text

LUA = """
local file = io.open(os.getenv("BODY"), "rb")
wrk.method, wrk.body = "POST", file:read("*a")
wrk.headers["Content-Type"] = os.getenv("KIND")
function done(summary, latency)
  local e = summary.errors
  print(string.format(
    'RESULT {"requests": %d, "seconds": %f, "failed": %d, "p50_ms": %f, "p95_ms": %f}',
    summary.requests, summary.duration / 1e6, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50) / 1000, latency:percentile(95) / 1000))
end
"""
"""What wrk sends, and how it reports."""


class Load(NamedTuple):
    """What clients send over and over.

    Attributes:
        name: for the table.
        images: per request.
        connections: that are open, each with one request at a time.
        kind: of the body.
    """

    name: str
    images: int
    connections: int
    kind: str


LOADS = (
    Load("a PNG, 1 connection", 1, 1, "image/png"),
    Load("a PNG, 16 connections", 1, 16, "image/png"),
    Load("a PNG, 100 connections", 1, 100, "image/png"),
    Load("numbers of 32 images, 4 connections", 32, 4, "application/json"),
    Load("base64 of 32 PNG, 4 connections", 32, 4, "application/json"),
)


def main(out: Path, smoke: bool) -> None:
    """Measure, and write JSON and table into ``out``.

    Args:
        out: folder, created if necessary.
        smoke: only check that everything works; the numbers are meaningless then.
    """
    machine.configure()
    arch = inference.trained(steps=20 if smoke else 300)
    assert arch.splits is not None
    assert arch.recipe is not None
    assert arch.image_shape is not None
    assert arch.classes is not None
    exportable = Exportable.of(arch.model, arch.recipe, arch.image_shape, arch.classes, {})
    images = np.asarray(arch.splits.test.images[:32])
    seconds, rounds = (0.3, 1) if smoke else (10.0, 3)
    client = "wrk" if shutil.which("wrk") else "asyncio"
    results: dict[str, Any] = {"machine": machine.describe(), "smoke": smoke, "client": client}
    results["rounds"] = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            for name in ("onnx", "pt2"):
                machine.log(f"serve: {name}, round {number + 1} of {rounds}")
                file = Path(folder) / name / FORMATS.get(name).file
                if not file.exists():
                    file.parent.mkdir()
                    FORMATS.get(name).write(exportable, arch.splits, file)
                with serving(file) as port:
                    for load in LOADS:
                        row = measure(port, load, body_of(load, images), seconds, client)
                        results["rounds"].append({"round": number, "format": name} | row)
                        write_json(out / "serve.json", results)
    write_text(out / "serve.md", report(results))


@contextmanager
def serving(model: Path) -> Iterator[int]:
    """Serve a model in a process, and yield its port.

    Raises:
        RuntimeError: if it does not end as it should.
    """
    command = [sys.executable, "-m", "lenetscope", "serve", str(model), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield int(json.loads(process.stdout.readline())["url"].rpartition(":")[2])
            process.send_signal(signal.SIGTERM)
            if status := process.wait(30):
                raise RuntimeError(f"the server ended with {status}")
        finally:
            process.kill()


def body_of(load: Load, images: np.ndarray) -> bytes:
    """Return the body of a request with the first of some images (N, 1, H, W)."""
    files = [_png(image[0]) for image in images[: load.images]]
    if load.kind == "image/png":
        return files[0]
    if load.name.startswith("base64"):
        return json.dumps({"images": [base64.b64encode(file).decode() for file in files]}).encode()
    return json.dumps({"images": images[: load.images, 0].tolist()}).encode()


def measure(port: int, load: Load, body: bytes, seconds: float, client: str) -> dict[str, Any]:
    """Send requests for so long, after a tenth of the time that does not count.

    Returns:
        The load, requests, requests that failed, images per second, and latencies in ms.
    """
    send = _wrk if client == "wrk" else _asyncio
    send(port, load, body, seconds / 10)
    found = send(port, load, body, seconds)
    speed = load.images * found["requests"] / found["seconds"]
    return {"load": load.name, **found, "images_per_second": speed}


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _wrk(port: int, load: Load, body: bytes, seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "body").write_bytes(body)
        (Path(folder) / "load.lua").write_text(LUA, "utf-8")
        command = ["wrk", "-t1", f"-c{load.connections}", f"-d{max(1, round(seconds))}"]
        command += ["-s", f"{folder}/load.lua", f"http://127.0.0.1:{port}/predict"]
        names = os.environ | {"BODY": f"{folder}/body", "KIND": load.kind}
        done = subprocess.run(command, env=names, capture_output=True, text=True, check=True)
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    return json.loads(line.removeprefix("RESULT "))  # type: ignore[no-any-return]


def _asyncio(port: int, load: Load, body: bytes, seconds: float) -> dict[str, Any]:
    head = f"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: {load.kind}\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    latencies: list[float] = []
    failed = 0

    async def ask(until: float) -> None:
        nonlocal failed
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        started = 0.0
        while started < until:  # at least once
            started = time.perf_counter()
            writer.write(request)
            answer = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = answer.partition(b"content-length:")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
            latencies.append(1000 * (time.perf_counter() - started))
            failed += not answer.startswith(b"http/1.1 200 ")
        writer.close()

    async def crowd() -> None:
        until = time.perf_counter() + seconds
        await asyncio.gather(*(ask(until) for _ in range(load.connections)))

    started = time.perf_counter()
    asyncio.run(crowd())
    taken = time.perf_counter() - started
    p50, p95 = np.percentile(latencies, [50, 95])
    row = {"requests": len(latencies), "seconds": taken, "failed": failed}
    return row | {"p50_ms": float(p50), "p95_ms": float(p95)}


def report(results: Mapping[str, Any]) -> str:
    """Return the table, in Markdown: medians of the rounds."""
    rows: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in results["rounds"]:
        rows.setdefault((row["format"], row["load"]), []).append(row)
    head = ["", "sent", "images/s (rounds)", "p50, ms", "p95, ms", "requests", "failed"]
    lines = []
    for (name, load), group in rows.items():
        speeds = [row["images_per_second"] for row in group]
        median = {key: float(np.median([row[key] for row in group])) for key in ("p50_ms", "p95_ms")}
        lines.append(
            [
                name,
                load,
                f"{np.median(speeds):,.0f} ({min(speeds):,.0f} to {max(speeds):,.0f})",
                f"{median['p50_ms']:.2f}",
                f"{median['p95_ms']:.2f}",
                f"{sum(row['requests'] for row in group):,}",
                f"{sum(row['failed'] for row in group):,}",
            ]
        )
    return (
        "# Serving\n\n"
        + ("A smoke run: the numbers are meaningless.\n\n" if results["smoke"] else "")
        + machine.table(head, lines)
        + f"\nMedians of the rounds. Server and clients ({results['client']}, 1 thread) share the "
        f"machine. {machine.sentence(results['machine'])}\n"
    )
