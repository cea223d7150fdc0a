"""Who may ask the playground what: its own page, and visitors who know the token."""

import http.client
from collections.abc import Iterator
from pathlib import Path

import pytest

from lenetscope.playground.guard import HEADERS
from visitors import Playground, serve


def get(place: Playground, path: str = "/", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Get a path; names of headers have underscores."""
    host = place.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=20)
    connection.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    response = connection.getresponse()
    found = response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
    connection.close()
    return found


def test_every_answer_has_the_policies(playground: Playground) -> None:
    for path in ("/", "/play/main.js", "/nothing", "/api/weights"):
        _, headers, _ = get(playground, path)
        for name, value in HEADERS.items():
            assert headers[name.lower()] == value
    assert "unsafe" not in HEADERS["Content-Security-Policy"]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8001", "127.0.0.1.evil.example", "", "a@b"]
)
def test_a_name_that_was_rebound_to_this_machine_gets_nothing(
    playground: Playground, host: str
) -> None:
    assert get(playground, Host=host)[0] == 421
    assert playground.ask("network", Host=host)[0] == 421


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:99", "LOCALHOST"])
def test_names_of_this_machine_are_known(playground: Playground, host: str) -> None:
    assert get(playground, Host=host)[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},  # another server on this machine
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_pages_of_other_sites_may_not_ask(playground: Playground, headers: dict[str, str]) -> None:
    status, answer = playground.ask("network", **headers)
    assert status == 403
    assert answer == {"error": "only the playground's own page may ask."}


def test_a_link_from_elsewhere_opens_the_page_and_nothing_else(playground: Playground) -> None:
    assert get(playground, "/", Sec_Fetch_Site="cross-site")[0] == 200
    assert get(playground, "/api/events", Sec_Fetch_Site="cross-site")[0] == 403


def test_a_form_of_another_site_is_refused_by_its_content_type(playground: Playground) -> None:
    assert playground.ask("network", b"{}", Content_Type="text/plain")[0] == 415


def test_a_websocket_is_refused(playground: Playground) -> None:
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13"}
    status, _, _ = get(playground, "/", **upgrade, Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==")
    assert status != 101


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Playground]:
    """A playground for other machines, which needs a token."""
    yield from serve(tmp_path_factory.mktemp("closed"), host="0.0.0.0", token="open sesame")


def test_a_token_opens_the_page_once_and_leaves_a_cookie(closed: Playground) -> None:
    assert get(closed)[0] == 401
    assert get(closed, "/?token=wrong")[0] == 401
    assert get(closed, "/play/main.js")[0] == 401
    assert closed.ask("network")[0] == 401
    status, headers, _ = get(closed, "/?token=open%20sesame")
    assert (status, headers["location"]) == (303, "/")
    cookie = headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "sesame" not in cookie
    own = cookie.partition(";")[0]
    assert get(closed, Cookie=own, Host="192.168.1.5:8001")[0] == 200
    assert closed.ask("network", Cookie=own)[0] == 200
    assert closed.ask("network", Cookie=own[:-1])[0] == 401
    assert closed.ask("network", Cookie=own, Origin="http://evil.example")[0] == 403


def test_other_names_are_for_playgrounds_with_a_token(tmp_path: Path) -> None:
    for place in serve(tmp_path, host="192.168.1.5"):
        assert get(place, Host="192.168.1.5:8001")[0] == 200
        assert get(place, Host="evil.example")[0] == 421
