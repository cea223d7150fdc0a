"""Measures ``lenetscope play`` in Chromium: how long a visitor waits, and what a page keeps in memory.

Writes ``play.json`` with every measurement and ``play.md``. Server and browser are the real ones, in
processes of their own on the same machine; the browser draws with software, without a GPU. Of each
movement of the pen the page measures how long it takes until the frame is painted that shows the new
probabilities and the maps in view.
"""

import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import machine
from lenetscope.files import write_json, write_text

CHROMIUM = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
VISITORS = 8

WATCH = """() => {
  const { page } = lenetscope, waits = [];
  let since = 0;
  document.getElementById("pad").addEventListener("pointermove", (event) => {
    if (event.buttons) since ||= event.timeStamp;
  }, { capture: true });
  page.on("run", () => {
    const from = since;
    since = 0;
    if (from) requestAnimationFrame(() => {  // the frame that shows it, unless this is in it already
      const painted = new MessageChannel();
      painted.port1.onmessage = () => waits.push(performance.now() - from);
      painted.port2.postMessage(null);
    });
  });
  window.waits = waits;
}"""


class Network(NamedTuple):
    """A network that is shown.

    Attributes:
        name: for the table.
        recipe: that is trained for an epoch; None for the run that ships.
    """

    name: str
    recipe: str | None


NETWORKS = (Network("the run that ships (lean)", None), Network("reference, 1 epoch", "reference"))


def main(out: Path, smoke: bool) -> None:
    """Measure, and write JSON and table into ``out``.

    Args:
        out: folder, created if necessary.
        smoke: only check that everything works; the numbers are meaningless then.
    """
    from playwright.sync_api import sync_playwright

    moves, strokes, visitors, rounds = (5, 3, 2, 1) if smoke else (300, 1000, VISITORS, 2)
    results: dict[str, Any] = {"machine": machine.describe(), "smoke": smoke, "rounds": []}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium") or "/usr/bin/chromium", args=CHROMIUM
        )
        for network in NETWORKS[:1] if smoke else NETWORKS:
            run = _trained(network, Path(folder))
            for number in range(rounds):
                machine.log(f"play: {network.name}, round {number + 1} of {rounds}")
                started = time.perf_counter()
                with serving(run, Path(folder)) as url:
                    # memory is measured once: a thousand strokes take minutes
                    many = strokes if network is NETWORKS[0] and not number else 0
                    row = {"network": network.name, "round": number} | measure(
                        browser, url, started, moves, many, visitors
                    )
                results["rounds"].append(row)
                write_json(out / "play.json", results)
        browser.close()
    write_text(out / "play.md", report(results))


@contextmanager
def serving(run: Path | None, folder: Path) -> Iterator[str]:
    """Start a playground in a process, and yield its address."""
    command = [sys.executable, "-m", "lenetscope", "play", "--port", "0", "--no-browser", "--json"]
    with subprocess.Popen(
        [*command, *([str(run)] if run else [])], stdout=subprocess.PIPE, cwd=folder
    ) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()


def measure(
    browser: Any, url: str, started: float, moves: int, strokes: int, visitors: int
) -> dict[str, Any]:
    """Visit a playground that was started at a time, and return what was measured."""
    page = _opened(browser, url)
    usable = time.perf_counter() - started
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    page.evaluate(WATCH)
    _draw(page, moves, seed=0)
    alone = page.evaluate("waits")
    before = _memory(browser, page)
    for number in range(strokes):
        _draw(page, 3, seed=number, slowly=False)
        if number % 7 == 6:
            page.locator("#clear").click()
    grown = _memory(browser, page) - before
    crowd = [_opened(browser, url) for _ in range(visitors)]
    for each in crowd:
        each.evaluate(WATCH)
    # at once: each page draws by itself, as fast as a hand does
    for each in crowd:
        each.evaluate(SCRIBBLE, moves)
    for each in crowd:
        while each.evaluate("window.scribbled !== true"):
            each.wait_for_timeout(50)
    together = [wait for each in crowd for wait in each.evaluate("waits")]
    for each in (page, *crowd):
        each.context.close()
    return {
        "usable_s": usable,
        "first_paint_ms": paint,
        "stroke_ms": alone,
        "visitors_ms": together,
        "grown_mb": grown / 1e6 if strokes else None,
    }


SCRIBBLE = """(moves) => {
  const pad = document.getElementById("pad"), box = pad.getBoundingClientRect();
  const send = (kind, i, buttons) => pad.dispatchEvent(new PointerEvent(kind, {
    clientX: box.left + box.width * (0.5 + 0.35 * Math.cos(i / 9)),
    clientY: box.top + box.height * (0.5 + 0.35 * Math.sin(i / 7)),
    buttons, isPrimary: true, pointerId: 1, bubbles: true, cancelable: true,
  }));
  pad.setPointerCapture = () => {};
  let i = 0;
  send("pointerdown", 0, 1);
  const timer = setInterval(() => {
    send("pointermove", ++i, 1);
    if (i < moves) return;
    clearInterval(timer);
    send("pointerup", i, 0);
    setTimeout(() => { window.scribbled = true; }, 500);
  }, 25);
}"""
"""Draws a curve, 40 movements a second; sent from here, movements of eight pages would queue."""


def _opened(browser: Any, url: str) -> Any:
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    page.goto(url)
    page.wait_for_selector("html[data-ready]")
    return page


def _draw(page: Any, moves: int, seed: int, slowly: bool = True) -> None:
    """Draw a stroke of so many movements; slowly: at most 40 a second."""
    box = page.locator("#pad").bounding_box()
    pen = random.Random(seed)
    x, y = pen.random(), pen.random()
    page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
    page.mouse.down()
    for _ in range(moves):
        x = min(0.95, max(0.05, x + pen.uniform(-0.08, 0.08)))
        y = min(0.95, max(0.05, y + pen.uniform(-0.08, 0.08)))
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        if slowly:
            page.wait_for_timeout(25)
    page.mouse.up()
    page.wait_for_timeout(60)


def _memory(browser: Any, page: Any) -> int:
    """Return the private bytes of the processes that draw pages, after garbage was collected."""
    page.context.new_cdp_session(page).send("HeapProfiler.collectGarbage")
    page.wait_for_timeout(1000)
    processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    total = 0
    for number in (each["id"] for each in processes if each["type"] == "renderer"):
        lines = Path(f"/proc/{number}/smaps_rollup").read_text("utf-8").splitlines()
        total += sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Private_"))
    return total


def _trained(network: Network, folder: Path) -> Path | None:
    """Return the folder of a run that was trained for an epoch."""
    if network.recipe is None:
        return None
    run = folder / "runs" / network.recipe
    words = ["train", "--recipe", network.recipe, "--epochs", "1", "--run-dir", str(run)]
    subprocess.run([sys.executable, "-m", "lenetscope", *words], check=True, capture_output=True)
    return run


def report(results: Mapping[str, Any]) -> str:
    """Return the table, in Markdown: medians of the rounds, percentiles over all movements."""
    head = [
        "network",
        "command to usable page, s",
        "first paint, ms",
        "stroke to painted, p50 and p95, ms",
        f"{VISITORS} visitors at once, p95, ms",
        "memory after 1,000 strokes, MB",
    ]
    lines = []
    for network in dict.fromkeys(row["network"] for row in results["rounds"]):
        rows = [row for row in results["rounds"] if row["network"] == network]
        p50, p95 = np.percentile([wait for row in rows for wait in row["stroke_ms"]], [50, 95])
        crowd = np.percentile([wait for row in rows for wait in row["visitors_ms"]], 95)
        usable = [row["usable_s"] for row in rows]
        lines.append(
            [
                network,
                f"{np.median(usable):.1f} ({min(usable):.1f} to {max(usable):.1f})",
                f"{np.median([row['first_paint_ms'] for row in rows]):.0f}",
                f"{p50:.0f} and {p95:.0f}",
                f"{crowd:.0f}",
                "not measured" if rows[0]["grown_mb"] is None else f"{rows[0]['grown_mb']:+.1f}",
            ]
        )
    return (
        "# The playground\n\n"
        + ("A smoke run: the numbers are meaningless.\n\n" if results["smoke"] else "")
        + machine.table(head, lines)
        + "\nServer and Chromium (headless, software rendering) share the machine, also with eight "
        "visitors. Memory: private bytes of the process that draws the page, on Linux. "
        f"{machine.sentence(results['machine'])}\n"
    )
