"""Keeps other sites, other machines and oversized requests away from the playground.

A page of another site can make a browser send requests to this machine. It cannot change their Host
(which names that site after DNS rebinding), their Origin, or their content type without asking first.
"""

import hmac
import secrets
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def is_this_machine(host: str) -> bool:
    """Tell whether an address can be reached from this machine only.

    >>> [is_this_machine(host) for host in ("localhost", "127.0.0.1", "::1", "0.0.0.0", "192.168.1.2")]
    [True, True, True, False, False]
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """Middleware that lets through what comes from the playground's own page.

    Args:
        app: what it guards.
        host: address that is listened on. Names other than those of this machine are accepted
            where other machines can reach it: a token is needed then.
        token: that visitors must know; None if anyone on this machine may enter.
    """

    def __init__(self, app: ASGIApp, host: str, token: str | None) -> None:
        self._app, self._host, self._token = app, host, token
        self._secret = secrets.token_urlsafe(32)  # of the cookie: the token itself is not kept there

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with what is wrong with it."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        answer = self._refusal(scope)
        await (answer or self._app)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        """Return why a request is not passed on; None if it is."""
        headers = Headers(scope=scope)
        if not self._knows(headers.get("host", "")):
            return _refused(421, "this playground does not go by the name in the Host header.")
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "same-origin")
        own = f"{scope['scheme']}://{headers.get('host')}"
        # a link from elsewhere may open the page, and nothing else
        opens = scope["method"] == "GET" and scope["path"] == "/"
        if origin not in (None, own) or (site not in ("same-origin", "none") and not opens):
            return _refused(403, "only the playground's own page may ask.")
        if self._token is None or self._has_cookie(headers, _cookie(scope)):
            return None
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if opens and hmac.compare_digest(given.encode(), self._token.encode()):
            entered = RedirectResponse("/", 303)
            entered.set_cookie(_cookie(scope), self._secret, httponly=True, samesite="strict")
            return entered
        return _refused(401, "open the address that `lenetscope play` printed, with its token.")

    def _knows(self, host: str) -> bool:
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        name = name.removeprefix("[").removesuffix("]").lower()
        if is_this_machine(name) or name == self._host.lower():
            return True
        return self._token is not None and not is_this_machine(self._host) and bool(name)

    def _has_cookie(self, headers: Mapping[str, str], name: str) -> bool:
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(name)
        except CookieError:
            return False
        return found is not None and hmac.compare_digest(found.value.encode(), self._secret.encode())


def _cookie(scope: Scope) -> str:
    """Return the cookie's name: browsers send the cookies of one port to all others, too."""
    return f"lenetscope-{scope['server'][1]}"


def _refused(status: int, why: str) -> Response:
    return JSONResponse({"error": why}, status)
