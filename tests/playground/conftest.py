"""The playground that tests share, and pages in a browser that visit it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from visitors import Playground, Visitor, serve


@pytest.fixture(scope="session")
def playground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Playground]:
    """The playground with the run that ships; tests share it, so they leave no runs in it."""
    yield from serve(tmp_path_factory.mktemp("playground"))


@pytest.fixture
def visit(browser: Browser, playground: Playground) -> Iterator[Callable[..., Visitor]]:
    """Return a function that opens the playground; at the end the console must be empty."""
    visitors: list[Visitor] = []

    def opened(
        width: int = 1280, place: Playground = playground, path: str = "/", **options: Any
    ) -> Visitor:
        options = {"reduced_motion": "reduce"} | options  # no animation, so that nothing waits for one
        context = browser.new_context(viewport={"width": width, "height": 800}, **options)
        visitor = Visitor(context.new_page())
        visitor.page.on("console", lambda message: visitor.messages.append(message.text))
        visitor.page.on("pageerror", lambda error: visitor.messages.append(str(error)))
        visitor.page.goto(place.url + path)
        visitor.page.wait_for_selector("html[data-ready]")
        visitors.append(visitor)
        return visitor

    yield opened
    for each in visitors:
        messages = list(each.messages)
        each.page.context.close()
        assert messages == []
