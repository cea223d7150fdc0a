"""Runs and their reports, made once, and a browser to read the reports with."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from lenetscope.inspection import Inspection
from lenetscope.report import write_report
from lenetscope.runs.folder import Run
from report_runs import make_run, until


@pytest.fixture(scope="session")
def bars_run(tmp_path_factory: pytest.TempPathFactory, idx_folder: Path) -> Run:
    """A run of two epochs on three classes, with some misclassified images."""
    path = tmp_path_factory.mktemp("bars") / "bars"
    return make_run(path, idx_folder, epochs=2, lr=0.002)


@pytest.fixture(scope="session")
def strange_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of one epoch on colour images of 26 classes."""
    path = tmp_path_factory.mktemp("strange") / "a & b"
    return make_run(path, "strange", mean=[0.5] * 3, std=[0.5] * 3, lr=0.001)


@pytest.fixture(scope="session")
def bars_page(bars_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bars-page") / "new" / "report.html"
    return write_report(Inspection.open(bars_run), path)


@pytest.fixture(scope="session")
def strange_page(strange_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("strange-page") / "report.html"
    return write_report(Inspection.open(strange_run), path)


class Reader:
    """A page whose messages and requests are recorded."""

    def __init__(self, browser: Browser, width: int = 1280, **options: Any) -> None:
        self.messages: list[str] = []
        self.context = browser.new_context(viewport={"width": width, "height": 800}, **options)
        self.page: Page = self.context.new_page()
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("dialog", lambda dialog: self.messages.append(dialog.message))
        self.page.on("request", self._requested)

    def _requested(self, request: Any) -> None:
        if request.url != self.url:
            self.messages.append(f"requested {request.url[:80]}")

    def open(self, path: Path) -> Page:
        self.url = path.as_uri()
        self.page.goto(self.url)
        until(self.page, "window.lenetscope !== undefined")
        return self.page


@pytest.fixture
def reader(browser: Browser) -> Iterator[Any]:
    """Return a function that opens a report; at the end it must have been silent."""
    readers: list[Reader] = []

    def opened(path: Path, width: int = 1280, **options: Any) -> Page:
        readers.append(Reader(browser, width, **options))
        return readers[-1].open(path)

    yield opened
    for each in readers:
        each.page.wait_for_timeout(50)
        messages = list(each.messages)
        each.context.close()
        assert messages == []
