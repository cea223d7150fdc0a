"""A playground in a thread of this process, and visitors who open it in a browser."""

import http.client
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from lenetscope.playground import Limits
from lenetscope.playground.app import make_app
from lenetscope.playground.lab import Lab
from lenetscope.runs.folder import Run
from lenetscope.serving.server import Server, listen
from report_runs import until


@dataclass
class Playground:
    """A playground that runs; ``lab`` is what it has open, ``url`` where."""

    url: str
    lab: Lab

    def ask(self, name: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Post a request; return the status and the answer, decoded."""
        host = self.url.removeprefix("http://").partition("/")[0]
        connection = http.client.HTTPConnection(host, timeout=60)
        sent = {
            "Content-Type": "application/json",
            **{k.replace("_", "-"): v for k, v in headers.items()},
        }
        content = body if isinstance(body, bytes) else json.dumps({} if body is None else body)
        connection.request("POST", f"/api/{name}", content, sent)
        response = connection.getresponse()
        data = response.read()
        connection.close()
        kind = response.headers.get("content-type", "")
        return response.status, json.loads(data) if kind.startswith("application/json") else data


@dataclass
class Visitor:
    """A page in the browser, and the messages of its console."""

    page: Page
    messages: list[str] = field(default_factory=list)

    def draw(self, *strokes: list[tuple[float, float]]) -> None:
        """Draw on the pad: each stroke is a list of places, from 0 to 1."""
        box = self.page.locator("#pad").bounding_box()
        assert box is not None
        for stroke in strokes:
            places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
            self.page.mouse.move(*places[0])
            self.page.mouse.down()
            for place in places[1:]:
                self.page.mouse.move(*place, steps=8)
            self.page.mouse.up()

    def unfold(self) -> None:
        """Show the steps from the drawing to the input, which can be left out."""
        if not self.page.locator("#steps").is_visible():
            self.page.locator(".fold summary").click()

    def until(self, expression: str, seconds: float = 20) -> None:
        """Wait until an expression of the page is true; ``page`` in it is that of ``page.js``."""
        until(self.page, f"(() => {{ const page = lenetscope.page; return {expression} }})()", seconds)

    def value(self, expression: str) -> Any:
        """Return an expression of the page; ``page`` in it is that of ``page.js``."""
        return self.page.evaluate(f"(() => {{ const page = lenetscope.page; return {expression} }})()")

    @property
    def prediction(self) -> str:
        """What stands under the heading "Prediction"; it follows the drawing a moment later."""
        self.page.wait_for_timeout(200)
        return self.page.locator("#prediction").inner_text()


def serve(folder: Path, run: Run | None = None, **options: Any) -> Iterator[Playground]:
    """Run a playground until the generator goes on; options are those of `make_app`."""
    lab = Lab(run, folder)
    limits = options.pop("limits", Limits())
    app = make_app(lab, options.pop("host", "127.0.0.1"), options.pop("token", None), limits)
    listener, url = listen("127.0.0.1", 0)
    server = Server(app, patience=limits.patience, grace=1, stop=lab.close)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        yield Playground(url, lab)
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
    assert not thread.is_alive()
